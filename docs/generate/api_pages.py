"""The pages of the API reference, one for each package, and the source tree they are read from.

`setup.py` installs `modeling_eomt/` as `eomt` and each other code folder `x/` as `eomt.x`. The reader of docstrings looks for
packages in folders of their names, so the tree has these names as links to the folders.
"""

import shutil
from pathlib import Path

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "build/api_source"
INTRODUCTION = "Generated from the docstrings of `{package}`."


def code_folders() -> dict[str, Path]:
    """{package: folder}, by the rule of `setup.py`."""
    packages = {path.parent.name: path.parent for path in sorted(ROOT.glob("*/__init__.py"))}
    core = packages.pop("modeling_eomt")
    return {"eomt": core} | {f"eomt.{name}": folder for name, folder in packages.items()}


def link_source() -> None:
    """Makes the tree `build/api_source/eomt`: links to what is in each code folder."""
    shutil.rmtree(SOURCE, ignore_errors=True)
    for package, folder in code_folders().items():
        target = SOURCE.joinpath(*package.split("."))
        target.mkdir(parents=True)
        for path in folder.iterdir():
            if path.name != "__pycache__":
                (target / path.name).symlink_to(path)


def modules(package: str, folder: Path) -> dict[str, list[str]]:
    """{package: its modules}, of a folder and all folders below it that have any."""
    own = sorted(path.stem for path in folder.glob("*.py") if not path.name.startswith("__"))
    pages = {package: [f"{package}.{name}" for name in own]} if own else {}
    for below in sorted(path.parent for path in folder.glob("*/__init__.py")):
        pages |= modules(f"{package}.{below.name}", below)
    return pages


def api_pages() -> dict[str, str]:
    """{path of a page: its text}."""
    pages = {}
    for root, folder in code_folders().items():
        for package, names in modules(root, folder).items():
            blocks = "\n\n".join(f"::: {name}" for name in names)
            pages[f"api/{package}.md"] = f"# {package}\n\n{INTRODUCTION.format(package=package)}\n\n{blocks}\n"
    return pages
