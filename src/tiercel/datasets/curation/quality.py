"""What can be told from a photo's pixels about whether it is of any use: sharp, lit, unobstructed, outdoors.

Every measure is a plain number of the photo shrunk to one size, so that a threshold means the same for every camera.
None of them recognises things: `docs/datasets.md` says what they miss.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tiercel.photos import Photo

LONG_SIDE = 512
"""Pixels along the long side of the picture that is measured."""

_BLOCK = 16  # pixels a side of the patches that are told smooth or textured
_BLUR_TAPS = 9  # of the blur that a photo is compared with
_LUMA = np.array([0.299, 0.587, 0.114], np.float32)  # ITU-R BT.601

_SMOOTH = 0.010  # mean step between neighbouring pixels, of the full range, below which a patch shows nothing
_BLUE = 0.04  # blue less red of a patch of clear sky, at least
_CLEAR = 0.25  # its brightness, at least
_GREY = 0.10  # spread of the channels of a patch of cloud, at most
_CLOUD = 0.55  # its brightness, at least, and it is among the brightest of the picture:
_NEAR_BRIGHTEST = 0.85
_WARM = 0.04  # red less blue of a patch of cloud, at most: lamps are warmer than the sky

Floats = NDArray[np.float32]
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Measures:
    """What a photo looks like, in numbers from 0 to 1.

    Attributes:
        blur: How little a photo changes when it is blurred: 0.15 to 0.35 for a sharp one, over 0.5 for one that is out
            of focus or shaken (Crete et al., "The blur effect", 2007).
        brightness: Mean luma.
        obstruction: Share of the view in the largest region without detail that touches an edge and is no sky.
        sky: Share of the view that is sky: without detail, blue or as bright as clouds, and joined to the upper edge.
        ceiling: Share of the upper third that is without detail and no sky.
    """

    blur: float
    brightness: float
    obstruction: float
    sky: float
    ceiling: float


@dataclass(frozen=True)
class Thresholds:
    """Beyond which a photo is dropped.

    Attributes:
        blur: Dropped as blurred above this.
        brightness: Dropped as dark below this.
        obstruction: Dropped as obstructed above this.
        sky: Dropped as sky only above this.
        ceiling: Dropped as indoors above this, where less than a hundredth of the view is sky.
    """

    blur: float = 0.50
    brightness: float = 0.10
    obstruction: float = 0.40
    sky: float = 0.85
    ceiling: float = 0.60

    def reasons(self, measures: Measures) -> list[str]:
        """Why a photo is dropped, the gravest reason first; empty for one that stays."""
        found = [
            ("dark", measures.brightness < self.brightness),
            ("sky only", measures.sky > self.sky),
            ("blurred", measures.blur > self.blur),
            ("obstructed", measures.obstruction > self.obstruction),
            ("indoors", measures.sky < 0.01 and measures.ceiling > self.ceiling),
        ]
        return [reason for reason, holds in found if holds]

    def words(self, reason: str, measures: Measures) -> str:
        """The measure behind a reason, and its threshold."""
        return {
            "dark": f"Its mean brightness is {measures.brightness:.2f}, below {self.brightness:g}.",
            "blurred": f"Its blur is {measures.blur:.2f}, above {self.blur:g}.",
            "sky only": f"Sky fills {measures.sky:.2f} of it, more than {self.sky:g}.",
            "obstructed": f"Something bare hides {measures.obstruction:.2f} of it, more than {self.obstruction:g}.",
            "indoors": f"No sky, and {measures.ceiling:.2f} of its upper third is bare, more than {self.ceiling:g}.",
        }[reason]


def measure(photo: Photo) -> Measures:
    """Measures a photo; of a panorama, the half of its rows around the horizon."""
    rgb = _working_picture(photo)
    luma = rgb @ _LUMA
    colours, smooth = _patches(rgb, luma)
    sky = _joined_to_top(smooth & _may_be_sky(colours, luma))
    plain = smooth & ~sky
    values = (
        blur_effect(luma),
        float(luma.mean()),
        _largest_region_at_an_edge(plain),
        float(sky.mean()),
        float(plain[: max(1, len(plain) // 3)].mean()),
    )
    return Measures(**{field.name: round(value, 4) for field, value in zip(fields(Measures), values, strict=True)})


def blur_effect(luma: Floats) -> float:
    """How little a picture loses by being blurred, 0 (sharp) to 1 (blurred), along the axis that is blurred more.

    Crete, Dolmiere, Ladret and Nicolas, "The blur effect: perception and estimation with a new no-reference perceptual
    blur metric" (2007): the steps between neighbours that are left after a blur of nine pixels, as a share of the steps
    before it. Contrast cancels out.

    Args:
        luma: (height, width) float32, 0 to 1.
    """
    return max(_blur_along(luma), _blur_along(luma.T))


def _blur_along(luma: Floats) -> float:
    """The blur effect along the first axis."""
    if len(luma) <= _BLUR_TAPS:
        return 0.0
    sums = np.cumsum(np.pad(luma, ((_BLUR_TAPS // 2 + 1, _BLUR_TAPS // 2), (0, 0)), "edge"), axis=0, dtype=np.float64)
    blurred = (sums[_BLUR_TAPS:] - sums[:-_BLUR_TAPS]) / _BLUR_TAPS
    before, after = np.abs(np.diff(luma, axis=0)), np.abs(np.diff(blurred, axis=0))
    total = float(before.sum())
    lost = float(np.maximum(0, before - after).sum())
    return 1.0 - lost / total if total > 1e-6 else 1.0


def _working_picture(photo: Photo) -> Floats:
    """(height, width, 3) float32, 0 to 1, of the rows that matter, at most `LONG_SIDE` pixels long."""
    top, bottom = photo.seen_rows
    if photo.panorama:
        height = len(photo.pixels)
        top, bottom = max(top, height // 4), min(bottom, height - height // 4)
    image = Image.fromarray(photo.pixels[top : max(bottom, top + 1)])
    shrink = LONG_SIDE / max(image.size)
    if shrink < 1:
        size = (max(1, round(image.width * shrink)), max(1, round(image.height * shrink)))
        image = image.resize(size, Image.Resampling.LANCZOS, reducing_gap=3.0)
    return np.asarray(image, np.float32) / np.float32(255)


def _patches(rgb: Floats, luma: Floats) -> tuple[Floats, Mask]:
    """Mean colours of patches of 16 x 16 pixels, and which of them show nothing but an even surface."""
    step = np.zeros_like(luma)
    step[:, 1:] += np.abs(np.diff(luma, axis=1)) / 2
    step[1:] += np.abs(np.diff(luma, axis=0)) / 2
    return _block_means(rgb), _block_means(step[..., None])[..., 0] < _SMOOTH


def _block_means(picture: Floats) -> Floats:
    """(rows, columns, channels) means over patches; a rest at the right and lower edge is left out."""
    rows, columns = (max(1, side // _BLOCK) for side in picture.shape[:2])
    high, wide = min(_BLOCK, picture.shape[0]), min(_BLOCK, picture.shape[1])
    cut = picture[: rows * high, : columns * wide]
    return np.asarray(cut.reshape(rows, high, columns, wide, -1).mean((1, 3)), np.float32)


def _may_be_sky(colours: Floats, luma: Floats) -> Mask:
    """Patches as blue as clear sky, or as grey and bright as clouds."""
    brightness = colours @ _LUMA
    blue = (colours[..., 2] - colours[..., 0] > _BLUE) & (brightness > _CLEAR)
    brightest = float(np.quantile(luma, 0.98))
    cloud = (np.ptp(colours, axis=-1) < _GREY) & (brightness > max(_CLOUD, _NEAR_BRIGHTEST * brightest))
    cloud &= colours[..., 0] - colours[..., 2] < _WARM
    return np.asarray(blue | cloud)


def _joined_to_top(mask: Mask) -> Mask:
    """The part of a mask that is joined, side by side, to its first row."""
    joined = np.zeros_like(mask)
    for region in _regions(mask):
        if (region[:, 0] == 0).any():
            joined[region[:, 0], region[:, 1]] = True
    return joined


def _largest_region_at_an_edge(mask: Mask) -> float:
    """The largest share of all patches that one region touching an edge has."""
    rows, columns = mask.shape
    sizes = [0]
    for region in _regions(mask):
        row, column = region[:, 0], region[:, 1]
        if ((row == 0) | (row == rows - 1) | (column == 0) | (column == columns - 1)).any():
            sizes.append(len(region))
    return max(sizes) / mask.size


def _regions(mask: Mask) -> list[NDArray[np.int64]]:
    """The regions of a mask whose patches touch side by side: (n, 2) rows and columns of each."""
    left = {(int(row), int(column)) for row, column in np.argwhere(mask)}
    regions = []
    while left:
        region = [left.pop()]
        for row, column in region:
            beside = {(row - 1, column), (row + 1, column), (row, column - 1), (row, column + 1)} & left
            left -= beside
            region += beside
        regions.append(np.array(region))
    return regions
