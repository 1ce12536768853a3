"""A folder of images, one of masks of classes and one of masks of instances, all with the same stems.

A value of a mask of classes is a class index, or void. A value of a mask of instances is the number of an object of that pixel's
class, and 0 where there is none; in RGB, R + 256 G + 65536 B is the number. Pixels of a thing without a number are void.
"""

from pathlib import Path

from eomt.train_scripts.data.formats.class_and_instance import segment_columns
from eomt.train_scripts.data.formats.class_values import ClassValues, class_values, given_values
from eomt.train_scripts.data.formats.image_files import encoded_file, images_by_stem
from eomt.train_scripts.data.formats.index_images import MASK_SUFFIXES, read_indices
from eomt.train_scripts.data.formats.orientation import TURNED, mask_turns, turned
from eomt.train_scripts.data.formats.pairing import find_pairs
from eomt.train_scripts.data.formats.source import Options, Source
from eomt.train_scripts.data.samples import decode_id_map

MASKS, INSTANCES = "masks", "instances"
Item = tuple[str, Path, Path, Path, tuple[int, int]]  # stem, image, mask of classes, of instances, and how these are turned


def read(images: Path, annotations: Path, options: Options) -> Source:
    """
    Raises:
        ValueError: an option is missing or wrong, a folder is missing or empty, or how masks lie must be given.
    """
    instances = Path(options.instances) if options.instances else instances_beside(annotations)
    classes = class_values(*given_values(options), options.stuff)
    pairs, problems = find_pairs(images, annotations)
    numbered = images_by_stem(instances, MASK_SUFFIXES, "instances")
    both = [(*pair, numbered[pair[0]]) for pair in pairs if pair[0] in numbered]
    turns = [mask_turns([(item[0], item[1], item[place]) for item in both], options.mask_orientation) for place in (2, 3)]
    items = [(*item, tuple(of_stem.get(item[0], 1) for of_stem in turns)) for item in both]
    lost = [mask for stem, _, mask in pairs if stem not in numbered]
    problems += [f"{mask} has no mask of the same stem in {instances}. Add it, if empty where there is no object." for mask in lost]
    unpaired = sorted(numbered.keys() - {pair[0] for pair in pairs})
    problems += [f"{numbered[stem]} has no image and mask of the same stem. Add them, or take this one away." for stem in unpaired]
    return Source(
        classes.labels,
        items,
        lambda item: _make_row(item, classes),
        lambda item: list(item[1:4]),
        context=classes,
        problems=problems,
    )


def instances_beside(masks: Path) -> Path:
    """The folder of masks of instances in the same layout: instances/train of masks/train, train/instances of train/masks."""
    parts = list(masks.parts)
    if MASKS not in parts:
        return masks.parent / INSTANCES
    parts[len(parts) - 1 - parts[::-1].index(MASKS)] = INSTANCES
    return Path(*parts)


def _make_row(item: Item, classes: ClassValues) -> dict:
    stem, image, mask, instances, turns = item
    numbers = decode_id_map(encoded_file(instances), str(instances))
    values, numbers = (turned(array, turn) for array, turn in zip((read_indices(mask), numbers), turns, strict=True))
    columns = segment_columns(values, numbers, classes, f"{mask} and {instances}")
    repaired = {TURNED: sum(turn != 1 for turn in turns)} if turns != (1, 1) else {}
    return {"image_id": stem, "image": encoded_file(image), **columns, "repaired": repaired}
