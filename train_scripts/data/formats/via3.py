"""VIA 3 projects -> the entries of VIA 2, of which `via` reads them."""

from typing import Any

IMAGE = 2  # the type of a file
# the numbers of shapes, the first of `xy`
RECTANGLES, CIRCLE, ELLIPSE, POLYLINE, POLYGON = (2, 8), (3, 9), 4, 6, 7


def is_via3(content: object) -> bool:
    """Whether the content of a json file is a project of VIA 3."""
    return isinstance(content, dict) and all(
        isinstance(content.get(key), dict) for key in ("metadata", "file", "view", "attribute")
    )


def via2_entries(content: dict[str, Any]) -> dict[str, dict]:
    """{file id: entry as VIA 2 has it} of the images of a project. Regions of videos are left out."""
    files = {key: entry for key, entry in content["file"].items() if entry.get("type", IMAGE) == IMAGE}
    entries = {key: {"filename": entry.get("src") or entry["fname"], "regions": []} for key, entry in files.items()}
    for region in content["metadata"].values():
        view = content["view"].get(str(region.get("vid")), {})
        for key in map(str, view.get("fid_list", ())):
            if key in entries and region.get("xy"):
                attributes = _attributes(region.get("av") or {}, content["attribute"])
                entries[key]["regions"].append({"shape_attributes": _shape(region["xy"]), "region_attributes": attributes})
    return entries


def class_order(content: dict[str, Any]) -> list[str]:
    """The names in the order of the options that the project's attributes list; then those of other regions, as they come."""
    listed = [str(name) for entry in content["attribute"].values() for name in (entry.get("options") or {}).values()]
    regions = [region for entry in via2_entries(content).values() for region in entry["regions"]]
    return list(dict.fromkeys([*listed, *(name for region in regions for name in region["region_attributes"].values())]))


def _attributes(values: dict[str, Any], attributes: dict[str, dict]) -> dict[str, str]:
    """{name of an attribute: value}, without those that have no value."""
    named = {}
    for key, value in values.items():
        attribute = attributes.get(key, {})
        options = attribute.get("options") or {}
        if str(value):
            named[str(attribute.get("aname", key))] = str(options.get(str(value), value)).strip()
    return named


def _shape(xy: list[float]) -> dict[str, Any]:
    """A shape in the form of VIA 2."""
    kind, *numbers = xy
    if kind in (POLYLINE, POLYGON):
        return {"name": "polygon", "all_points_x": numbers[::2], "all_points_y": numbers[1::2]}
    if kind in RECTANGLES:
        return {"name": "rect", **dict(zip(("x", "y", "width", "height"), numbers, strict=False))}
    if kind in CIRCLE:
        return {"name": "circle", **dict(zip(("cx", "cy", "r"), numbers, strict=False))}
    if kind == ELLIPSE:
        return {"name": "ellipse", **dict(zip(("cx", "cy", "rx", "ry"), numbers, strict=False))}
    return {"name": "point" if kind == 1 else "line"}
