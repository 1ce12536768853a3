"""The last steps of the demo: predictions on unseen scenes drawn and scored, and one of them served by stock transformers."""

import subprocess
import sys
from pathlib import Path

from torchvision.transforms.v2.functional import to_pil_image

from eomt import EomtForUniversalSegmentation, EomtImageProcessor
from eomt.train_scripts.data.dataset_folder import read_labels
from eomt.train_scripts.data.evaluation_stream import evaluation_stream
from eomt.train_scripts.evaluation.inference import predictions
from eomt.train_scripts.evaluation.pictures import draw_predictions
from eomt.train_scripts.evaluation.score_tables import print_scores
from eomt.train_scripts.evaluation.tasks import task_of

# a process that does not import this package
SERVE = """
import sys
from PIL import Image
from transformers import pipeline

segmenter = pipeline("image-segmentation", model=sys.argv[1])
print(f"{type(segmenter.model).__module__} on {sys.argv[2]}:")
for segment in segmenter(Image.open(sys.argv[2]), threshold=0.5):
    print(f"  {segment['label']:<10} score {segment['score']:.3f}  {sum(segment['mask'].histogram()[1:]):6d} pixels")
"""


def draw_and_serve(scenes: Path, model_folder: Path, out: Path) -> None:
    """Writes `picture.png` and `scene.png` into `out`, and prints scores and the segments of one scene.

    Args:
        scenes: the demo's dataset.
        model_folder: the finished run.
        out: an existing folder.
    """
    processor = EomtImageProcessor.from_pretrained(model_folder)
    stream = evaluation_stream(scenes, "val", processor)
    model = EomtForUniversalSegmentation.from_pretrained(model_folder)
    task = task_of("panoptic")
    results = predictions(model, processor, stream, task, batch_size=6, threshold=0.5, show_progress=False)  # a few are drawn
    draw_predictions(results, task, read_labels(scenes), out / "picture.png")
    print_scores(model_folder, "200 unseen scenes")
    to_pil_image(next(iter(stream))["sample"].image).save(out / "scene.png")
    subprocess.run([sys.executable, "-c", SERVE, str(model_folder), str(out / "scene.png")], check=True)
