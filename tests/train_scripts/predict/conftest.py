"""Photos to predict, and what the image processor makes of each."""

import numpy as np
import pytest
import torch
from PIL import Image
from predicted_photos import NAMES, SIZES

from eomt import EomtForUniversalSegmentation, EomtImageProcessor
from eomt.train_scripts.data import scenes


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """Five parts of scenes, named as COCO names its images, one of them in a subfolder."""
    folder = tmp_path_factory.mktemp("photos")
    (folder / "more").mkdir()
    for number, (height, width) in enumerate(SIZES):
        image, *_ = scenes.make_scene(np.random.default_rng(number), held_out=True)
        Image.fromarray(image[:height, :width]).save(folder / ("more/x.png" if number == 3 else f"{100 + number:012d}.png"))
    return folder


@pytest.fixture
def direct(checkpoints, photos):
    """`direct(task)`: {name: what the image processor makes of an image}, one at a time."""

    def run(task: str) -> dict:
        model = EomtForUniversalSegmentation.from_pretrained(checkpoints / task).eval()
        model.set_attn_mask_probs([0.0])
        processor = EomtImageProcessor.from_pretrained(checkpoints / task)
        results = {}
        for name in NAMES:
            image = Image.open(photos / f"{name}.png")
            inputs = processor(images=[image], return_tensors="pt")
            with torch.no_grad():
                outputs = model(**inputs)
            size = [image.size[::-1]]
            if task == "semantic":
                results[name] = processor.post_process_semantic_segmentation(outputs, size)[0]
            elif task == "panoptic":
                results[name] = processor.post_process_panoptic_segmentation(outputs, size, threshold=0.05)[0]
            else:
                results[name] = processor.post_process_instance_segmentation(
                    outputs, size, threshold=0.0, top_k=100, return_rles=True
                )[0]
        return results

    return run
