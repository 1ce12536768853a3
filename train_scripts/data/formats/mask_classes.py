"""What the values and colours of semantic masks stand for.

Shapes: H, W pixels.
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from eomt.train_scripts.data.bad_sample import BadSample
from eomt.train_scripts.data.formats.class_list import Colour, is_background, is_void
from eomt.train_scripts.data.formats.index_images import Mask, read_mask
from eomt.train_scripts.data.formats.source import Options

VOID = -1
BOUNDARY = (255, (224, 224, 192))  # index and colour of the outlines in Pascal VOC's masks, which are void
BINARY = "masks of the values 0 and 255, read as 0 and 1"
SCANNED = 50  # masks that an error message lists the values of
SMOOTH_COLOURS, SMOOTH_VALUES = 40, 16  # unknown ones of a mask; more are a sign of smoothed edges, or of a photo


@dataclass(frozen=True)
class MaskClasses:
    """
    Args:
        names: of the classes.
        index_of: value -> class index, or `VOID`.
        index_of_colour: colour -> class index, or `VOID`; empty if colours aren't given.
        is_map: whether values or colours were given, so that values may not be counted from 0.
        has_values: whether values were given. Where colours alone were, values are positions in the list.
    """

    names: list[str]
    index_of: dict[int, int]
    index_of_colour: dict[Colour, int]
    is_map: bool
    has_values: bool

    @property
    def is_binary(self) -> bool:
        """Whether masks of 0 and 255 can mean the two classes."""
        return not self.is_map and self.index_of == {0: 0, 1: 1}


def mask_classes(options: Options) -> MaskClasses:
    """
    Raises:
        ValueError: there are no names; one comes twice; or a value or colour stands for two of them.
    """
    names = [name for name in dict.fromkeys(options.classes) if not is_void(name)]
    is_map = bool(options.values or options.colours)
    if not names or not all(options.classes) or not is_map and len(set(options.classes)) < len(options.classes):
        raise ValueError(f"classes={options.classes} must be one or more names, each once, in the order of the masks' values")
    first = 1 if options.void == [0] and not is_map and not any(map(is_void, options.classes)) else 0
    values = options.values or range(first, first + len(options.classes))
    index = {name: position for position, name in enumerate(names)}
    for keys, kind in ((options.values, "value"), (options.colours, "colour")):
        if twice := sorted({key for key in keys if keys.count(key) > 1}):
            raise ValueError(f"classes has the {kind} {twice[0]} twice; it stands for one class")
    index_of = {value: index.get(name, VOID) for value, name in zip(values, options.classes, strict=True)}
    if wrong := sorted(value for value in options.void if index_of.get(value, VOID) != VOID):
        named = [names[index_of[value]] for value in wrong]
        raise ValueError(
            f"void={options.void} has {wrong}, which classes names {named}; name it once. If these masks have other values for the "
            f"classes, give them by a map, as --classes {_example(wrong, options.classes)}"
        )
    index_of |= dict.fromkeys(options.void, VOID)
    colours = {colour: index.get(name, VOID) for colour, name in zip(options.colours, options.classes, strict=False)}
    return MaskClasses(names, index_of, colours, is_map, bool(options.values))


def class_indices(
    mask: Mask, classes: MaskClasses, path: Path, masks: Callable[[], Sequence[Path]]
) -> tuple[np.ndarray, str | None]:
    """(H, W) class indices, `VOID` where there is none, and what was changed to read them.

    Args:
        mask: as read.
        classes: what its values and colours stand for.
        path: of the mask, for error messages.
        masks: gives all masks of the split, whose values are listed in error messages.

    Raises:
        BadSample: a value or colour stands for nothing.
    """
    if classes.index_of_colour and (indices := _by_colour(mask, classes)) is not None:
        return indices, None
    if mask.values is None:
        raise BadSample(_colours_message(mask, classes, path, masks))
    present, positions = np.unique(mask.values, return_inverse=True)
    index_of, repair = classes.index_of, None
    if classes.is_binary and 255 in present and set(present.tolist()) <= {0, 255}:
        index_of, repair = {0: 0, 255: 1}, BINARY
    if unknown := [value for value in present.tolist() if value not in index_of]:
        raise BadSample(_values_message(mask.values, unknown, classes, path, masks))
    return np.array([index_of[value] for value in present.tolist()])[positions.reshape(mask.values.shape)], repair


def refuse_void_object(classes: MaskClasses, masks: Sequence[Path], void: Sequence[int]) -> None:
    """Refuses void 255 where the masks have the values 0 and 255 alone, so that 255 is the second of two classes.

    Raises:
        ValueError: all masks are so.
    """
    if classes.is_map or len(classes.names) != 2 or 255 not in void:
        return
    seen: set[int] = set()
    for path in masks:
        seen |= values_of([path])
        if not seen <= {0, 255}:
            return
    if seen == {0, 255}:
        raise ValueError(
            f"void={list(void)}: the masks have the values 0 and 255 alone, so that 255 is the class {classes.names[1]!r}, not "
            "void. Leave --void out, and masks of 0 and 255 are read as 0 and 1"
        )


def refuse_unnamed_background(classes: MaskClasses, masks: Sequence[Path], options: Options) -> None:
    """Refuses names without values where 0 looks like a background that has no name: it is in each mask, and is most of all pixels.

    Nothing is refused where the first name is that of a background, or where void is given, so that 0 is known to be a class.

    Raises:
        ValueError: it is so in some of the masks, spread evenly.
    """
    if (
        len(classes.names) < 2
        or classes.is_map
        or options.void
        or is_background(classes.names[0])
        or any(map(is_void, options.classes))
    ):
        return
    zeros = pixels = 0
    for path in masks[:: max(1, len(masks) // SCANNED)]:
        values = _values_or_none(path)
        if values is None or not (values == 0).any():
            return
        zeros, pixels = zeros + int((values == 0).sum()), pixels + values.size
    if pixels / 2 <= zeros < pixels:
        names, share = classes.names, 100 * zeros // pixels
        raise ValueError(
            f"classes={names}: 0 is {share} % of the pixels and in each mask, as a background is; is it {names[0]!r}? Give the "
            f"values by a map: --classes {_map_text(range(len(names)), names)} if it is, or "
            f"--classes {_map_text(range(len(names) + 1), ['void', *names])} if the classes count from 1"
        )


def refuse_shifted_values(names: Sequence[str], seen: Collection[str]) -> None:
    """Refuses names in the order of values if the first or the last is the only one that no mask has: values that count from 1 look
    so where the last class doesn't occur, or where 0 is void.

    Args:
        names: of the classes, given without values.
        seen: those that masks have.

    Raises:
        ValueError: it is so.
    """
    unseen = [name for name in names if name not in seen]
    if len(names) < 3 or is_background(names[0]) or unseen not in ([names[0]], [names[-1]]):
        return
    from_0, from_1 = _map_text(range(len(names)), names), _map_text(range(1, len(names) + 1), names)
    void = "" if unseen == [names[0]] else "0:void,"
    from_1 = f'"{void}{from_1[1:]}' if from_1.startswith('"') else f"{void}{from_1}"
    raise ValueError(
        f"classes={list(names)}: no mask has {unseen[0]!r}, but all others occur. Do the values count from 0, or from 1? Look at a "
        f"mask and give them by a map: --classes {from_0} or --classes {from_1}"
    )


def _by_colour(mask: Mask, classes: MaskClasses) -> np.ndarray | None:
    """(H, W) class indices by colours; None if a colour isn't listed, or a grey image has values.

    A grey image may be one of colours that an optimiser has stored in fewer bits. Where classes have colours and no values, it is
    taken so if each of its grey levels is a colour that is listed.
    """
    table = dict(classes.index_of_colour)
    if mask.colours is None:
        greys = {colour[0]: index for colour, index in table.items() if len(set(colour)) == 1}
        by_level = mask.step > 0 and not classes.has_values
        if not by_level and len(greys) < len(table):
            return None
        keys, table = mask.values * (mask.step if by_level else 1), greys
    else:
        keys = _keys(mask.colours)
        table = {_key(colour): index for colour, index in table.items()}
        if mask.values is not None and (mask.values[keys == _key(BOUNDARY[1])] == BOUNDARY[0]).all():
            table.setdefault(_key(BOUNDARY[1]), VOID)
    present, positions = np.unique(keys, return_inverse=True)
    if any(key not in table for key in present.tolist()):
        return None
    return np.array([table[key] for key in present.tolist()])[positions.reshape(keys.shape)]


def _keys(colours: np.ndarray) -> np.ndarray:
    """(H, W, 3) -> (H, W), a number for each colour."""
    red, green, blue = np.moveaxis(colours.astype(np.int64), -1, 0)
    return red << 16 | green << 8 | blue


def _key(colour: Colour) -> int:
    return colour[0] << 16 | colour[1] << 8 | colour[2]


def _colours_message(mask: Mask, classes: MaskClasses, path: Path, masks: Callable[[], Sequence[Path]]) -> str:
    present = {tuple(key >> shift & 255 for shift in (16, 8, 0)) for key in np.unique(_keys(mask.colours)).tolist()}
    unknown = sorted(present - classes.index_of_colour.keys())
    if len(unknown) > SMOOTH_COLOURS:
        return (
            f"{path} has {len(unknown)} colours that stand for no class, as photos, overlays or smoothed edges have. "
            "Export masks with a flat colour for each class, without smoothing."
        )
    if classes.index_of_colour:
        return (
            f"{path} has the colours {'; '.join(','.join(map(str, colour)) for colour in unknown[:10])}, which classes lacks. Add "
            "them there, as `r,g,b:name`, or `r,g,b:void` for those that are no class."
        )
    for other in list(masks())[:SCANNED]:
        present |= _colours_of(other)
    entries = ",".join(f"{red},{green},{blue}:NAME" for red, green, blue in sorted(present)[:30])
    return (
        f"{path} has colours, not values. Say which colour is which class, `void` for none: --classes {entries} with the "
        f"names in place of NAME{_and_more(present)}, or give the tool's label map or csv of colours by --classes."
    )


def _colours_of(path: Path) -> set[Colour]:
    try:
        mask = read_mask(path)
    except BadSample:
        return set()
    if mask.colours is None:
        return set()
    return {
        tuple(key >> shift & 255 for shift in (16, 8, 0)) for key in np.unique(_keys(mask.colours)).tolist()[: SMOOTH_COLOURS + 1]
    }


def _values_message(
    values: np.ndarray, unknown: list[int], classes: MaskClasses, path: Path, masks: Callable[[], Sequence[Path]]
) -> str:
    pixels = int(np.isin(values, unknown).sum())
    head = f"{path} has the values {unknown[:10]} in {pixels} pixels, which classes and void lack."
    if len(unknown) > SMOOTH_VALUES:
        return (
            f"{head} It has {len(unknown)} such values, as photos or smoothed edges have. Export masks with one value for each "
            "class, without smoothing."
        )
    if classes.is_map:
        names = {value: "void" if index == VOID else classes.names[index] for value, index in classes.index_of.items()}
        from_0 = min(names) == 1 and values_of(list(masks())[:SCANNED]) <= {value - 1 for value in names}
        shifted = _map_text([value - 1 for value in names], list(names.values()))
        other = f" If these count from 1, but masks from 0: --classes {shifted}." if from_0 else ""
        return f"{head} Add them to classes, as `value:name`, or `value:void` for those that are no class.{other}"
    present = sorted(values_of(list(masks())[:SCANNED]) | set(unknown))
    names = classes.names
    if len(names) == 1 and present in ([0, 1], [1]):
        advice = f"If 0 is all that is no {names[0]}: --classes {_map_text([0, 1], ['background', *names])}"
    elif len(present) == len(names):
        advice = f"If the classes have these values in their order: --classes {_map_text(present, names)}"
    elif present == list(range(len(names) + 1)):
        advice = f"If 0 is void and the classes count from 1: --classes {_map_text(present, ['void', *names])}"
    elif present[-1] == 255 and present[:-1] == list(range(len(present) - 1)) and len(present) - 1 <= len(names):
        advice = "If 255 is no class, give --void 255"
    else:
        entries = ",".join(f"{value}:{_name_of(value, classes)}" for value in present[:30])
        advice = f"Name each value: --classes {entries}{_and_more(present)} with names, or `void` for no class, in place of NAME"
    return f"{head} {advice}."


def values_of(masks: Sequence[Path]) -> set[int]:
    """The values that occur in masks; of those that can be read and have values."""
    found = (_values_or_none(path) for path in masks)
    return {value for values in found if values is not None for value in np.unique(values).tolist()}


def _values_or_none(path: Path) -> np.ndarray | None:
    """The values of a mask; None if it has none, or can't be read, which is reported where its row is made."""
    try:
        return read_mask(path).values
    except BadSample:
        return None


def _name_of(value: int, classes: MaskClasses) -> str:
    index = classes.index_of.get(value)
    return "NAME" if index is None else "void" if index == VOID else classes.names[index]


def _map_text(values: Sequence[int], names: Sequence[str]) -> str:
    text = ",".join(f"{value}:{name}" for value, name in zip(values, names, strict=False))
    return f'"{text}"' if " " in text else text


def _example(void: Sequence[int], names: Sequence[str]) -> str:
    values = [value for value in range(len(names) + len(void)) if value not in void]
    return _map_text([*void, *values], ["void"] * len(void) + list(names))


def _and_more(present: Sequence | set) -> str:
    return f", and {len(present) - 30} more" if len(present) > 30 else ""
