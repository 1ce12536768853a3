"""Names of classes as people and tools write them down: words on the command line, or a file of a name a line, csv, json or yaml.

An entry has a name and perhaps the value or the colour that masks have for it. `void` and names like it are no classes, but what
they name is void.
"""

import csv
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

Colour = tuple[int, int, int]

FILE_SUFFIXES = (".txt", ".csv", ".json", ".yaml", ".yml", ".names")
VOID_NAMES = {"void", "ignore", "ignored", "unlabeled", "unlabelled", "unlabel"}
BACKGROUND_NAMES = {
    "background",
    "bg",
    "back",
    "backgrnd",
    "other",
    "others",
    "none",
    "nothing",
    "rest",
    "no_class",
    "not_annotated",
}
NAME_COLUMNS = {"name", "class", "classname", "label", "labelname", "category", "categoryname"}
VALUE_COLUMNS = {"value", "pixelvalue", "id", "idx", "index", "classid", "classindex", "labelid", "categoryid", "pixel"}
TITLES = {"name", "names", "class", "classes", "label", "labels", "class_name", "class_names"}  # of a file of a name a line
COLOUR_COLUMNS = ({"r", "red"}, {"g", "green"}, {"b", "blue"})
FORMS = (
    "A line is a name, `0 name`, `name r g b` or `name:r,g,b::`; a csv has a column `name`; a json is a list of names, "
    "{value: name} or a list of entries with `id` and `name`"
)


@dataclass(frozen=True)
class ClassEntry:
    """
    Args:
        name: of a class, or one of `VOID_NAMES`.
        value: that masks have for it, if one is given.
        colour: that masks have for it, if one is given.
    """

    name: str
    value: int | None = None
    colour: Colour | None = None


def is_void(name: str) -> bool:
    """Whether a name says that what it names is no class."""
    return name.strip(" _").lower().removeprefix("void--") in VOID_NAMES  # Mapillary's names have a group before them


def is_background(name: str) -> bool:
    """Whether a name is that of all that no other class is."""
    return name.strip(" _").lower() in BACKGROUND_NAMES


def parse_classes(words: Sequence[str]) -> list[ClassEntry]:
    """
    Args:
        words: names with commas between; entries `value:name` or `r,g,b:name`; or the name of one file of classes.

    Raises:
        ValueError: a file is missing or can't be understood, or some of the words have a value and others have none.
    """
    entries = [entry for word in words if _is_file(word) for entry in _file_entries(Path(word))]
    entries += _word_entries(",".join(word for word in words if not _is_file(word)))
    keyed = [entry for entry in entries if entry.value is not None or entry.colour is not None]
    if keyed and len(keyed) < len(entries):
        bare = [entry.name for entry in entries if entry not in keyed]
        raise ValueError(f"classes: {bare[:5]} have no value, though others have. Write `value:name` for each, or for none")
    return entries


def read_class_file(path: Path) -> list[ClassEntry]:
    """The classes in a file.

    Raises:
        ValueError: it is missing, is no text, or has no names.
    """
    text = _text(path)
    suffix = path.suffix.lower()
    try:
        if suffix == ".json":
            entries = _content_entries(json.loads(text))
        elif suffix in (".yaml", ".yml"):
            entries = _content_entries(yaml.load(text, yaml.BaseLoader))  # all scalars stay text: `no` is a name
        else:
            lines = [line.strip() for line in text.splitlines()]
            lines = [line for line in lines if line and not (line.startswith("#") and not re.match(r"#[0-9a-fA-F]{6}\b", line))]
            entries = _table_entries(lines) if suffix == ".csv" or _has_titles(lines) else _line_entries(_bare_lines(lines))
    except (yaml.YAMLError, KeyError, TypeError, IndexError, ValueError) as error:
        raise ValueError(f"classes={path}: no names can be read from it ({error}). {FORMS}") from error
    if not entries or any(not entry.name for entry in entries):
        raise ValueError(f"classes={path} has no names, or an entry without one. {FORMS}")
    return entries


def _is_file(word: str) -> bool:
    try:
        return Path(word).is_file() or ("," not in word and ":" not in word and Path(word).suffix.lower() in FILE_SUFFIXES)
    except OSError:  # longer than a path may be
        return False


def _file_entries(path: Path) -> list[ClassEntry]:
    if not path.is_file():
        raise ValueError(f"classes={path}: no such file. Give names with commas between, or a file of a name a line")
    return read_class_file(path)


def _text(path: Path) -> str:
    content = path.read_bytes()
    encoding = "utf-16" if content[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    try:
        return content.decode(encoding)
    except UnicodeDecodeError as error:
        raise ValueError(f"classes={path} is not text in UTF-8 ({error}). Save it as UTF-8") from error


def _word_entries(text: str) -> list[ClassEntry]:
    """Of `sky,road`, `0:sky,255:void` or `0,0,0:sky,#80ff00:road`."""
    entries, numbers = [], []
    parts = [part for part in map(str.strip, text.split(",")) if part]
    has_colours = re.search(r"\d+,\d+,\d+ *:", ",".join(parts)) is not None
    for part in parts:
        if part.isdecimal() and len(numbers) < 2 and has_colours:
            numbers.append(int(part))
            continue
        key, colon, name = part.partition(":")
        key = key.strip()
        if numbers and not (colon and key.isdecimal()):
            raise ValueError(f"classes={text!r}: {','.join(map(str, numbers))},{part} is no `r,g,b:name`")
        if colon and (numbers or re.fullmatch(r"-?\d+|#[0-9a-fA-F]{6}|\d+ +\d+ +\d+", key)):
            entries.append(_entry(name, [*map(str, numbers), key]))
        else:
            entries.append(ClassEntry(part))
        numbers = []
    if numbers:
        raise ValueError(f"classes={text!r} ends in {numbers}; a colour is `r,g,b:name`")
    return entries


def _entry(name: str, key: Sequence[str]) -> ClassEntry:
    """An entry of a value, or of a colour as three numbers or `#rrggbb`."""
    words = key[0].split() if len(key) == 1 else list(key)
    if len(words) == 1 and words[0].startswith("#"):
        return ClassEntry(name.strip(), colour=tuple(bytes.fromhex(words[0][1:])))
    if len(words) == 1:
        return ClassEntry(name.strip(), value=int(words[0]))
    return ClassEntry(name.strip(), colour=_colour(words))


def _colour(words: Sequence[Any]) -> Colour:
    red, green, blue = (int(word) for word in words)
    if not all(0 <= channel < 256 for channel in (red, green, blue)):
        raise ValueError(f"classes: the colour {red},{green},{blue} must have numbers of 0..255")
    return red, green, blue


def _line_entries(lines: list[str]) -> list[ClassEntry]:
    """Of a text file: all lines are of one form, or else each is a name; one line alone may have several."""
    if len(lines) == 1 and re.search(r"[,\t]", lines[0]):
        return _word_entries(lines[0].replace("\t", ","))
    if rows := _matches(r"([^:]+):(\d+),(\d+),(\d+):[^:]*:.*", lines):  # the label map of CVAT and Datumaro
        return [ClassEntry(name.strip(), position, _colour(rgb)) for position, (name, *rgb) in enumerate(rows)]
    if rows := _matches(r"(\d+)[\s,:]+(\D.*?)[\s,]+(\d+)[\s,]+(\d+)[\s,]+(\d+)", lines):
        return [ClassEntry(name.strip(), int(value), _colour(rgb)) for value, name, *rgb in rows]
    if rows := _matches(r"(\d+)[\s,]+(\d+)[\s,]+(\d+)[\s,:]+(\D.*)", lines):
        return [ClassEntry(name.strip(), colour=_colour(rgb)) for *rgb, name in rows]
    if rows := _matches(r"(.*[^\d\s,:])[\s,:]+(\d+)[\s,]+(\d+)[\s,]+(\d+)", lines):
        return [ClassEntry(name.strip(), colour=_colour(rgb)) for name, *rgb in rows]
    if (rows := _matches(r"\[?(-?\d+)(?:\s*[\]:,;=.)]+|\s+-\s|\s)\s*(\S.*)", lines)) and len({value for value, _ in rows}) == len(
        rows
    ):
        return [ClassEntry(name.strip(), int(value)) for value, name in rows]
    if (rows := _matches(r"(.*[^\d\s])\s*[\t:,;=]\s*(\d+)", lines)) and len({value for _, value in rows}) == len(rows):
        return [ClassEntry(name.strip(), int(value)) for name, value in rows]
    if lines[:1] == ["__ignore__"]:  # LabelMe's list begins at -1, which its masks store as 255
        return [ClassEntry("void", 255), *(ClassEntry(line, position) for position, line in enumerate(lines[1:]))]
    return [ClassEntry(line) for line in lines]


def _bare_lines(lines: list[str]) -> list[str]:
    """Lines without a title above them and without marks of a list."""
    lines = lines[1:] if lines and (lines[0].lower() in TITLES or lines[0].startswith("label:color_rgb")) else lines
    return [line[2:] for line in lines] if all(line.startswith("- ") for line in lines) else lines


def _matches(pattern: str, lines: list[str]) -> list[tuple[str, ...]]:
    """The groups of each line; nothing if a line doesn't match."""
    found = [re.fullmatch(pattern, line) for line in lines]
    return [match.groups() for match in found] if all(found) else []


def _cells(lines: list[str]) -> list[list[str]]:
    delimiter = next((mark for mark in ",;\t " if lines and mark in lines[0]), ",")
    return [[cell.strip() for cell in row] for row in csv.reader(lines, delimiter=delimiter)]


def _titles(lines: list[str]) -> list[str]:
    return [re.sub(r"[^a-z]", "", cell.lower()) for cell in _cells(lines[:1])[0]] if lines else []


def _has_titles(lines: list[str]) -> bool:
    """Whether the first line of a text file names the columns of the others."""
    titles = _titles(lines)
    return len(titles) > 1 and _column(titles, NAME_COLUMNS) is not None and _column(titles, VALUE_COLUMNS) is not None


def _column(titles: list[str], names: set[str]) -> int | None:
    return next((index for index, title in enumerate(titles) if title in names), None)


def _table_entries(lines: list[str]) -> list[ClassEntry]:
    rows, titles = _cells(lines), _titles(lines)
    name, value = _column(titles, NAME_COLUMNS), _column(titles, VALUE_COLUMNS)
    channels = [_column(titles, names) for names in COLOUR_COLUMNS]
    if name is None:
        return _line_entries([" ".join(cell for cell in row if cell) for row in rows])
    return [
        ClassEntry(
            row[name],
            None if value is None else int(row[value]),
            None if None in channels else _colour([row[index] for index in channels]),
        )
        for row in rows[1:]
    ]


def _content_entries(content: Any) -> list[ClassEntry]:
    """Of json or yaml: a list or mapping, perhaps below a key such as `names` or `labels`."""
    if isinstance(content, dict):
        for key in ("id2label", "names", "classes", "labels", "categories", "label2id"):
            if isinstance(content.get(key), list | dict):
                return _content_entries(content[key])
        return [_pair_entry(str(key), value) for key, value in content.items()]
    if not isinstance(content, list):
        raise TypeError(f"{type(content).__name__} at the top")
    return [_list_entry(entry) for entry in content]


def _pair_entry(key: str, value: Any) -> ClassEntry:
    """Of {value: name}, {name: value}, {name: [r, g, b]} or {value: entry}."""
    if isinstance(value, dict):
        return replace(_list_entry(value), value=int(key))
    if isinstance(value, list) and len(value) == 3:
        return ClassEntry(key, colour=_colour(value))
    if isinstance(value, int) or isinstance(value, str) and re.fullmatch(r"\d+", value) and not re.fullmatch(r"-?\d+", key):
        return ClassEntry(key, int(value))
    if re.fullmatch(r"-?\d+", key) and isinstance(value, str):
        return ClassEntry(value.strip(), int(key))
    raise TypeError(f"{key!r}: {value!r} is no value with its name")


def _list_entry(entry: Any) -> ClassEntry:
    """Of a list of names, of [value, name], or of entries with `name` and perhaps `id` and `color`."""
    if isinstance(entry, list):
        value, name = entry
        return ClassEntry(str(name).strip(), int(value))
    if not isinstance(entry, dict):
        return ClassEntry(str(entry).strip())
    name = next((str(entry[key]) for key in ("name", "label", "title") if key in entry), "")
    value = next((int(entry[key]) for key in ("id", "value", "index") if key in entry), None)
    colour = next((entry[key] for key in ("color", "colour") if entry.get(key)), None)
    if isinstance(colour, str) and re.fullmatch(r"#[0-9a-fA-F]{6}", colour):
        colour = list(bytes.fromhex(colour[1:]))
    return ClassEntry(name.strip(), value, _colour(colour) if isinstance(colour, list) and len(colour) == 3 else None)
