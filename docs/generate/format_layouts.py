"""The layouts of datasets that `prepare.py` knows, as its error message lists them."""

import textwrap

from eomt.train_scripts.data.formats.detection import KNOWN


def layout_list() -> str:
    """A block of text: a format a line, with the folders and files it is known by."""
    return f"```text\n{textwrap.dedent(KNOWN)}\n```"
