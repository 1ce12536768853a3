"""The datasets that `prepare.py` does not read but knows the converters of, as its error message gives them."""

from eomt.train_scripts.data.formats.converters import CONVERTERS, CVAT, Converter


def converter_list() -> str:
    """A paragraph for each dataset, and below it the command that converts `FOLDER`."""
    return "\n\n".join(_entry(converter) for converter in (CVAT, *CONVERTERS))


def _entry(converter: Converter) -> str:
    source = f"FOLDER/{converter.inside}" if converter.inside else "FOLDER"
    command = converter.command.format(source=source, form=converter.form, out="FOLDER_coco", more=converter.more)
    note = f" {converter.note.format(folder='FOLDER')}." if converter.note else ""
    return f"**{converter.title[0].upper()}{converter.title[1:]}.**{note}\n\n```bash\n{command}\n```"
