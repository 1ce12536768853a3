"""The code blocks of a page, and how each is tested.

A `bash` or `python` block runs as it is, unless comments above it say otherwise:

    <!-- test: skip, REASON -->                    it is not run
    <!-- test: train.py with --max_steps 2 -->     these options are added to the commands that call train.py
"""

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

COMMENT = re.compile(r"<!-- test: (?P<text>.*) -->")
SKIP = re.compile(r"skip, (?P<reason>.+)")
ADDED = re.compile(r"(?P<script>\w+\.py) with (?P<options>--.+)")
FENCE = re.compile(r"```(?P<language>\w*)$")


@dataclass(frozen=True)
class CodeBlock:
    """A block of a page, with the comments above it applied."""

    page: Path
    line: int
    language: str
    text: str
    skipped: str | None = None  # the reason

    def __str__(self) -> str:
        return f"{self.page.name}:{self.line}"


def code_blocks(page: Path) -> list[CodeBlock]:
    """The `bash` and `python` blocks of a page.

    Raises:
        ValueError: a comment is none of the two forms, or adds options to a script that its block doesn't call.
    """
    blocks, comments, fence = [], [], None
    for number, line in enumerate(page.read_text(encoding="utf-8").splitlines(), 1):
        opened = FENCE.match(line)
        if fence is not None:
            if line == "```":
                if fence[0] in ("bash", "python"):
                    blocks.append(_block(page, fence[1], fence[0], "\n".join(fence[2]), comments))
                fence, comments = None, []
            else:
                fence[2].append(line)
        elif opened:
            fence = opened["language"], number, []
        elif comment := COMMENT.fullmatch(line):
            comments.append(comment["text"])
        elif comments:
            raise ValueError(f"{page.name}:{number}: a comment `test:` must stand right above a block")
    return blocks


def _block(page: Path, line: int, language: str, text: str, comments: list[str]) -> CodeBlock:
    skipped = None
    for comment in comments:
        if skip := SKIP.fullmatch(comment):
            skipped = skip["reason"]
        elif (added := ADDED.fullmatch(comment)) and language == "bash" and f"/{added['script']}" in text:
            lines = [f"{each} {added['options']}" if f"/{added['script']}" in each else each for each in command_lines(text)]
            text = "\n".join(lines)
        else:
            raise ValueError(f"{page.name}:{line}: `test: {comment}` is neither `skip, REASON` nor `SCRIPT.py with --OPTIONS`")
    return CodeBlock(page, line, language, text, skipped)


def command_lines(text: str) -> list[str]:
    """The commands of a bash block, each on one line without its comment, which may follow two spaces."""
    joined = text.replace("\\\n", " ")
    return [line for each in joined.splitlines() if (line := re.sub(r"(^|\s{2,})#.*", "", each).strip())]


def commands(text: str) -> list[list[str]]:
    """The words of each command of a bash block."""
    parts = [part for line in command_lines(text) for part in line.split(" && ")]
    return [shlex.split(part) for part in parts]
