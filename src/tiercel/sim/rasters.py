"""Where the rasters of a city are kept: in memory, or for a city too large for that in files that are mapped.

A mapped raster is an array like any other. What is read or written of it stays in memory until `release` lets it go;
the rest lies on disk. So whoever works through a large city does it in bands of rows and releases after each. The
files have no names and vanish with the arrays.
"""

from __future__ import annotations

import mmap
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

BAND = 1000
"""Rows of a band."""

Band = tuple[int, int]
"""First row, and the row after the last."""


def new_raster(texels: int, dtype: DTypeLike, folder: Path | None) -> NDArray[Any]:
    """A square raster of zeros.

    Args:
        texels: Rows and columns.
        dtype: What it holds.
        folder: Where its file is to be; None for memory.

    Raises:
        OSError: The disk has no room for it.
    """
    if folder is None:
        return np.zeros((texels, texels), dtype)
    size = texels * texels * np.dtype(dtype).itemsize
    with tempfile.TemporaryFile(dir=folder) as file:
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(file.fileno(), 0, size)  # a full disk is found out here, not in the middle of a store
        else:
            file.truncate(size)
        return np.frombuffer(mmap.mmap(file.fileno(), size), dtype).reshape(texels, texels)


def release(*arrays: NDArray[Any]) -> None:
    """Lets go of the memory that mapped arrays take up; nothing is lost, and other arrays are left alone."""
    for array in arrays:
        mapped = _file_behind(array)
        if mapped is not None and hasattr(mmap, "MADV_DONTNEED"):
            mapped.madvise(mmap.MADV_DONTNEED)


def is_mapped(array: NDArray[Any]) -> bool:
    """Whether an array lies in a file."""
    return _file_behind(array) is not None


def bands(raster: NDArray[Any]) -> Iterator[Band]:
    """Bands of rows, from the north; one with all rows for a raster in memory."""
    rows = len(raster)
    step = BAND if is_mapped(raster) else max(1, rows)
    for first in range(0, rows, step):
        yield first, min(first + step, rows)


def _file_behind(array: NDArray[Any]) -> mmap.mmap | None:
    base: Any = array
    while isinstance(base, np.ndarray | memoryview):
        base = base.obj if isinstance(base, memoryview) else base.base
    return base if isinstance(base, mmap.mmap) else None
