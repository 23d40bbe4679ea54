"""Overhead pictures in another style: colours, sharpness and weather change, and every edge stays where it is.

What stands where is all that a map and a photo have in common; how a roof or a lawn is coloured differs between
flights, seasons and providers more than any simulator knows. Pictures are restyled so far that only the layout can be
relied on.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageChops, ImageFilter
from torch import Tensor

from tiercel.training.faults import compressed

Floats = NDArray[np.float64]


@dataclass
class Style:
    """A picture on its way into another style.

    Attributes:
        image: RGB.
        other: (2, 3) means and deviations of the bytes of a picture whose colours may be taken over.
        rng: Source of chance.
        strength: Factor on how far the style goes.
    """

    image: Image.Image
    other: Floats
    rng: np.random.Generator
    strength: float

    def draw(self, low: float, high: float) -> float:
        """A number between two, whose distance from `low` grows with the strength."""
        return low + self.strength * float(self.rng.uniform(0.0, high - low))


def restyled_overhead(images: Tensor, share: float, rng: np.random.Generator, strength: float = 1.0) -> Tensor:
    """Overhead pictures (..., 3, H, W) in -1..1: some in another style. What is not covered (exactly 0) stays 0.

    Args:
        images: The pictures.
        share: How many of them are restyled, each in a style of its own.
        rng: Source of chance.
        strength: Factor on how far styles go.

    Returns:
        Pictures of the same shape; the input is left alone.
    """
    flat = images.flatten(0, -4).clone()
    # Means and deviations before anything changes, so that the result does not hang on the order of the pictures.
    looks = np.stack([_look(image) for image in flat]) if len(flat) and share > 0 else np.zeros((0, 2, 3))
    for index in np.nonzero(rng.random(len(flat)) < share)[0]:
        before = flat[index]
        style = Style(_to_image(before), looks[rng.integers(len(looks))], rng, strength)
        _restyle(style)
        after = torch.from_numpy(np.array(style.image)).permute(2, 0, 1)
        bare = _bare(before)
        torch.mul(after, 1 / 127.5, out=before).sub_(1.0)
        if bare is not None:
            before.masked_fill_(bare, 0.0)
    return flat.view(images.shape)


def _bare(picture: Tensor) -> Tensor | None:
    """Where a picture (3, H, W) is not covered; None where it is everywhere, which most are."""
    suspicious = picture[0] == 0
    return (picture == 0).all(0) if suspicious.any() else None


def _to_image(picture: Tensor) -> Image.Image:
    """A picture (3, H, W) in -1..1 as RGB."""
    return Image.fromarray((picture * 127.5).add_(128.0).to(torch.uint8).permute(1, 2, 0).contiguous().numpy())


def _look(image: Tensor) -> Floats:
    """Means and deviations of the channels of a picture (3, H, W) in -1..1, in bytes: (2, 3)."""
    few = image[:, ::8, ::8].flatten(1).double().numpy() * 127.5 + 127.5
    return np.stack([few.mean(1), few.std(1)])


def _restyle(style: Style) -> None:
    """Every change with its probability; at least one."""
    happens = style.rng.random(len(CHANGES)) < [probability for probability, _ in CHANGES]
    if not happens.any():
        happens[style.rng.integers(len(CHANGES))] = True
    for (_, change), now in zip(CHANGES, happens, strict=True):
        if now:
            change(style)


def _transfer(style: Style) -> None:
    """Brightness and contrast of every channel as in another picture of the batch."""
    mean, deviation = _look_of(style.image)
    amount = min(1.0, style.draw(0.2, 1.0))
    slope = 1 + amount * (np.clip(style.other[1] / np.maximum(deviation, 4.0), 0.3, 3.0) - 1)
    shift = mean + amount * (style.other[0] - mean)
    levels = np.arange(256)[None]
    _look_up(style, (levels - mean[:, None]) * slope[:, None] + shift[:, None])


def _curves(style: Style) -> None:
    """A monotone curve of its own for every channel; now and then in few steps."""
    rng, strength = style.rng, style.strength
    common = np.exp(0.45 * strength * rng.standard_normal(6))
    steps = common * np.exp(0.22 * strength * rng.standard_normal((3, 6)))
    ends = np.cumsum(np.concatenate([np.zeros((3, 1)), steps], 1), 1)
    low, high = strength * rng.uniform(-30, 40, 3), 255 - strength * rng.uniform(-30, 60, 3)
    curves = np.stack([np.interp(np.linspace(0, 6, 256), np.arange(7), one / one[-1]) for one in ends])
    values = low[:, None] + curves * (high - low)[:, None]
    if rng.random() < 0.12 * strength:
        size = 256 / rng.integers(5, 17)
        values = (np.floor(values / size) + 0.5) * size
    _look_up(style, values)


def _mixing(style: Style) -> None:
    """Channels mixed: saturation from grey to garish, tints, and hues that change places."""
    rng = style.rng
    identity, grey = np.eye(3), np.full((3, 3), 1 / 3)
    matrix = identity + style.draw(-1.0, 0.6) * (identity - grey) if rng.random() < 0.7 else identity
    if rng.random() < 0.5:
        random = rng.dirichlet(np.ones(3), 3)
        matrix = matrix + min(1.0, style.draw(0.0, 0.7)) * (random - identity) @ matrix
    matrix = matrix * np.exp(0.12 * style.strength * rng.standard_normal(3))[:, None]
    offset = 8 * style.strength * rng.standard_normal(3)
    style.image = style.image.convert("RGB", tuple(np.concatenate([matrix, offset[:, None]], 1).ravel()))


def _local_contrast(style: Style) -> None:
    """Light evened out over neighbourhoods, or details exaggerated."""
    width, height = style.image.size
    reach = style.rng.uniform(0.02, 0.12) * width
    few = (max(2, round(width / reach)), max(2, round(height / reach)))
    near = style.image.resize(few, Image.Resampling.BOX).resize((width, height), Image.Resampling.BILINEAR)
    even = ImageChops.subtract(style.image, near, offset=128)
    style.image = Image.blend(style.image, even, min(1.0, style.draw(0.1, 0.8)))


def _texture(style: Style) -> None:
    """Noise at one or two scales, stronger here than there."""
    rng, (width, height) = style.rng, style.image.size
    noise = Image.new("L", (width, height), 128)
    for factor in rng.choice([1, 2, 6, 16], int(rng.integers(1, 3)), replace=False):
        cells = (height // factor + 1, width // factor + 1)
        field = Image.fromarray(rng.integers(0, 256, cells, dtype=np.uint8))
        field = field.crop((0, 0, width, height)) if factor == 1 else field.resize((width, height))
        noise = Image.blend(noise, field, min(1.0, style.draw(0.05, 0.35)))
    grey = Image.new("L", (width, height), 128)
    noise = Image.composite(noise, grey, _clouds(rng, width, height))
    style.image = ImageChops.add(style.image, Image.merge("RGB", [noise] * 3), offset=-128)


def _weather(style: Style) -> None:
    """Haze or the shadow of clouds over parts of the picture."""
    rng, (width, height) = style.rng, style.image.size
    if rng.random() < 0.5:
        veil = Image.new("RGB", (width, height), tuple(int(v) for v in rng.uniform([190, 195, 200], 250)))
        amount = style.draw(0.1, 0.7)
    else:
        tint = rng.uniform([0.3, 0.33, 0.38], [0.6, 0.62, 0.66])
        veil = style.image.point([int(level * one) for one in tint for level in range(256)])
        amount = style.draw(0.4, 1.0)
    mask = _clouds(rng, width, height).point([min(255, int(level * amount)) for level in range(256)])
    style.image = Image.composite(veil, style.image, mask)


def _soft(style: Style) -> None:
    """Out of focus, a little."""
    style.image = style.image.filter(ImageFilter.BoxBlur(style.draw(0.3, 1.8)))


def _coarse(style: Style) -> None:
    """A ground sample distance up to five times as large."""
    width, height = style.image.size
    factor = style.draw(1.3, 5.0)
    kind = Image.Resampling.BILINEAR if style.rng.random() < 0.7 else Image.Resampling.NEAREST
    small = style.image.resize((max(2, int(width / factor)), max(2, int(height / factor))), Image.Resampling.BOX)
    style.image = small.resize((width, height), kind)


def _compression(style: Style) -> None:
    """JPEG, as tiles come."""
    style.image = compressed(style.image, max(5, round(style.rng.uniform(70 - 50 * min(1.0, style.strength), 85))))


CHANGES: tuple[tuple[float, Callable[[Style], None]], ...] = (
    (0.3, _transfer),
    (0.6, _curves),
    (0.5, _mixing),
    (0.2, _local_contrast),
    (0.2, _weather),
    (0.15, _soft),
    (0.25, _coarse),
    (0.3, _texture),
    (0.2, _compression),
)
"""Probability and change, in the order in which they are made."""


def _look_of(image: Image.Image) -> Floats:
    """Means and deviations of the channels of a picture, in bytes: (2, 3)."""
    few = np.asarray(image)[::8, ::8].reshape(-1, 3)
    return np.stack([few.mean(0), few.std(0)])


def _look_up(style: Style, values: Floats) -> None:
    """Replace every byte of channel c by values[c, byte], (3, 256)."""
    style.image = style.image.point(np.clip(np.rint(values), 0, 255).astype(int).ravel().tolist())


def _clouds(rng: np.random.Generator, width: int, height: int) -> Image.Image:
    """A smooth field of bytes, 0 to 255, with a few hills."""
    cells = tuple(int(v) for v in rng.integers(2, 7, 2))
    return Image.fromarray(rng.integers(0, 256, cells, dtype=np.uint8)).resize(
        (width, height), Image.Resampling.BICUBIC
    )
