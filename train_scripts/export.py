"""Exports a checkpoint to what runs without this package's model: ONNX Runtime, OpenVINO, ExecuTorch, PyTorch or a page.

    eomt export --checkpoint outputs/street --to onnx --output outputs/street-onnx
    eomt export --checkpoint outputs/street --to onnx --int8 --output outputs/street-int8 --images photos
    eomt export --checkpoint outputs/street --to web --int8 --output page --web_examples photos/1.jpg

The folder has the graph, the configuration and the image processor. `eomt score`, `eomt predict`, `eomt serve` and transformers'
pipeline take it as they take a checkpoint. The graph takes any number of images of any multiples of the patch size (ExecuTorch: one
image of one size). Before the command ends, the graph's logits are compared with the model's on images, to 1e-4.
"""

from collections.abc import Sequence

from eomt.train_scripts.data.command import command
from eomt.train_scripts.data.command_line import parse_options
from eomt.train_scripts.data.next_command import next_line, predict_words
from eomt.train_scripts.exporting.export_options import ExportOptions


@command
def main(words: Sequence[str]) -> None:
    options = parse_options(ExportOptions, words, __doc__)
    # heavy modules come after the options, so that a wrong option is answered at once
    if options.to == "web":
        from eomt.train_scripts.web.page import export_page

        report = export_page(options)
    else:
        from eomt.train_scripts.exporting.exporting import export_model

        report = export_model(**vars(options))
    compared, kind = report.agreement, "" if options.images else "drawn "
    print(f"written:  {report.folder}, {report.megabytes:.1f} MB, takes {report.takes}")
    print(f"checked:  on {report.images} {kind}image(s), logits within {compared.difference:.1e} of up to {compared.largest:.3g}")
    if report.int8 is not None:
        print(f"int8:     {100 * report.int8.same_class:.1f} % of the pixels keep their class; `eomt score` tells what is lost")
    if options.to == "web":
        print(f"next:     python -m http.server --directory {report.folder}")
        return
    trust = ("--trust_remote_code",) if options.to == "pt2" else ()
    print(next_line((*predict_words(str(report.folder), report.task), *trust)))


if __name__ == "__main__":
    main()
