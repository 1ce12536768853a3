"""A folder that is a page in the browser: it segments pictures with a checkpoint, without a server of ours."""

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from PIL import Image
from torch import Tensor

from eomt.train_scripts.data.samples import decode_image
from eomt.train_scripts.evaluation.loading import class_names, stored_model
from eomt.train_scripts.exporting.check_images import check_images, model_inputs
from eomt.train_scripts.exporting.checking import Agreement
from eomt.train_scripts.exporting.export_options import ExportOptions
from eomt.train_scripts.exporting.exporting import ExportReport, load_model_and_processor, task_name, whole_folder
from eomt.train_scripts.web.onnx_file import write_onnx
from eomt.train_scripts.web.page_settings import page_settings
from eomt.train_scripts.web.runtime import FILES, VERSION, runtime_folder

PAGE_FILES = Path(__file__).parent / "page_files"
SCRIPTS = ("index.html", "style.css", "page.js", "drawing.js", "worker.js", "segmentation.js")
EXAMPLE_SIDE = 1024  # pixels, to which the long side of an example is reduced
README = f"""---
title: EoMT in the browser
emoji: 🧩
colorFrom: indigo
colorTo: green
sdk: static
custom_headers:
  cross-origin-opener-policy: same-origin
  cross-origin-embedder-policy: require-corp
---

Segments pictures in the browser; no picture leaves the device. Any server of files will do, such as

    python -m http.server --directory .

The lines above make it a Space of the Hub. Their headers let the model use several threads; without them it uses one.

`onnxruntime/` is ONNX Runtime Web {VERSION} (Microsoft, MIT licence).
"""


class PageReport(NamedTuple):
    """
    Args:
        index: the path of `index.html`.
        images: on which the model was checked.
        agreement, int8, task: see `ExportReport`.
    """

    index: Path
    images: int
    agreement: Agreement
    int8: Agreement | None
    task: str


def write_page(
    checkpoint: str | Path,
    folder: str | Path,
    int8: bool = False,
    runtime: str | Path | None = None,
    examples: Sequence[str | Path] = (),
    masked: bool | None = None,
    images: str | None = None,
) -> PageReport:
    """Writes the page with a checkpoint's model. Files that it writes are replaced, others are left alone.

    Args:
        checkpoint: a folder or a Hub name, of a panoptic or an instance model.
        folder: to be written.
        int8: whether the model's weights become 8-bit integers: a file of .4 times the size, and nearly the same segments.
        runtime: a folder with the files of ONNX Runtime Web, see `eomt.train_scripts.web.runtime`.
        examples: pictures that the page offers.
        masked, images: see `ExportOptions`.

    Raises:
        ValueError: the page can't process images as the checkpoint does, an argument is wrong, or the exported model differs from
            the checkpoint's.
        OSError: there is no such checkpoint, or ONNX Runtime Web couldn't be fetched.
        ImportError: a package of the extra `export` is missing.
    """
    folder, source = Path(folder), stored_model(checkpoint)
    model, processor = load_model_and_processor(source, masked)
    settings = page_settings(processor, class_names(model), model.config.size_multiples_hw)
    inputs = model_inputs(processor, check_images(images))
    pictures = [decode_image({"path": str(path)}, f"examples[{index}]") for index, path in enumerate(examples)]
    runtime = runtime_folder(runtime)
    (folder / "onnxruntime").mkdir(parents=True, exist_ok=True)
    for name, copied in FILES.items():
        shutil.copyfile(runtime / name, folder / "onnxruntime" / copied)
    for name in SCRIPTS:
        shutil.copyfile(PAGE_FILES / name, folder / name)
    compared, compared_int8 = write_onnx(model, inputs, folder / "model.onnx", int8)
    settings |= {
        "precision": "int8" if int8 else "float32",
        "model_bytes": (folder / "model.onnx").stat().st_size,
        "examples": _write_examples(pictures, folder),
    }
    (folder / "settings.json").write_text(json.dumps(settings, indent=1, ensure_ascii=False), encoding="utf-8")
    (folder / "README.md").write_text(README, encoding="utf-8")
    return PageReport(folder / "index.html", len(inputs), compared, compared_int8, task_name(processor))


def export_page(options: ExportOptions) -> ExportReport:
    """[`write_page`] as a target of `eomt export`: the folder is written whole or not at all."""
    with whole_folder(Path(options.output)) as folder:
        report = write_page(
            options.checkpoint, folder, options.int8, options.web_runtime, options.web_examples, options.masked, options.images
        )
    megabytes = sum(path.stat().st_size for path in Path(options.output).rglob("*") if path.is_file()) / 1e6
    takes = "one picture of any size"
    return ExportReport(Path(options.output), megabytes, report.images, report.agreement, report.int8, takes, report.task)


def _write_examples(pictures: Sequence[Tensor], folder: Path) -> list[str]:
    """Writes examples, (3, H, W) uint8 each, and returns their paths in the folder."""
    (folder / "examples").mkdir(exist_ok=True)
    paths = [
        f"examples/{index + 1}.png" if max(picture.shape) < 256 else f"examples/{index + 1}.jpg"
        for index, picture in enumerate(pictures)
    ]
    for picture, path in zip(pictures, paths, strict=True):
        image = Image.fromarray(picture.permute(1, 2, 0).contiguous().numpy())
        image.thumbnail((EXAMPLE_SIDE, EXAMPLE_SIDE))
        image.save(folder / path, quality=90)
    return paths
