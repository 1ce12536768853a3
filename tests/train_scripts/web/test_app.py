"""The demo app: its labels, and in headless Chromium an uploaded picture, the tasks and the thresholds."""

import numpy as np
import pytest

from eomt.train_scripts.web.app import annotate, build_app, describe, launch
from eomt.train_scripts.web.predictor import Prediction, Predictor, Segment

GRADIO = "gradio is not installed (pip install '.[serve]'): the demo app is not tested"
MASK = np.eye(4, dtype=bool)


def test_each_segment_has_a_label_and_a_colour_of_its_own():
    segments = [
        Segment("fish", MASK, (255, 0, 16), 0.987),
        Segment("fish", ~MASK, (1, 2, 3), 0.987),
        Segment("sky", MASK, (0, 0, 0)),
    ]
    annotations, colors = annotate(segments)
    assert colors == {"fish 1 · 0.99": "#ff0010", "fish 2 · 0.99": "#010203", "sky": "#000000"}
    assert [label for _, label in annotations] == list(colors)
    assert np.array_equal(annotations[1][0], np.float32(~MASK))


def test_what_was_done_is_said_in_a_line():
    prediction = Prediction(np.zeros((30, 40, 3), np.uint8), None, 0.12)
    assert describe(1, prediction, 0.015) == "1 segment in 40 × 30 pixels · model 120 ms, segments 15 ms"
    assert describe(0, prediction, 0.015).startswith("no segment at these thresholds: try a lower class score · ")


@pytest.mark.slow
def test_the_app_in_the_browser(checkpoint, pictures, browser, tmp_path):
    pytest.importorskip("gradio", reason=GRADIO)
    (tmp_path / "notes.png").write_text("no picture")
    (tmp_path / "cut.png").write_bytes((pictures / "wide.png").read_bytes()[:2000])
    predictor = Predictor(checkpoint)
    prediction = predictor.predict(pictures / "wide.png")
    app = build_app(checkpoint, [pictures / "wide.png", pictures / "tall.jpg"])
    _, address, _ = launch(app, prevent_thread_lock=True, quiet=True)
    try:
        page = browser.new_page()
        requests = []
        page.on("request", lambda request: requests.append(request.url))
        page.goto(address)

        def shown(*arguments) -> None:
            """Waits until the labels in the legend are those of the predictor."""
            labels = [label for _, label in annotate(predictor.segments(prediction, *arguments))[0]]
            same = "labels => [...document.querySelectorAll('.legend-item')].map(e => e.innerText.trim()).join() === labels.join()"
            assert labels
            page.wait_for_function(same, arg=labels)

        page.set_input_files("input[type=file]", pictures / "wide.png")
        shown("panoptic")
        page.get_by_text("instance", exact=True).click()
        page.get_by_label("number input for Class score").fill("0.1")
        page.get_by_label("number input for Class score").press("Enter")
        shown("instance", 0.1)
        page.get_by_text("semantic", exact=True).click()
        shown("semantic")
        assert page.get_by_label("number input for Class score").count() == 0  # without effect on classes
        for name, message in (("cut.png", "can't be decoded"), ("notes.png", "cannot identify image file")):
            page.get_by_label("Remove Image").click()
            page.set_input_files("input[type=file]", tmp_path / name)
            page.get_by_text(message).wait_for()
        page.close()
    finally:
        app.close()
    assert not [url for url in requests if url.startswith("http") and not url.startswith(address)]
