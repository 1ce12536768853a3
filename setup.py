"""Packaging. The top-level folders are the packages: `modeling_eomt/` is `eomt`, every other code folder `x/` is `eomt.x`."""

from setuptools import setup

FOLDERS = {
    "eomt": "modeling_eomt",
    "eomt.configuration": "configuration",
    "eomt.image_processing": "image_processing",
    "eomt.model_cards": "model_cards",
    "eomt.train_scripts": "train_scripts",
    "eomt.train_scripts.accelerate_configs": "train_scripts/accelerate_configs",
    "eomt.train_scripts.data": "train_scripts/data",
    "eomt.train_scripts.data.formats": "train_scripts/data/formats",
    "eomt.train_scripts.metrics": "train_scripts/metrics",
    "eomt.train_scripts.recipes": "train_scripts/recipes",
    "eomt.train_scripts.results": "train_scripts/results",
    "eomt.train_scripts.sprites": "train_scripts/sprites",
    "eomt.train_scripts.training": "train_scripts/training",
}

setup(
    packages=list(FOLDERS),
    package_dir=FOLDERS,
    package_data={"": ["*.yaml", "*.png", "*.md"]},  # the key must be "": a named one loses the files in a regular install
)
