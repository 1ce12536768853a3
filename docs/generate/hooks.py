"""What the site is made of besides its pages: tables, pictures and the API reference, all from the code.

A page asks for one by a comment on a line by itself: `<!-- generate: options score -->`, or `architectures`, `converters` or
`recipes` there.
"""

import re
import textwrap

from api_pages import api_pages, link_source
from architecture_table import architecture_table
from curve_pictures import learning_rate_picture, masking_picture
from format_layouts import converter_table
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from option_tables import option_table
from recipe_table import recipe_table

DIRECTIVE = re.compile(r"^(?P<indent> *)<!-- generate: (?P<kind>\w+)(?P<arguments>[^>]*) -->$", re.MULTILINE)
TABLES = {"options": option_table, "architectures": architecture_table, "converters": converter_table, "recipes": recipe_table}
PICTURES = {"masking_probabilities.svg": masking_picture, "learning_rates.svg": learning_rate_picture}


def on_startup(**kwargs) -> None:
    """Makes the source tree of the API reference, before the reader of docstrings looks for it."""
    link_source()


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Puts the pages of the API reference into the navigation."""
    pages = [{path.removeprefix("api/").removesuffix(".md"): path} for path in api_pages()]
    config.nav = [*config.nav, {"API reference": pages}]
    return config


def on_files(files: Files, *, config: MkDocsConfig) -> Files:
    """Adds the pages and pictures that are made at build."""
    for path, text in api_pages().items():
        files.append(File.generated(config, path, content=text))
    for path, draw in PICTURES.items():
        files.append(File.generated(config, path, content=draw()))
    return files


def on_page_markdown(markdown: str, **kwargs) -> str:
    """Replaces each directive by what it asks for."""
    return DIRECTIVE.sub(_generated, markdown)


def _generated(match: re.Match) -> str:
    return textwrap.indent(TABLES[match["kind"]](*match["arguments"].split()), match["indent"])
