"""Serves a checkpoint as an app in the browser, or writes the app as a Space of the Hub.

    eomt serve --checkpoint outputs/demo/model --examples outputs/demo/scene.png
    eomt serve --checkpoint outputs/demo/model --space space && hf upload USER/NAME space --repo-type space

The app takes a picture by upload, paste or camera, and shows its segments for the task and the thresholds that are chosen.
"""

from collections.abc import Sequence
from pathlib import Path

from eomt.train_scripts.data.command import command
from eomt.train_scripts.data.command_line import parse_options
from eomt.train_scripts.data.formats.image_files import IMAGE_SUFFIXES
from eomt.train_scripts.web.serve_options import ServeOptions

MOST_EXAMPLES = 8


def example_files(examples: str | None) -> list[Path]:
    """The pictures of an option: a file, or the first ones of a folder."""
    if examples is None or Path(examples).is_file():
        return [Path(examples)] if examples else []
    files = sorted(path for path in Path(examples).iterdir() if path.suffix.lower() in IMAGE_SUFFIXES)
    if not files:
        raise ValueError(f"examples={examples!r} has no pictures; give a picture or a folder of pictures")
    return files[:MOST_EXAMPLES]


@command
def main(words: Sequence[str]) -> None:
    options = parse_options(ServeOptions, words, __doc__)
    files = example_files(options.examples)
    # heavy modules come after the options, so that a wrong option is answered at once
    from eomt.train_scripts.web.app import build_app, import_gradio, launch

    import_gradio()
    if options.space is not None:
        from eomt.train_scripts.web.space import write_space

        write_space(options.checkpoint, options.space, files, options.task)
        print(f"written:  {options.space}\nnext:     hf upload USER/NAME {options.space} --repo-type space")
        return
    app = build_app(options.checkpoint, files, options.task, options.trust_remote_code)
    launch(app, server_name=options.host, server_port=options.port)


if __name__ == "__main__":
    main()
