"""Images of 12 bits in 16 would be nearly black, and are refused with the factor that makes them right."""

import numpy as np
import pytest
from PIL import Image

from eomt.train_scripts.data.formats.source import Options


@pytest.fixture
def run(tmp_path, index_image, prepared):
    """`run(largest, suffix)`: prepares an image of 16 bits whose largest value is that."""

    def of(largest: int, suffix: str = "png", divisor: int = 1):
        (tmp_path / "images").mkdir()
        values = np.linspace(0, largest, 600).reshape(20, 30).astype(np.uint16)
        Image.fromarray(values // divisor).save(tmp_path / f"images/a.{suffix}")
        index_image(tmp_path / "masks/a.png", np.arange(600).reshape(20, 30) % 2)
        return prepared("masks", tmp_path / "images", tmp_path / "masks", Options(kind="semantic", classes=["a", "b"], void=[255]))

    return of


@pytest.mark.parametrize("suffix", ["png", "tif"])
@pytest.mark.parametrize(("largest", "bits", "factor"), [(255, 8, 256), (1000, 10, 64), (4095, 12, 16), (16000, 14, 4)])
def test_few_bits_in_16(run, suffix, largest, bits, factor):
    with pytest.raises(
        ValueError, match=f"no value above {largest}: they are of {bits} bits.* -evaluate multiply {factor} .*.{suffix}"
    ):
        run(largest, suffix)


def test_16_bits(run):
    [sample] = run(65535)
    assert sample.image.max() == 255
