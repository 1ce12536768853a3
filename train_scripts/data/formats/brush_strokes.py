"""Label Studio's run lengths of brush strokes -> masks.

They are those of the library rle-pack, of the bytes of an RGBA image whose alpha is the mask. A stream of bits begins with the
number of bytes (32 bits), the bits of a byte less 1 (5), and four lengths less 1 (4 each). Blocks follow: a bit that says whether
one byte is repeated or each is given, two bits that say which of the four lengths counts, the number of bytes less 1 in so many
bits, and the byte or bytes.

Shapes: H, W pixels.
"""

from collections.abc import Sequence

import numpy as np

CHANNELS = 4
OPAQUE = 128  # of 0..255; the edge of a stroke is soft


def decode_brush(code: Sequence[int], size: tuple[int, int]) -> np.ndarray:
    """
    Args:
        code: bytes, as numbers.
        size: (H, W) of the mask.

    Returns:
        (H, W) uint8, 1 in the mask.

    Raises:
        ValueError: the code is broken, or of an image of another size.
    """
    bits = np.unpackbits(np.asarray(code, dtype=np.uint8))
    text, position = "".join(map(str, bits.tolist())), 0

    def number(length: int) -> int:
        nonlocal position
        position += length
        if position > len(text):
            raise ValueError("its run lengths end too early")
        return int(text[position - length : position], 2)

    total, word, lengths = number(32), number(5) + 1, [number(4) + 1 for _ in range(4)]
    if total != size[0] * size[1] * CHANNELS:
        raise ValueError(f"its run lengths are of {total // CHANNELS} pixels, not of {size[0]} x {size[1]}")
    values, done = np.zeros(total, dtype=np.uint8), 0
    while done < total:
        is_repeated = number(1)
        count = number(lengths[number(2)]) + 1
        if done + count > total:
            raise ValueError("its run lengths have too many pixels")
        if is_repeated:
            values[done : done + count] = number(word)
        else:
            number(count * word)
            given = bits[position - count * word : position].reshape(count, word)
            values[done : done + count] = given @ (1 << np.arange(word)[::-1])
        done += count
    return (values.reshape(*size, CHANNELS)[..., 3] >= OPAQUE).astype(np.uint8)
