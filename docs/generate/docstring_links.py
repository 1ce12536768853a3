"""Makes links of the class and function names that docstrings write as [`Name`]."""

import re

import griffe

REFERENCE = re.compile(r"\[`(?P<name>\w+)`\](?![\[(])")


class DocstringLinks(griffe.Extension):
    """[`Name`] becomes a link where one public object has that name, and plain code otherwise."""

    def on_package(self, *, pkg: griffe.Module, **kwargs) -> None:
        objects = list(_objects(pkg))
        paths: dict[str, set[str]] = {}
        for item in objects:
            paths.setdefault(item.name, set()).add(item.path)

        def link(match: re.Match) -> str:
            name = match["name"]
            found = paths.get(name, set())
            return f"[`{name}`][{next(iter(found))}]" if len(found) == 1 else f"`{name}`"

        for item in objects:
            if item.docstring:
                item.docstring.value = REFERENCE.sub(link, item.docstring.value)


def _objects(parent: griffe.Object):
    for member in parent.members.values():
        if not member.is_alias:
            if not member.name.startswith("_"):
                yield member
            if member.is_module or member.is_class:
                yield from _objects(member)
