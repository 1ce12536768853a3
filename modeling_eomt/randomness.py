"""Uniform random numbers that can be fixed by a key for each image, whatever batch or process the image is in."""

import hashlib
from collections.abc import Sequence

import torch
from torch import Tensor


def key_of(*parts: int | str) -> int:
    """A number in 0..2^63 - 1 that depends on `parts` alone."""
    digest = hashlib.blake2b("/".join(map(str, parts)).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") >> 1


class ImageDraws:
    """
    Source of the model's random numbers, asked for once a purpose and forward pass.

    Without keys they come from torch's global generator. With keys, the numbers of an image depend on its key and the
    purpose alone, so that any split of a batch over steps or processes draws the same ones.

    Args:
        sample_keys: (B,) integers naming each image at this step of training, or None.
    """

    def __init__(self, sample_keys: Tensor | Sequence[int] | None = None):
        self.keys = None if sample_keys is None else _on_host(sample_keys)

    def apart(self, use: str) -> "ImageDraws":
        """A source for another use, whose numbers are others than those of this one for the same purpose."""
        return ImageDraws(None if self.keys is None else torch.tensor([key_of(key, use) for key in self.keys]))

    def uniform(self, purpose: str, rows: Sequence[int], shape: tuple[int, ...], device: torch.device) -> Tensor:
        """
        Args:
            purpose: names the use; two uses of one image draw different numbers.
            rows: how many rows each image wants, (B,).
            shape: shape of a row.
            device: where the numbers are needed.

        Returns:
            (sum(rows), *shape) in [0, 1), float32, image by image.

        Raises:
            ValueError: if there are not as many keys as images.
        """
        if self.keys is None:
            return torch.rand(sum(rows), *shape, device=device)
        return self._keyed_uniform(purpose, rows, shape, device)

    @torch.compiler.disable  # generators can't be traced
    def _keyed_uniform(self, purpose: str, rows: Sequence[int], shape: tuple[int, ...], device: torch.device) -> Tensor:
        if len(self.keys) != len(rows):
            raise ValueError(f"sample_keys has {len(self.keys)} entries for a batch of {len(rows)} images; give one an image")
        drawn = []
        for key, count in zip(self.keys, rows, strict=True):
            generator = torch.Generator(device).manual_seed(key_of(key, purpose))
            drawn.append(torch.rand(count, *shape, device=device, generator=generator))
        return torch.cat(drawn)


@torch.compiler.disable
def _on_host(sample_keys: Tensor | Sequence[int]) -> list[int]:
    return torch.as_tensor(sample_keys).tolist()
