"""Exports a checkpoint to what runs without this package's model: ONNX Runtime, OpenVINO, ExecuTorch or PyTorch.

    eomt export --checkpoint outputs/street --to onnx --output outputs/street-onnx
    eomt export --checkpoint outputs/street --to onnx --int8 --output outputs/street-int8 --images photos

The folder has the graph, the configuration and the image processor. `eomt score`, `eomt predict` and transformers' pipeline take it
as they take a checkpoint. The graph takes any number of images of any multiples of the patch size (ExecuTorch: one image of one
size). Before the command ends, the graph's logits are compared with the model's on images, to 1e-4.
"""

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from eomt.train_scripts.data.command import command
from eomt.train_scripts.data.command_line import parse_options
from eomt.train_scripts.data.next_command import next_line, predict_words
from eomt.train_scripts.exporting.export_options import ExportOptions

if TYPE_CHECKING:
    from eomt.train_scripts.exporting.exporting import ExportReport


def export_model(*args: Any, **kwargs: Any) -> "ExportReport":
    """`eomt.train_scripts.exporting.exporting.export_model`, whose arguments are the fields of `ExportOptions`."""
    from eomt.train_scripts.exporting import exporting  # heavy: after the options, so that a wrong one is answered at once

    return exporting.export_model(*args, **kwargs)


@command
def main(words: Sequence[str]) -> None:
    options = parse_options(ExportOptions, words, __doc__)
    report = export_model(**asdict(options))
    compared, kind = report.agreement, "" if options.images else "drawn "
    print(f"written:  {report.folder}, {report.megabytes:.1f} MB, takes {report.takes}")
    print(f"checked:  on {report.images} {kind}image(s), logits within {compared.difference:.1e} of up to {compared.largest:.3g}")
    if report.int8 is not None:
        print(f"int8:     {100 * report.int8.same_class:.1f} % of the pixels keep their class; `eomt score` tells what is lost")
    trust = ("--trust_remote_code",) if options.to == "pt2" else ()
    print(next_line((*predict_words(str(report.folder), report.task), *trust)))


if __name__ == "__main__":
    main()
