"""Pictures: colours, contours, sizes, and errors."""

import numpy as np
import pytest
import torch
from PIL import Image

from eomt.image_processing.pictures import CELL, GAP, GridRow, Segmentation, class_color, draw_segments, picture_grid

NAMES, ISTHING = ["cat", "dog", "sky", "road"], [True, True, False, False]


def scene(height: int = 40, width: int = 60) -> tuple[torch.Tensor, Segmentation]:
    ids = torch.zeros(height, width, dtype=torch.int32)
    ids[: height // 2], ids[height // 2 :, : width // 2] = 7, 9
    return torch.full((3, height, width), 128, dtype=torch.uint8), Segmentation(ids, {7: 2, 9: 0})


def test_segments_void_and_contours():
    image, segmentation = scene()
    picture = np.asarray(draw_segments(image, segmentation, ["", "", "", ""], ISTHING))
    assert picture.shape == (40, 60, 3)
    assert np.abs(picture[35, 50] - 32.0).max() <= 1  # void, darkened
    assert (picture[19, 5] == 255).all() and (picture[30, 29] == 255).all()  # contours
    sky, cat = picture[5, 5].astype(float), picture[30, 5].astype(float)
    assert np.abs(sky - (0.45 * 128 + 0.55 * np.array(class_color(2, ISTHING)))).max() <= 1
    assert np.abs(cat - (0.45 * 128 + 0.55 * np.array(class_color(0, ISTHING)))).max() <= 1


def test_things_differ_stuff_does_not_and_classes_are_apart():
    assert class_color(2, ISTHING, 0) == class_color(2, ISTHING, 3)
    assert len({class_color(0, ISTHING, instance) for instance in range(5)}) == 5
    isthing = [True] * 80 + [False] * 53  # as in COCO
    colors = {class_color(label, isthing) for label in range(133)}
    assert len(colors) == 133
    following = [np.subtract(class_color(i, isthing), class_color(i + 1, isthing)) for i in range(79)]
    assert min(np.abs(difference).max() for difference in following) > 60


def test_results_of_post_processing_can_be_drawn():
    result = {"segmentation": torch.tensor([[-1, 3]]), "segments_info": [{"id": 3, "label_id": 1, "score": 0.9}]}
    segmentation = Segmentation.of_result(result)
    assert segmentation.classes == {3: 1}
    picture = draw_segments(torch.zeros(3, 1, 2, dtype=torch.uint8), segmentation, NAMES, ISTHING, size=(40, 20))
    assert picture.size == (40, 20)


def test_a_grid_holds_rows_of_any_shape_and_a_legend(tmp_path):
    rows = [GridRow(image, segmentation, segmentation) for image, segmentation in (scene(), scene(112, 112), scene(300, 100))]
    picture_grid(rows, tmp_path / "grid.png", NAMES, ISTHING)
    picture_grid(rows[:1], tmp_path / "one.png", NAMES, ISTHING)
    tall, short = (Image.open(tmp_path / name) for name in ("grid.png", "one.png"))
    assert short.format == "PNG" and short.width == tall.width > 3 * CELL
    assert tall.height - short.height > 2 * CELL
    legend = np.asarray(short)[-40:]
    for label in (0, 2):
        assert (legend == class_color(label, ISTHING)).all(-1).any()
    assert not (legend == class_color(3, ISTHING)).all(-1).any()  # not to be seen in any picture


@pytest.mark.parametrize(("count", "parts"), [(12, 2), (6, 3), (5, 3), (30, 2)])
@pytest.mark.parametrize("size", [(112, 112), (90, 120), (120, 90)])
def test_a_grid_is_about_as_wide_as_high(tmp_path, count, parts, size):
    image, segmentation = scene(*size)
    row = GridRow(image, segmentation, segmentation if parts == 3 else None)
    picture_grid([row] * count, tmp_path / "grid.png", NAMES, ISTHING, titles=("image", "truth", "prediction")[:parts])
    grid = Image.open(tmp_path / "grid.png")
    assert 0.5 < grid.width / grid.height < 2
    pixels = np.asarray(grid)
    assert (pixels[100:, -GAP:] == 255).all() and (pixels[100:, -CELL // 2] != 255).any()  # the last column holds pictures


def test_wrong_arguments(tmp_path):
    image, segmentation = scene()
    with pytest.raises(ValueError, match="They must have one size"):
        draw_segments(image[:, :10], segmentation, NAMES, ISTHING)
    with pytest.raises(ValueError, match=r"class indices \[4\]; allowed are 0..3"):
        draw_segments(image, Segmentation(segmentation.id_map, {7: 4}), NAMES, ISTHING)
    with pytest.raises(ValueError, match="rows is empty"):
        picture_grid([], tmp_path / "grid.png", NAMES, ISTHING)
    assert not list(tmp_path.iterdir())
