"""The page: its folder, and in headless Chromium the segments of pictures, which are Python's in every pixel."""

import functools
import json
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from PIL import Image

from eomt import EomtForUniversalSegmentation, EomtImageProcessor
from eomt.train_scripts.web import page as module
from eomt.train_scripts.web.onnx_file import OUTPUTS, quantize
from eomt.train_scripts.web.page import SCRIPTS, write_page
from eomt.train_scripts.web.runtime import FILES, cache_folder

ISOLATION = {"Cross-Origin-Opener-Policy": "same-origin", "Cross-Origin-Embedder-Policy": "require-corp"}
NAMES = ["bee", "fish", "frog", "brick", "grass"]  # of the checkpoint
SHOWN = "[data-state=shown]"
RESULT = """async () => {
    const { ids, segments, shown } = (await import("./page.js")).view.result;
    return { ids: ids.join(" "), segments, shown };
}"""


@contextmanager
def served(folder: Path, headers: dict[str, str]) -> Iterator[str]:
    """The address of a server of a folder's files, which sends these headers with each."""

    class Handler(SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

        def end_headers(self):
            for name, value in headers.items():
                self.send_header(name, value)
            super().end_headers()

    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Handler, directory=str(folder)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/"
    finally:
        server.shutdown()
        server.server_close()


@pytest.fixture(scope="module")
def site(checkpoint, pictures, tmp_path_factory) -> Path:
    """The page's folder. ONNX Runtime Web comes from the user's cache: tests fetch nothing."""
    if not all((cache_folder() / name).is_file() for name in FILES):
        pytest.skip("ONNX Runtime Web is not here: `python -m eomt.train_scripts.web.runtime` fetches it")
    folder = tmp_path_factory.mktemp("site")
    write_page(checkpoint, folder, examples=[pictures / "wide.png"])
    return folder


@pytest.fixture(scope="module")
def python_map(checkpoint, pictures) -> Callable[..., dict]:
    """`python_map(name, *thresholds)`: panoptic segments of a picture by the Python package."""
    model = EomtForUniversalSegmentation.from_pretrained(checkpoint).eval()
    model.set_attn_mask_probs([0.0])
    processor = EomtImageProcessor.from_pretrained(checkpoint)

    def segment(name: str, *thresholds: float) -> dict:
        image = Image.open(pictures / name)
        with torch.inference_mode():
            outputs = model(**processor(image, return_tensors="pt"))
        return processor.post_process_panoptic_segmentation(outputs, [image.size[::-1]], *thresholds)[0]

    return segment


def check_equal(found: dict, expected: dict) -> None:
    assert np.array_equal(np.array(found["ids"].split(), int).reshape(found["shown"]), expected["segmentation"].numpy())
    infos = expected["segments_info"]
    assert [segment["label"] for segment in found["segments"]] == [info["label_id"] for info in infos]
    assert [segment["score"] for segment in found["segments"]] == pytest.approx([info["score"] for info in infos], abs=1e-4)


@pytest.fixture
def no_onnx(tmp_path, monkeypatch) -> Path:
    """A folder with stand-ins for ONNX Runtime Web; and as many bytes are written as the input is wide, in place of a graph."""
    folder = tmp_path / "runtime"
    folder.mkdir()
    for name in FILES:
        (folder / name).write_text(name)

    def write_onnx(model, inputs, path, int8):
        path.write_bytes(bytes(inputs[0].shape[-1] + int8))
        return None, None

    monkeypatch.setattr(module, "write_onnx", write_onnx)
    return folder


def test_the_folder_has_everything_and_names_no_other_server(checkpoint, pictures, tmp_path, no_onnx):
    folder = tmp_path / "site"
    report = write_page(checkpoint, folder, int8=True, runtime=no_onnx, examples=[pictures / "square.png", pictures / "tall.jpg"])
    assert report.index == folder / "index.html" and all((folder / "onnxruntime" / name).is_file() for name in FILES.values())
    settings = json.loads((folder / "settings.json").read_text())
    assert settings["precision"] == "int8" and settings["model_bytes"] == 65
    assert settings["examples"] == ["examples/1.png", "examples/2.png"]
    assert Image.open(folder / "examples/2.png").size == (61, 112)
    assert not [name for name in SCRIPTS if "https:" in (folder / name).read_text()]


def test_examples_are_what_the_image_processor_sees(checkpoint, tmp_path, no_onnx):
    Image.fromarray(np.full((300, 300), 12000, np.uint16)).save(tmp_path / "16_bits.png")
    Image.new("RGBA", (300, 300)).save(tmp_path / "transparent.png")
    Image.fromarray(np.full((10, 20), 0.5, np.float32)).save(tmp_path / "floats.tif")
    names = ("16_bits.png", "transparent.png")
    write_page(checkpoint, tmp_path / "site", runtime=no_onnx, examples=[tmp_path / name for name in names])
    shown = [np.unique(Image.open(tmp_path / f"site/examples/{number}.jpg")).tolist() for number in (1, 2)]
    assert shown == [[47], [255]]
    with pytest.raises(ValueError, match=r"examples\[0\] has pixels of torch.float32"):
        write_page(checkpoint, tmp_path / "other", runtime=no_onnx, examples=[tmp_path / "floats.tif"])


def test_a_patch_size_of_two_numbers_is_taken(checkpoint, tmp_path, no_onnx):
    source = shutil.copytree(checkpoint, tmp_path / "source")
    config = json.loads((source / "config.json").read_text())
    (source / "config.json").write_text(json.dumps({**config, "patch_size": [8, 8]}))
    assert write_page(source, tmp_path / "site", runtime=no_onnx).index.is_file()


def test_a_model_of_windows_is_refused(checkpoint, tmp_path):
    model = EomtForUniversalSegmentation.from_pretrained(checkpoint)
    model.save_pretrained(tmp_path / "semantic")
    EomtImageProcessor(size={"shortest_edge": 64}, do_split_image=True, do_pad=False).save_pretrained(tmp_path / "semantic")
    with pytest.raises(ValueError, match="cuts images into windows"):
        write_page(tmp_path / "semantic", tmp_path / "site", runtime=tmp_path)
    assert not (tmp_path / "site").exists()


@pytest.mark.slow
def test_the_page_segments_as_python_does(site, browser, pictures, python_map):
    """Square pictures and others, enlarged and reduced, PNG and JPEG; then other thresholds, without another forward pass."""
    with served(site, {}) as address:
        page = browser.new_page()
        requests = []
        page.on("request", lambda request: requests.append(request.url))
        page.goto(address)
        for name in sorted(path.name for path in pictures.iterdir()):
            page.set_input_files("#file", pictures / name)
            page.wait_for_selector(SHOWN)
            check_equal(page.evaluate(RESULT), python_map(name))
        first = page.inner_text("#status")
        for slider, value in (("score", "0.3"), ("overlap", "0.1"), ("mask", "0.4")):
            page.locator(f"#{slider}").fill(value)
        expected = python_map("wide.png", 0.3, 0.4, 0.1)
        page.wait_for_selector(SHOWN)
        check_equal(page.evaluate(RESULT), expected)
        model_time = first.split("model")[1].split(",")[0]
        assert model_time in page.inner_text("#status")  # that of the one forward pass
        page.close()
    assert all(url.startswith((address, "data:", "blob:")) for url in requests)


@pytest.mark.slow
def test_hovering_an_example_and_errors(site, browser, pictures, python_map, tmp_path):
    (tmp_path / "notes.txt").write_text("no picture")
    with served(site, ISOLATION) as address:
        page = browser.new_page()
        page.goto(address)
        page.click("#examples button")
        page.wait_for_selector(SHOWN)
        assert page.evaluate("crossOriginIsolated")  # so that the model may use several threads
        expected = python_map("wide.png")
        check_equal(page.evaluate(RESULT), expected)
        box = page.locator("#overlay").bounding_box()
        page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
        segment = expected["segmentation"][37, 56].item()
        assert segment >= 0
        info = expected["segments_info"][segment]
        assert page.inner_text("#tip").split("\n") == [NAMES[info["label_id"]], f"score {info['score']:.3f}"]
        page.set_input_files("#file", tmp_path / "notes.txt")
        page.wait_for_selector("[data-state=error]")
        message = "notes.txt is no picture that this browser can open: choose a JPEG, PNG or WebP."
        assert page.inner_text("#status") == message
        page.locator("#score").fill("0.3")  # of the last picture
        page.wait_for_selector(SHOWN)
        check_equal(page.evaluate(RESULT), python_map("wide.png", 0.3))
        page.close()


@pytest.mark.slow
def test_an_int8_model_is_smaller_and_nearly_the_same(checkpoint, site, tmp_path):
    """The exported model is the eager one to 1e-4; of int8 the logits correlate with it by .99."""
    model = EomtForUniversalSegmentation.from_pretrained(checkpoint).eval()
    model.set_attn_mask_probs([0.0])
    shutil.copyfile(site / "model.onnx", tmp_path / "int8.onnx")
    quantize(tmp_path / "int8.onnx")
    pixels = torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        outputs = model(pixel_values=pixels)
    exact = [outputs.class_queries_logits.numpy(), outputs.masks_queries_logits.numpy()]
    for path, error, correlation in ((site / "model.onnx", 1e-4, 0.999999), (tmp_path / "int8.onnx", np.inf, 0.99)):
        found = onnxruntime.InferenceSession(path).run(list(OUTPUTS), {"pixel_values": pixels.numpy()})
        for one, other in zip(found, exact, strict=True):
            assert np.abs(one - other).max() <= error
            assert np.corrcoef(one.ravel(), other.ravel())[0, 1] >= correlation
    assert (tmp_path / "int8.onnx").stat().st_size < 0.75 * (site / "model.onnx").stat().st_size
