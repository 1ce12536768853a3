"""The pictures of folders in docs/layouts.md, and the command below each.

A line is a folder or files, two spaces deeper than the folder it is in. What follows a folder after two spaces is in that folder.
"""

import re
import shlex
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

BLOCK = re.compile(r"^```console\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINE = re.compile(r"(?P<indent> *)(?P<first>\S+)(?:  +(?P<rest>\S.*))?")


@dataclass(frozen=True)
class LayoutTree:
    """
    Args:
        root: the outermost folder, or zip file.
        files: with the root before each.
        words: of the command, the first of them `eomt`.
    """

    root: str
    files: tuple[PurePosixPath, ...]
    words: tuple[str, ...]


def layout_trees(page: Path) -> list[LayoutTree]:
    """
    Raises:
        ValueError: a picture has no command, or a line that can't be understood.
    """
    return [_tree(match[1].splitlines()) for match in BLOCK.finditer(page.read_text(encoding="utf-8"))]


def _tree(lines: list[str]) -> LayoutTree:
    *picture, command = lines
    if not command.startswith("$ "):
        raise ValueError(f"{lines[0]}: the last line must be a command after `$ `")
    folders, files = [], []
    for line in picture:
        match = re.fullmatch(LINE, line.rstrip().replace(", ", ","))
        depth = len(match["indent"]) // 2 if match else 0
        if not match or len(match["indent"]) % 2 or depth > len(folders):
            raise ValueError(f"{lines[0]}: {line!r} is neither a folder nor files")
        del folders[depth:]
        names = match["first"] if match["rest"] is None else match["rest"]
        home = PurePosixPath(*folders)
        if match["first"].endswith("/"):
            folders.append(match["first"])
            home, names = home / match["first"], match["rest"] or ""
        files += [home / name for name in names.split(",") if name]
    return LayoutTree(picture[0].strip("/ "), tuple(files), tuple(shlex.split(command[2:])))
