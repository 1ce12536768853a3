"""Recipes: YAML files whose keys are command-line options, so that both are parsed and checked alike."""

import argparse
import difflib
import json
from collections.abc import Sequence
from pathlib import Path

import yaml
from transformers import HfArgumentParser


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
        known = ", ".join(sorted(file.stem for file in bundled.parent.glob("*.yaml")))
        raise FileNotFoundError(f"recipe {str(path)!r} does not exist; give a YAML file or one of: {known}")
    content = yaml.safe_load(path.read_text())
    if not isinstance(content, dict):
        raise ValueError(f"recipe {str(path)!r} must be a mapping of options to values, not {type(content).__name__}")
    words = []
    for key, value in content.items():
        if value is None:
            raise ValueError(f"recipe {str(path)!r} gives {key} no value; leave the key out, or write '' for an empty text")
        values = value if isinstance(value, list) else [json.dumps(value) if isinstance(value, dict) else value]
        words += [f"--{key}", *map(str, values)]
    return words


def parse_arguments(argument_classes: Sequence[type], argv: Sequence[str]) -> tuple:
    """Parses `--recipe FILE` and options into dataclasses; options on the command line win over the recipe's.

    Args:
        argument_classes: dataclasses to fill.
        argv: the command line's words.

    Raises:
        ValueError: for an option or recipe key that no dataclass has, with the nearest one that exists.
    """
    first = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    first.add_argument("--recipe")
    chosen, words = first.parse_known_args(list(argv))
    recipe = recipe_words(chosen.recipe) if chosen.recipe else []
    parser = HfArgumentParser(argument_classes, allow_abbrev=False)
    parser.add_argument("--recipe", help="YAML file of options, or the name of a bundled recipe")
    known = {option for action in parser._actions for option in action.option_strings}
    for source, options in (("the command line", words), (f"recipe {chosen.recipe!r}", recipe)):
        for option in (word.split("=")[0] for word in options if word.startswith("--")):
            if option not in known:
                near = difflib.get_close_matches(option, known, n=1)
                hint = f"; did you mean {near[0]}?" if near else "; see --help"
                raise ValueError(f"{source} has the unknown option {option}{hint}")
    return parser.parse_args_into_dataclasses([*recipe, *words])[: len(argument_classes)]
