"""Exports a checkpoint: traces a graph, compares it with the model on images, and writes a folder, whole or not at all."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from eomt import EomtImageProcessor
from eomt.exported import ExportedMaskClassifier, refuse_exported
from eomt.mask_classifier import MaskClassifier
from eomt.train_scripts.data.command_line import takes_options
from eomt.train_scripts.evaluation.loading import check_architecture, load_config, load_stored, stored_model
from eomt.train_scripts.exporting.check_images import check_images, model_inputs
from eomt.train_scripts.exporting.checking import Agreement, agreement, check_agreement, other_sizes
from eomt.train_scripts.exporting.export_options import ExportOptions
from eomt.train_scripts.exporting.graphs import FORMATS, has_fixed_size, make_graph, quantize_graph


@dataclass(frozen=True)
class ExportReport:
    """
    Args:
        folder: that was written.
        megabytes: of its files, 1e6 bytes each.
        images: on which it was checked.
        agreement: of the float32 graph with the model.
        int8: the same of the graph with 8-bit weights; None without.
        takes: the images that a call takes, in words.
        task: that the image processor is made for, as far as it shows.
    """

    folder: Path
    megabytes: float
    images: int
    agreement: Agreement
    int8: Agreement | None
    takes: str
    task: str


@takes_options(ExportOptions)
def export_model(options: ExportOptions) -> ExportReport:
    """Writes a folder with a graph, the model's configuration and its image processor, after the graph has been checked.

    Returns:
        What was checked, and how large the folder is.

    Raises:
        ImportError: a package of the format is not installed.
        OSError: there is no such checkpoint.
        ValueError: an argument is wrong, the checkpoint is masked and nothing was said about it, or the graph differs from the
            model.
    """
    if options.to == "web":
        raise ValueError("to='web' is a page and no graph: call eomt.train_scripts.web.page.write_page, or eomt export")
    checkpoint = stored_model(options.checkpoint)
    model, processor = load_model_and_processor(checkpoint, options.masked)
    images = check_images(options.images)
    inputs = model_inputs(processor, images)
    size = tuple(inputs[0].shape[-2:])
    if has_fixed_size(model, options.to):
        inputs = [batch for batch in inputs if tuple(batch.shape[-2:]) == size]
    else:
        inputs += other_sizes(inputs, model.config.size_multiples_hw)
    with whole_folder(Path(options.output)) as folder:
        exported = make_graph(model, options.to, size)
        exported.save_pretrained(folder)
        processor.save_pretrained(folder)
        compared = check_graph(folder, model, inputs)
        compared_int8 = None
        if options.int8:
            quantize_graph(exported, options.to)
            exported.save_pretrained(folder)
            compared_int8 = agreement(load_graph(folder), model, inputs)
    megabytes = sum(path.stat().st_size for path in Path(options.output).iterdir()) / 1e6
    number = "one image" if FORMATS[options.to].single else "any number of images"
    if has_fixed_size(model, options.to):
        takes = f"{number} of {size[0]}x{size[1]} pixels"
    else:
        takes = "{} of multiples of {}x{} pixels".format(number, *model.config.size_multiples_hw)
    return ExportReport(Path(options.output), megabytes, len(images), compared, compared_int8, takes, task_name(processor))


def load_model_and_processor(checkpoint: str, masked: bool | None) -> tuple[MaskClassifier, EomtImageProcessor]:
    """A checkpoint as it is exported, in evaluation.

    Args:
        checkpoint: a folder or a Hub name.
        masked: whether all blocks are masked, or none; None for a checkpoint that is not masked.

    Raises:
        OSError: there is no such checkpoint.
        ValueError: it is an export or of another architecture, has no image processor, or is masked and `masked` is None.
    """
    refuse_exported(checkpoint)
    check_architecture(load_config(checkpoint), checkpoint)
    model = load_stored(checkpoint)
    if masked is not None:
        model.set_attn_mask_probs([float(masked)] * len(model.attn_mask_probs))
    elif bool(model.attn_mask_probs.any()):
        probs = [round(probability, 4) for probability in model.attn_mask_probs.tolist()]
        raise ValueError(
            f"checkpoint={checkpoint!r} is not annealed, its masking probabilities are {probs}; give --masked false to export it "
            "without masked attention, as EoMT is scored, or --masked true to export it with it"
        )
    try:
        processor = EomtImageProcessor.from_pretrained(checkpoint)
    except OSError as error:
        raise ValueError(
            f"checkpoint={checkpoint!r} has no image processor (preprocessor_config.json), without which an export can't be used; "
            "store one in it with `EomtImageProcessor(...).save_pretrained`"
        ) from error
    return model.eval(), processor


@contextmanager
def whole_folder(folder: Path) -> Iterator[Path]:
    """A folder to write into, which gets its name when all is written. After an error nothing is left of it."""
    part = folder.with_name(f".{folder.name}.partial")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    try:
        yield part
        os.replace(part, folder)
    except BaseException:
        shutil.rmtree(part, ignore_errors=True)
        raise


def load_graph(folder: Path) -> ExportedMaskClassifier:
    """What was just written, and so may be trusted."""
    return ExportedMaskClassifier.from_pretrained(folder, trust_remote_code=True)


def check_graph(folder: Path, model: MaskClassifier, inputs: list[Tensor]) -> Agreement:
    """Compares a stored graph with its model.

    Raises:
        ValueError: they differ by more than rounding.
    """
    compared = agreement(load_graph(folder), model, inputs)
    check_agreement(compared)
    return compared


def task_name(processor: EomtImageProcessor) -> str:
    """The task that a processor was made for."""
    if processor.do_split_image:
        return "semantic"
    return "panoptic" if processor.stuff_classes else "instance"
