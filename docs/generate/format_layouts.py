"""The datasets that `prepare.py` does not read but knows the converters of, as its error message gives them."""

from eomt.train_scripts.data.formats.converters import CONVERTERS, CVAT, Converter


def converter_table() -> str:
    """A row a dataset, with the command that converts `FOLDER`, and what else there is to say."""
    rows = [f"| {_upper(each.title)} | `{_command(each)}` | {_note(each)} |" for each in (CVAT, *CONVERTERS)]
    return "\n".join(["| dataset | converted by | note |", "| --- | --- | --- |", *rows])


def _command(converter: Converter) -> str:
    source = f"FOLDER/{converter.inside}" if converter.inside else "FOLDER"
    return converter.command.format(source=source, form=converter.form, out="FOLDER_coco", more=converter.more).replace("|", r"\|")


def _note(converter: Converter) -> str:
    return converter.note.format(folder="FOLDER").replace("|", r"\|")


def _upper(text: str) -> str:
    return text[0].upper() + text[1:]
