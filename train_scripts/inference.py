"""Panoptic predictions over a stream of images."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext

import torch
from torch.utils.data import DataLoader
from tqdm.auto import tqdm

from eomt.image_processing.image_processing_eomt import EomtImageProcessor
from eomt.modeling_eomt import EomtForUniversalSegmentation
from eomt.train_scripts.samples import Sample
from eomt.train_scripts.streams import EvaluationStream, collate_evaluation


@torch.no_grad()
def panoptic_predictions(
    model: EomtForUniversalSegmentation,
    processor: EomtImageProcessor,
    stream: EvaluationStream,
    batch_size: int,
    threshold: float = 0.8,
    autocast: Callable[[], AbstractContextManager] = nullcontext,
    show_progress: bool = True,
) -> Iterator[tuple[Sample, dict]]:
    """Each image with its segments, by the model in evaluation mode, which is put back afterwards.

    Args:
        model, processor: as trained or loaded.
        stream: the images.
        batch_size: images a forward pass.
        threshold: class score a query needs to become a segment.
        autocast: makes the context of a forward pass.
        show_progress: whether to show a bar.

    Yields:
        The sample, and what `post_process_panoptic_segmentation` gives at its own size.
    """
    training = model.training
    loader = DataLoader(stream, batch_size=batch_size, collate_fn=collate_evaluation)
    model.eval()
    try:
        for batch in tqdm(loader, desc="predicting", unit="batch", disable=not show_progress):
            with autocast():
                outputs = model(pixel_values=batch["pixel_values"].to(model.device))
            sizes = [tuple(sample.id_map.shape) for sample in batch["samples"]]
            results = processor.post_process_panoptic_segmentation(outputs, target_sizes=sizes, threshold=threshold)
            yield from zip(batch["samples"], results, strict=True)
    finally:
        model.train(training)
