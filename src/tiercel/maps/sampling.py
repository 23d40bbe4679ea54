"""Resampling: from a patch of map pixels to the pixels of a square.

`fill` is what every map is read with. `smooth` and `interpolate` are how the package tiledwebmaps does it, kept apart
for the models that were trained on its pictures.
"""

from __future__ import annotations

import math

import numba
import numpy as np
from numpy.typing import NDArray


@numba.njit(cache=True, nogil=True)
def fill(
    source: NDArray[np.uint8],
    present: NDArray[np.bool_],
    nodes: NDArray[np.float64],
    taps: int,
    rgb: NDArray[np.uint8],
    covered: NDArray[np.bool_],
    decided: NDArray[np.bool_],
) -> None:
    """Fills those pixels of an image whose centres lie on a patch and that no earlier patch has decided.

    Every pixel is the mean of taps x taps points spread over its area, each interpolated bilinearly among
    the present source pixels around it. It is covered where half of its points or more fall on present ones.

    Args:
        source: (h, w, 3) pixels of the patch.
        present: (h, w) whether they hold imagery.
        nodes: (m, m, 2) column and row on the patch, in its pixels from its north-west corner, at evenly
            spaced points from the north-west to the south-east corner of the image.
        taps: Points along a side of each pixel.
        rgb: (p, p, 3) image to fill in place; stays as it is where nothing covers it.
        covered: (p, p) to fill in place.
        decided: (p, p) pixels not to touch; set where the patch reaches.
    """
    height, width = present.shape
    pixels, cells = rgb.shape[0], nodes.shape[0] - 1
    pitch = cells / (pixels * taps)
    for i in range(pixels):
        for j in range(pixels):
            if decided[i, j]:
                continue
            column, row = _position(nodes, (j + 0.5) * taps * pitch, (i + 0.5) * taps * pitch)
            if not (0 <= column < width and 0 <= row < height):
                continue
            decided[i, j] = True
            red = green = blue = weights = 0.0
            hits = 0
            for a in range(taps):
                for b in range(taps):
                    column, row = _position(nodes, (j * taps + b + 0.5) * pitch, (i * taps + a + 0.5) * pitch)
                    if not (0 <= column < width and 0 <= row < height) or not present[int(row), int(column)]:
                        continue
                    hits += 1
                    left, top = int(np.floor(column - 0.5)), int(np.floor(row - 0.5))
                    for y in range(max(top, 0), min(top + 2, height)):
                        for x in range(max(left, 0), min(left + 2, width)):
                            if present[y, x]:
                                weight = (1 - abs(column - 0.5 - x)) * (1 - abs(row - 0.5 - y))
                                red += weight * source[y, x, 0]
                                green += weight * source[y, x, 1]
                                blue += weight * source[y, x, 2]
                                weights += weight
            if 2 * hits >= taps * taps:
                covered[i, j] = True
                rgb[i, j, 0] = np.uint8(red / weights + 0.5)
                rgb[i, j, 1] = np.uint8(green / weights + 0.5)
                rgb[i, j, 2] = np.uint8(blue / weights + 0.5)


@numba.njit(cache=True, inline="always")
def _position(nodes: NDArray[np.float64], u: float, v: float) -> tuple[float, float]:
    """Column and row at a place (u east, v south) of the node grid, bilinearly."""
    last = nodes.shape[0] - 2
    i, j = min(int(v), last), min(int(u), last)
    s, t = u - j, v - i
    north, south = (1 - t), t
    west, east = (1 - s), s
    column = north * (west * nodes[i, j, 0] + east * nodes[i, j + 1, 0])
    column += south * (west * nodes[i + 1, j, 0] + east * nodes[i + 1, j + 1, 0])
    row = north * (west * nodes[i, j, 1] + east * nodes[i, j + 1, 1])
    row += south * (west * nodes[i + 1, j, 1] + east * nodes[i + 1, j + 1, 1])
    return column, row


def smoothing_reach(sigma: float) -> int:
    """Pixels to each side of the kernel of `smooth`."""
    return 2 * math.ceil(sigma)


def smooth(source: NDArray[np.uint8], sigma: float) -> NDArray[np.uint8]:
    """A picture through a Gaussian.

    Args:
        source: (h, w, 3).
        sigma: Its standard deviation, pixels; 0 leaves the picture as it is.

    Returns:
        (h, w, 3); the outermost `smoothing_reach` pixels are not smoothed.
    """
    reach = smoothing_reach(sigma)
    if reach == 0:
        return source
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
    return np.asarray(_convolve(source, (kernel / kernel.sum()).astype(np.float32)))


@numba.njit(cache=True, nogil=True)
def _convolve(source: NDArray[np.uint8], kernel: NDArray[np.float32]) -> NDArray[np.uint8]:
    height, width, _ = source.shape
    reach = len(kernel) // 2
    out = source.copy()
    across = np.zeros((height, width, 3), np.float32)
    for y in range(height):
        for x in range(reach, width - reach):
            for k in range(len(kernel)):
                for c in range(3):
                    across[y, x, c] += kernel[k] * source[y, x + k - reach, c]
    line = np.zeros((width, 3), np.float32)
    for y in range(reach, height - reach):
        line[:] = 0.5
        for k in range(len(kernel)):
            line += kernel[k] * across[y + k - reach]
        for x in range(reach, width - reach):
            for c in range(3):
                out[y, x, c] = np.uint8(line[x, c])
    return out


@numba.njit(cache=True, nogil=True)
def interpolate(
    source: NDArray[np.uint8], columns: NDArray[np.float64], rows: NDArray[np.float64]
) -> NDArray[np.uint8]:
    """Colours at places given in whole pixels (0 is the first), bilinearly.

    Args:
        source: (h, w, 3).
        columns: (p, q), 0 or more and less than w - 1.
        rows: (p, q), 0 or more and less than h - 1.

    Returns:
        (p, q, 3).
    """
    out = np.empty((*columns.shape, 3), np.uint8)
    for i in range(columns.shape[0]):
        for j in range(columns.shape[1]):
            x, y = int(columns[i, j]), int(rows[i, j])
            east, south = columns[i, j] - x, rows[i, j] - y
            for c in range(3):
                upper = source[y, x, c] * (1 - east) + source[y, x + 1, c] * east
                lower = source[y + 1, x, c] * (1 - east) + source[y + 1, x + 1, c] * east
                out[i, j, c] = np.uint8(upper * (1 - south) + lower * south + 0.5)
    return out
