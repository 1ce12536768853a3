"""Packaging by one rule: the folder `modeling_eomt/` is the package `eomt`, and every other code folder `x/` is `eomt.x`."""

from pathlib import Path

from setuptools import setup

CODE = ("configuration", "image_processing", "model_cards", "train_scripts")
ROOTS = {"eomt": "modeling_eomt", **{f"eomt.{name}": name for name in CODE}}


def packages() -> dict[str, str]:
    """{package: folder}, with all folders below the roots."""
    here, found = Path(__file__).parent, {}
    for root, top in ROOTS.items():
        for folder in sorted({here / top, *(path for path in (here / top).rglob("*") if path.is_dir())}):
            if folder.name != "__pycache__":
                found[".".join([root, *folder.relative_to(here / top).parts])] = folder.relative_to(here).as_posix()
    return found


setup(
    packages=list(packages()),
    package_dir=packages(),
    package_data={
        "": ["*.yaml", "*.png", "*.md", "*.html", "*.js", "*.css"]
    },  # the key must be "": a named one loses the files in a regular install
)
