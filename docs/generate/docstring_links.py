"""Prepares the source for the API reference: links of names in docstrings, and each object on one page alone."""

import re

import griffe

REFERENCE = re.compile(r"\[`(?P<name>\w+)`\](?![\[(])")


class DocstringLinks(griffe.Extension):
    """
    [`Name`] in a docstring becomes a link where one public object has that name, and plain code otherwise. What a module's
    `__all__` passes on from another module is left to that one's page.
    """

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
            if item.is_module and item.exports:
                item.exports = [name for name in item.exports if not item.members[str(name)].is_alias]
            if item.docstring:
                item.docstring.value = REFERENCE.sub(link, item.docstring.value)


def _objects(parent: griffe.Object):
    for member in parent.members.values():
        if not member.is_alias:
            if not member.name.startswith("_"):
                yield member
            if member.is_module or member.is_class:
                yield from _objects(member)
