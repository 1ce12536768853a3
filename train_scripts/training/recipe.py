"""Recipes: YAML files whose keys are command-line options, so that both are parsed and checked alike."""

import argparse
import difflib
import json
from collections.abc import Sequence
from pathlib import Path

import yaml

from eomt.train_scripts.training.option_groups import TrainingParser


def recipe_words(path: str | Path) -> list[str]:
    """The command-line words of a recipe.

    Args:
        path: of a YAML file with one mapping; a nested mapping becomes JSON. A bare name is looked up in `recipes/`.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it holds no mapping.
    """
    path = Path(path)
    bundled = Path(__file__).parents[1] / "recipes" / f"{path.name.removesuffix('.yaml')}.yaml"
    if not path.is_file() and path.parent == Path() and bundled.is_file():
        path = bundled
    if not path.is_file():
        known = sorted(file.stem for file in bundled.parent.glob("*.yaml"))
        near = difflib.get_close_matches(bundled.stem, known, n=1)
        hint = f"did you mean {near[0]}? Give" if near else "give"
        raise FileNotFoundError(f"recipe {str(path)!r} does not exist; {hint} a YAML file or one of: {', '.join(known)}")
    try:
        content = yaml.safe_load(path.read_text())
    except yaml.YAMLError as error:
        raise ValueError(f"recipe {str(path)!r} is no YAML: {error}") from error
    if not isinstance(content, dict):
        raise ValueError(f"recipe {str(path)!r} must be a mapping of options to values, not {type(content).__name__}")
    words = []
    for key, value in content.items():
        if value is None:
            raise ValueError(f"recipe {str(path)!r} gives {key} no value; leave the key out, or write '' for an empty text")
        values = value if isinstance(value, list) else [json.dumps(value) if isinstance(value, dict) else value]
        words += [f"--{key}", *map(str, values)]
    return words


def parse_arguments(argument_classes: Sequence[type], argv: Sequence[str], between: Sequence[str] = ()) -> tuple:
    """Parses `--recipe FILE` and options into dataclasses; options on the command line win over the recipe's.

    Args:
        argument_classes: dataclasses to fill.
        argv: the command line's words.
        between: words that win over the recipe's, and the command line's over them.

    Raises:
        ValueError: for an option or recipe key that no dataclass has, with the nearest one that exists.
    """
    first = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    first.add_argument("--recipe")
    chosen, words = first.parse_known_args(list(argv))
    recipe = recipe_words(chosen.recipe) if chosen.recipe else []
    parser = TrainingParser(argument_classes)
    parser.refuse_unknown(words)
    parser.refuse_unknown(recipe, f"recipe {chosen.recipe!r}")
    return parser.parse_args_into_dataclasses([*recipe, *between, *words])[: len(argument_classes)]


def given_options(argv: Sequence[str]) -> set[str]:
    """The names of the options on a command line."""
    return {word[2:].split("=")[0].replace("-", "_") for word in argv if word.startswith("--")}
