"""IDX files of unsigned bytes, the format that MNIST is published in.

A file is `00 00 08 n` (8: unsigned bytes; n: number of dimensions), n sizes as big-endian 32-bit integers, the bytes.
"""

import math
import os
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

MAGIC = b"\x00\x00\x08"


def read_idx(path: str | os.PathLike[str]) -> NDArray[np.uint8]:
    """The array in an IDX file of unsigned bytes, in the shape that its header gives; writable.

    Raises:
        ValueError: the file is no such IDX file, or not exactly as long as its header says.
        OSError: the file cannot be read.
    """
    content = Path(path).read_bytes()
    if len(content) < 4 or content[:3] != MAGIC or content[3] == 0:
        raise ValueError(
            f"{path} is not an IDX file of unsigned bytes: it starts with '{content[:4].hex(' ')}', "
            "not with '00 00 08' and a number of dimensions"
        )
    dimensions = content[3]
    start = 4 + 4 * dimensions
    if len(content) < start:
        raise ValueError(f"{path} ends within its header: {len(content)} bytes found, {start} expected")
    shape = tuple(int(size) for size in np.frombuffer(content, ">u4", count=dimensions, offset=4))
    if len(content) != start + math.prod(shape):
        raise ValueError(
            f"{path} has {len(content):,} bytes, but its header says {start + math.prod(shape):,} (shape {shape}): "
            "fetch the file again"
        )
    return np.frombuffer(content, np.uint8, offset=start).reshape(shape).copy()  # torch wants memory it may write


def idx_bytes(array: NDArray[np.uint8]) -> bytes:
    """The IDX file that holds `array` (uint8, at least one dimension): what `read_idx` reads back."""
    if array.dtype != np.uint8 or array.ndim == 0:
        raise ValueError(f"an IDX file of unsigned bytes cannot hold {array.dtype} of shape {array.shape}: pass uint8")
    return MAGIC + bytes([array.ndim]) + np.array(array.shape, ">u4").tobytes() + array.tobytes()
