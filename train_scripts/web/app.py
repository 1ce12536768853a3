"""The demo app: a picture in, its segments with names and scores out, for the three tasks, with thresholds."""

import os
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from eomt.image_processing.defaults import MASK_THRESHOLD, OVERLAP_MASK_AREA_THRESHOLD, THRESHOLD
from eomt.train_scripts.web.predictor import Prediction, Predictor, Segment

os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")  # before gradio is imported

if TYPE_CHECKING:
    import gradio

TITLE = "EoMT"
INTRODUCTION = "# EoMT\nSegments a picture with an [Encoder-only Mask Transformer](https://arxiv.org/abs/2503.19108)."
SLIDERS = {  # of each task, those that have an effect
    "semantic": (),
    "instance": ("threshold", "mask_threshold"),
    "panoptic": ("threshold", "mask_threshold", "overlap_mask_area_threshold"),
}
HEIGHT = 480  # pixels of both pictures
KEPT = 3600  # seconds that a visitor's last outputs are kept
FONT = ("system-ui", "-apple-system", "Segoe UI", "Roboto", "sans-serif")  # no request to another server
CSS = ".gradio-container {max-width: 76rem !important; margin: auto !important} footer {display: none !important}"


def import_gradio() -> Any:
    """gradio.

    Raises:
        ImportError: it is not installed.
    """
    try:
        import gradio
    except ImportError as error:
        raise ImportError("the demo app needs gradio; pip install 'eomt-transformers[serve]'") from error
    return gradio


def build_app(
    checkpoint: str | Path, examples: Sequence[str | Path] = (), task: str | None = None, trust_remote_code: bool = False
) -> "gradio.Blocks":
    """The app, to be launched by [`launch`].

    Args:
        checkpoint: a folder or a Hub name.
        examples: pictures that the app offers.
        task: the one that is chosen at first; by default what the checkpoint's classes suggest.
        trust_remote_code: whether an exported `.pt2` may be loaded, which can run any code.

    Raises:
        ImportError: gradio is not installed.
        ValueError: the checkpoint has no such task, or is a `.pt2` that is not trusted.
        OSError: there is no such checkpoint.
    """
    gradio = import_gradio()
    predictor = Predictor(checkpoint, task, trust_remote_code)

    def predict(path: str | None) -> Prediction | None:
        try:
            return None if path is None else predictor.predict(path)
        except ValueError as error:
            raise gradio.Error(str(error), print_exception=False) from error

    def show(prediction: Prediction | None, task: str, *thresholds: float) -> tuple[Any, str]:
        if prediction is None:
            return None, ""
        start = time.perf_counter()
        segments = predictor.segments(prediction, task, *thresholds)
        annotations, colors = annotate(segments)
        shown = gradio.AnnotatedImage(value=(prediction.pixels, annotations), color_map=colors)
        return shown, describe(len(segments), prediction, time.perf_counter() - start)

    with gradio.Blocks(title=TITLE, fill_width=True) as app:
        gradio.Markdown(INTRODUCTION)
        outputs = gradio.State(time_to_live=KEPT)
        with gradio.Row():
            # the file as it is: the picture is not to be compressed again
            image = gradio.Image(label="Picture", type="filepath", image_mode=None, height=HEIGHT)
            segmented = gradio.AnnotatedImage(label="Segments", height=HEIGHT, format="png")
        facts = gradio.Markdown()
        with gradio.Row():
            with gradio.Column():
                chosen = gradio.Radio(predictor.tasks, value=predictor.task, label="Task")
                sliders = _sliders(gradio, predictor.task)
            with gradio.Column():
                if examples:
                    gradio.Examples([str(path) for path in examples], image, cache_examples=False)
        inputs = [outputs, chosen, *sliders.values()]
        image.change(predict, image, outputs, show_progress_on=segmented).then(show, inputs, [segmented, facts])
        for slider in sliders.values():
            slider.change(show, inputs, [segmented, facts], trigger_mode="always_last", show_progress="hidden")
        chosen.change(
            lambda task: [gradio.update(visible=name in SLIDERS[task]) for name in sliders],
            chosen,
            list(sliders.values()),
            queue=False,
        ).then(show, inputs, [segmented, facts])
    return app


def _sliders(gradio: Any, task: str) -> dict[str, Any]:
    """The sliders by the names of `Predictor.segments`' arguments."""
    ranges = {
        "threshold": ("Class score", "a segment needs more", 0.05, 0.99, THRESHOLD),
        "mask_threshold": ("Mask", "a pixel of a segment needs this", 0.05, 0.95, MASK_THRESHOLD),
        "overlap_mask_area_threshold": ("Overlap", "of its mask a segment must keep", 0, 0.99, OVERLAP_MASK_AREA_THRESHOLD),
    }
    return {
        name: gradio.Slider(low, high, value, step=0.01, label=label, info=info, visible=name in SLIDERS[task])
        for name, (label, info, low, high, value) in ranges.items()
    }


def annotate(segments: Sequence[Segment]) -> tuple[list[tuple[np.ndarray, str]], dict[str, str]]:
    """Segments as `AnnotatedImage` takes them, masks in 0..1 with labels, and the colour of each label.

    Each label is another, since the component gives segments of one label one colour and shows them together.
    """
    totals, counts, annotations, colors = Counter(segment.name for segment in segments), Counter(), [], {}
    for segment in segments:
        counts[segment.name] += 1
        label = f"{segment.name} {counts[segment.name]}" if totals[segment.name] > 1 else segment.name
        label += "" if segment.score is None else f" · {segment.score:.2f}"
        annotations.append((segment.mask.astype(np.float32), label))
        colors[label] = "#{:02x}{:02x}{:02x}".format(*segment.color)
    return annotations, colors


def describe(count: int, prediction: Prediction, seconds: float) -> str:
    """`4 segments in 640 × 480 pixels · model 120 ms, segments 15 ms`."""
    height, width = prediction.pixels.shape[:2]
    found = f"{count} segment{'' if count == 1 else 's'} in {width} × {height} pixels"
    if count == 0:
        found = "no segment at these thresholds: try a lower class score"
    return f"{found} · model {1000 * prediction.seconds:.0f} ms, segments {1000 * seconds:.0f} ms"


def launch(app: "gradio.Blocks", **settings: Any) -> Any:
    """Launches the app in its look; `settings` are those of gradio's `launch`."""
    gradio = import_gradio()
    theme = gradio.themes.Default(primary_hue="indigo", neutral_hue="slate", font=FONT)
    return app.launch(theme=theme, css=CSS, show_error=True, **settings)
