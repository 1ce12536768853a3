"""Options of a training that follow from its data: the number of images, their shape, and the size of their objects.

What they are was found in trainings of an hour and less, see docs/benchmarks.md.
"""

import json
import math
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from statistics import median

from eomt.train_scripts.data.dataset_folder import Labels, read_labels
from eomt.train_scripts.data.split_report import STRIDE, SplitReport, sides_of_things
from eomt.train_scripts.evaluation.loading import named_in_errors
from eomt.train_scripts.training.arguments import EomtTrainingArguments
from eomt.train_scripts.training.data_arguments import DataArguments
from eomt.train_scripts.training.model_arguments import ModelArguments
from eomt.train_scripts.training.preparing import with_prepared_data
from eomt.train_scripts.training.recipe import given_options, parse_arguments

FEW = 1000  # images: sets of fewer are trained on in small batches
STEPS = 3000  # that a training has at least
FROZEN_BLOCKS = 4
CELLS = 8  # of a mask, that half of the objects have along each side
LARGEST = 6.0  # scale
COPY_PASTE = 0.5  # probability, for instances
QUERIES = 50  # of a semantic model, or twice the classes of an image, if these are more
PATCH = 16  # pixels
LARGE_INPUT = 448  # pixels: from here on the first crops are smaller
NOTHING = "nothing: many images, or no report beside the data, which `eomt prepare` writes"


@dataclass(frozen=True)
class Fact:
    """Something about the data, and the options that follow from it."""

    text: str
    options: dict[str, str | float | bool]

    def without(self, given: Collection[str]) -> "Fact":
        """The fact with the options that are not given."""
        return Fact(self.text, {name: value for name, value in self.options.items() if name not in given})

    def words(self) -> list[str]:
        return [word for name, value in self.options.items() for word in (f"--{name}", str(value))]

    def __str__(self) -> str:
        return f"{self.text}: {', '.join(f'{name} {value}' for name, value in self.options.items())}"


def parse_fitted(classes: Sequence[type], argv: Sequence[str], parsed: tuple) -> tuple:
    """Parses the options again, between those of recipe and command line what follows from the data, and says what that is.

    Data that are not prepared yet are prepared first. All processes must call it.

    Args:
        classes: of the options of model, data and training.
        argv: the command line's words.
        parsed: what they were parsed to.

    Raises:
        ValueError: options don't go together: at once, where the data decide none of them, or with what they decide.
    """
    model, data, args = parsed
    given = given_options(argv)
    if "total_batch_size" in given:
        args.check_shares()
    if {"min_scale", "max_scale"} <= given:
        data.check_scales()
    data = with_prepared_data(data, args)
    facts = facts_of_data(model, data, args, given)
    if args.process_index == 0:
        print("\n".join(f"fitted to:   {fact}" for fact in facts or [NOTHING]), flush=True)
    words = [*argv, "--data", data.data, "--prepare", data.prepare, "--train_split", data.train_split]
    fitted = model, data, args = parse_arguments(classes, words, [word for fact in facts for word in fact.words()])
    args.check_shares()
    data.check_scales()
    return fitted


def facts_of_data(model: ModelArguments, data: DataArguments, args: EomtTrainingArguments, given: Collection[str]) -> list[Fact]:
    """What follows from a prepared dataset, whose report is beside it.

    Args:
        model, data, args: the run's options.
        given: names of those that the command line has, which stay as they are.

    Returns:
        None of a dataset without a report.
    """
    report = SplitReport.beside(data.data, data.train_split)
    if report is None:
        return []
    labels = read_labels(data.data)
    facts = [*_of_few_images(report, labels, model, data, args, given), *_of_sizes(report, labels, data, given)]
    facts = [fact.without(given) for fact in facts]
    return [fact for fact in facts if fact.options]


def _of_few_images(
    report: SplitReport,
    labels: Labels,
    model: ModelArguments,
    data: DataArguments,
    args: EomtTrainingArguments,
    given: Collection[str],
) -> Iterator[Fact]:
    if report.images >= FEW:
        return
    semantic = data.task == "semantic"
    rate = 1e-4 if semantic else 2e-4
    heads = 2 * (args.learning_rate if "learning_rate" in given and not model.lora else rate)  # adapters learn at higher rates
    options = {"learning_rate": rate, "head_learning_rate": heads, "head_warmup": 0.02}
    options["encoder_warmup"] = 0.05 if semantic else 0.04
    batch = args.total_batch_size
    if "total_batch_size" not in given:
        alone = "per_device_train_batch_size" in given
        of_process = args.per_device_train_batch_size if alone else max(1, 2 // args.world_size)
        batch = of_process * args.world_size
        options |= {"total_batch_size": batch, "per_device_train_batch_size": of_process}
    if args.minutes is None and args.max_steps <= 0:
        options["num_train_epochs"] = max(args.num_train_epochs, math.ceil(STEPS * batch / report.images))
    if semantic:
        if args.first_block_annealing is None and not args.pilot_queries:
            options["masking"] = "never"
        encoder = model.timm_model or model.checkpoint and _is_encoder(model.checkpoint)
        if encoder and not model.lora:
            options["frozen_blocks"] = FROZEN_BLOCKS
        if (encoder or not model.checkpoint) and "config" not in given:
            queries = max(QUERIES, 2 * min(report.most_segments, len(labels)))
            options["config"] = json.dumps({**model.config_fields, "num_blocks": 2, "num_queries": queries})
        if data.image_size >= LARGE_INPUT and data.start_image_size is None and not model.cache_features:
            options["start_image_size"] = _smaller(data.image_size, _grid(model, data.image_size))
    if data.task == "instance" and data.augment:
        options["copy_paste"] = COPY_PASTE
    yield Fact(f"{report.images} images, which are few", options)


def _is_encoder(checkpoint: str) -> bool:
    from eomt.weights.starts import is_encoder  # which takes a second to load

    with named_in_errors(checkpoint):
        return is_encoder(checkpoint)


def _smaller(side: int, grid: int) -> int:
    """About a side of half the pixels, a multiple of `grid`."""
    return round(side / 2**0.5 / grid) * grid


def _grid(model: ModelArguments, image_size: int) -> int:
    """Pixels of which the sides of the model's input must be multiples."""
    from transformers import AutoConfig  # which takes a second to load

    from eomt import EomtConfig
    from eomt.configuration import EomtBaseConfig

    fields = {"image_size": image_size, **model.config_fields}
    if model.checkpoint and not _is_encoder(model.checkpoint):
        config = AutoConfig.from_pretrained(model.checkpoint, **fields)
    else:
        config = AutoConfig.for_model(**{"model_type": EomtConfig.model_type, **fields})
    return math.lcm(*config.size_multiples_hw) if isinstance(config, EomtBaseConfig) else PATCH


def _of_sizes(report: SplitReport, labels: Labels, data: DataArguments, given: Collection[str]) -> Iterator[Fact]:
    if not data.augment:
        return
    few = report.images < FEW
    if data.task == "semantic":
        if few:
            shape = _long_by_short(report)
            scales = _scales(0.96 * shape, 1.125 * shape, data, given)
            yield Fact(f"images {shape:.3g} times as long as wide, at about the scale that they are scored at", scales)
        return
    sides = sides_of_things(report, labels)
    cells = sides and sides[0] / 100 * data.image_size / STRIDE
    if data.task == "instance" and cells and cells < 0.8 * CELLS:
        scale = min(LARGEST, CELLS / cells)
        options = {**_scales(0.75 * scale, 1.25 * scale, data, given), "tiles": round(scale, 1)}
        yield Fact(f"objects of which half are narrower than {cells:.1f} cells of a mask (predict with tiles as well)", options)
    elif few:
        yield Fact("images at about the scale that they are scored at", _scales(0.7, 1.4, data, given))


def _scales(least: float, largest: float, data: DataArguments, given: Collection[str]) -> dict[str, float]:
    """The range of scales, on the same side of an end that is given."""
    if "max_scale" in given:
        least = min(least, data.max_scale)
    if "min_scale" in given:
        largest = max(largest, data.min_scale)
    return {"min_scale": round(least, 2), "max_scale": round(largest, 2)}


def _long_by_short(report: SplitReport) -> float:
    """The ratio of an image's sides, the median."""
    ratios = [
        max(sides) / min(sides)
        for size, count in report.sizes.items()
        for sides in [tuple(map(int, size.split(" x ")))]
        for _ in range(count)
    ]
    return median(ratios)
