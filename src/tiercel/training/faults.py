"""Faults of real photos that a simulator's never have: what cars, lenses, exposure and compression do to a picture.

A photo out of the window of a car shows its bonnet, its wipers and what its windscreen reflects; its lens is dirty,
flares and blurs; its exposure misses; and it was compressed before anyone sees it. Every fault is drawn with its own
probability, one after the other in the order in which light meets them, on a strip as `tiercel.models.strips` lays it
out.
"""

from __future__ import annotations

import io
import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter
from torch import Tensor

Light = NDArray[np.float32]

PIXELS_PER_UNIT = 0.64
"""Pixels of a strip, per row that it has, to one unit of the tangent of elevation and to one radian of azimuth: strips
of 64 rows reach from -0.786 to 0.786, and their pixels are about square."""
CAMERA_M = 1.6
"""Height of the camera above the ground that vehicles are drawn for, metres."""
PAINTS = ((0.9, 0.9, 0.9), (0.06, 0.06, 0.07), (0.5, 0.52, 0.54), (0.7, 0.71, 0.72), (0.25, 0.27, 0.3),
          (0.55, 0.08, 0.07), (0.1, 0.18, 0.42), (0.75, 0.6, 0.12), (0.12, 0.3, 0.18), (0.6, 0.52, 0.42))  # fmt: skip
"""Colours of vehicles, the commonest first."""


@dataclass
class Shot:
    """A strip on its way through the faults.

    Attributes:
        light: (rows, columns, 3) float32, 0 to 1; anything where nothing is seen.
        seen: (rows, columns) bool.
        rng: Source of chance.
        strength: Factor on how strong faults are; 1 is as strong as they come in photos of moderate quality.
    """

    light: Light
    seen: NDArray[np.bool_]
    rng: np.random.Generator
    strength: float

    def draw(self, low: float, high: float) -> float:
        """A number between two, whose distance from `low` grows with the strength."""
        return low + self.strength * float(self.rng.uniform(0.0, high - low))

    @property
    def box(self) -> tuple[int, int, int, int]:
        """First and last row, first and last column that are seen."""
        rows, columns = np.nonzero(self.seen.any(1))[0], np.nonzero(self.seen.any(0))[0]
        return int(rows[0]), int(rows[-1]), int(columns[0]), int(columns[-1])

    @property
    def sample(self) -> Light:
        """Some of the pixels that are seen, enough for averages: (n, 3)."""
        some = self.seen[1::3, 1::3]
        return self.light[1::3, 1::3][some] if some.any() else self.light[self.seen]

    def cover(self, colour: Light, opacity: Light) -> None:
        """Lay a colour (3,) or (rows, columns, 3) over the picture, as opaque as told, (rows, columns) from 0 to 1."""
        self.light += opacity[..., None] * (colour - self.light)


def faulty_photos(strips: Tensor, share: float, rng: np.random.Generator, strength: float = 1.0) -> Tensor:
    """Strips (B, 4, rows, columns), colours in -1..1 and a mask: some get faults. What the mask hides stays 0.

    Args:
        strips: The strips; their masks stay as they are.
        share: How many of them get faults, at least one each.
        rng: Source of chance.
        strength: Factor on how strong faults are.

    Returns:
        Strips of the same shape and layout in memory; the input is left alone.
    """
    strips = strips.clone()
    for index in np.nonzero(rng.random(len(strips)) < share)[0]:
        mask = strips[index, 3]
        seen = mask.numpy() > 0
        if not seen.any():
            continue
        light: Light = np.asarray(strips[index, :3].permute(1, 2, 0) * 0.5 + 0.5, np.float32, order="C")
        shot = Shot(light, seen, rng, strength)
        _go_wrong(shot)
        changed = torch.from_numpy(shot.light).permute(2, 0, 1)
        strips[index, :3] = (changed * 2.0 - 1.0).clamp_(-1.0, 1.0) * mask
    return strips


def _go_wrong(shot: Shot) -> None:
    """Every fault with its probability; at least one."""
    happens = shot.rng.random(len(FAULTS)) < [probability for probability, _ in FAULTS]
    if not happens.any():
        happens[shot.rng.integers(len(FAULTS))] = True
    for (_, fault), now in zip(FAULTS, happens, strict=True):
        if now:
            fault(shot)
            np.clip(shot.light, 0.0, 1.0, out=shot.light)


def _vehicles(shot: Shot) -> None:
    """One to three vehicles between the camera and what it is to see."""
    rows, columns = shot.seen.shape
    picture, mask = Image.new("RGB", (columns, rows)), Image.new("L", (columns, rows))
    for _ in range(int(shot.rng.integers(1, 4))):
        _draw_vehicle(shot, ImageDraw.Draw(picture), ImageDraw.Draw(mask))
    opacity = mask.filter(ImageFilter.GaussianBlur(0.5))
    shade = np.float32(shot.rng.uniform(0.5, 1.1)) * np.linspace(1.15, 0.7, rows, dtype=np.float32)[:, None, None]
    shot.cover(_array(picture) * shade, _array(opacity) * np.float32(min(1.0, shot.strength)))


def _draw_vehicle(shot: Shot, picture: ImageDraw.ImageDraw, mask: ImageDraw.ImageDraw) -> None:
    """A car, a van or a lorry: body, windows and wheels, as large as at its distance."""
    rng, (rows, columns) = shot.rng, shot.seen.shape
    high = rng.choice([1.5, 1.7, 2.2, 3.2], p=[0.5, 0.25, 0.15, 0.1])
    metre = rows * PIXELS_PER_UNIT / rng.uniform(3.5, 14.0)
    length = (rng.uniform(1.7, 2.0) if rng.random() < 0.4 else high * rng.uniform(1.8, 3.0)) * metre
    bottom, left = rows / 2 + CAMERA_M * metre, rng.uniform(-length / 2, columns - length / 2)
    top, belt, right = bottom - high * metre, bottom - 0.58 * high * metre, left + length
    slope = length * rng.uniform(0.06, 0.2) if high < 2.0 else length * 0.02
    wheel, keel = 0.32 * metre, bottom - 0.25 * metre
    paint = np.array(PAINTS[min(int(rng.exponential(3.0)), len(PAINTS) - 1)]) * 255
    body, dark = tuple(int(v) for v in paint), tuple(int(v) for v in paint * 0.15 + 15)
    outline = [(left, keel), (left, belt), (left + slope, top), (right - slope, top), (right, belt), (right, keel)]
    picture.polygon(outline, fill=body)
    mask.polygon(outline, fill=255)
    inset = 0.08 * length
    picture.polygon([(left + inset, belt), (left + slope + inset / 2, top + 0.1 * metre),
                     (right - slope - inset / 2, top + 0.1 * metre), (right - inset, belt)], fill=dark)  # fmt: skip
    # From behind, tyres are narrow and half hidden.
    half = wheel if length > 2.2 * metre else 0.35 * wheel
    for x in (left + 0.18 * length, right - 0.18 * length):
        around = (x - half, bottom - 2 * wheel, x + half, bottom)
        picture.ellipse(around, fill=(18, 18, 20))
        mask.ellipse(around, fill=255)


def _reflection(shot: Shot) -> None:
    """What a windscreen reflects: a faint bright veil, and soft shapes of what lies on the dashboard."""
    rng, (rows, columns) = shot.rng, shot.seen.shape
    veil = (
        _smooth(rng, (3, 6), rows, columns) * np.linspace(rng.uniform(0.2, 1.0), 1.0, rows, dtype=np.float32)[:, None]
    )
    veil *= np.float32(shot.draw(0.05, 0.45))
    if rng.random() < 0.6:
        shapes = Image.new("L", (columns, rows))
        pen = ImageDraw.Draw(shapes)
        for _ in range(int(rng.integers(1, 4))):
            x, y = rng.uniform(0, columns), rng.uniform(0.4 * rows, rows)
            corners = rng.uniform(0.3, 1.0, 5) * rng.uniform(0.08, 0.4) * rows
            turns = np.sort(rng.uniform(0, 2 * math.pi, 5))
            around = zip(x + 2 * corners * np.cos(turns), y + 0.6 * corners * np.sin(turns), strict=True)
            pen.polygon([(float(a), float(b)) for a, b in around], fill=int(rng.integers(80, 256)))
        veil += _array(shapes.filter(ImageFilter.GaussianBlur(rng.uniform(0.7, 3.0)))) * np.float32(
            shot.draw(0.02, 0.3)
        )
    shot.cover(rng.uniform(0.75, 1.0, 3).astype(np.float32), veil)


def _wiper(shot: Shot) -> None:
    """One or two dark slanted bars that begin at the lower edge."""
    rng, (_, bottom, left, right) = shot.rng, shot.box
    rows, columns = shot.seen.shape
    bars = Image.new("L", (columns, rows))
    slant = rng.uniform(-1.0, 1.0)
    for _ in range(int(rng.integers(1, 3))):
        x = rng.uniform(left, right)
        tall = rng.uniform(0.2, 0.8) * rows
        bend = x + rng.uniform(0.2, 0.6) * slant * tall, bottom - 0.5 * tall
        tip = x + 1.4 * slant * tall, bottom - tall
        line = [(x, bottom + 1), bend, tip]
        ImageDraw.Draw(bars).line([(float(a), float(b)) for a, b in line], fill=255, width=int(rng.integers(1, 4)))
    opacity = _array(bars.filter(ImageFilter.GaussianBlur(rng.uniform(0.3, 1.0)))) * np.float32(shot.draw(0.4, 1.0))
    shot.cover(np.float32(rng.uniform(0.0, 0.12)) * np.ones(3, np.float32), np.minimum(opacity, 1.0))


def _bonnet(shot: Shot) -> None:
    """A smooth coloured arc over the lowest rows, now and then reflecting what stands above it."""
    rng, (top, bottom, left, right) = shot.rng, shot.box
    rows, columns = shot.seen.shape
    tall = shot.draw(0.04, 0.3) * (bottom - top)
    across = np.arange(columns, dtype=np.float32) - (left + right) / 2 - rng.uniform(-0.2, 0.2) * (right - left)
    across /= max(1.0, 0.5 * (right - left))
    edge = bottom + 1 - tall * (1 - np.float32(rng.uniform(0.1, 0.9)) * across**2)
    below = np.arange(rows, dtype=np.float32)[:, None] - edge[None]
    paint = np.array(PAINTS[min(int(rng.exponential(3.0)), len(PAINTS) - 1)], np.float32)
    shade = np.float32(rng.uniform(0.4, 1.1)) * (
        1 + np.float32(rng.uniform(-0.5, 0.5)) * np.clip(below / (tall + 1), 0, 1)
    )
    colour = paint * shade[..., None]
    if rng.random() < 0.6:
        source = np.clip(edge[None] - below * np.float32(rng.uniform(1.0, 3.0)), top, bottom).astype(np.int64)
        mirrored = shot.light[source, np.arange(columns)[None]]
        colour = colour + np.float32(rng.uniform(0.1, 0.7)) * (mirrored - colour)
    shot.cover(colour.astype(np.float32), np.clip(below + 0.5, 0, 1).astype(np.float32))


def _dirt(shot: Shot) -> None:
    """Specks of dirt and drops of water on the glass, out of focus."""
    rng, (rows, columns) = shot.rng, shot.seen.shape
    specks = Image.new("L", (columns, rows))
    pen = ImageDraw.Draw(specks)
    largest = rng.uniform(0.02, 0.09) * rows
    for _ in range(int(rng.integers(3, 5 + round(12 * shot.strength)))):
        x, y = rng.uniform(0, columns), rng.uniform(0, rows)
        wide, tall = largest * rng.uniform(0.3, 1.0, 2)
        pen.ellipse((x - wide, y - tall, x + wide, y + tall), fill=int(rng.integers(60, 256)))
    opacity = _array(specks.filter(ImageFilter.GaussianBlur(rng.uniform(0.3, 1.5)))) * np.float32(
        min(1.0, shot.draw(0.2, 0.9))
    )
    tint = np.float32(rng.uniform(0.1, 0.45)) * np.array([1.0, 0.95, 0.85], np.float32)
    # A drop shows the whole scene, tiny and upside down: its average is all a strip's pixels tell of it.
    drop = shot.sample.mean(0) * np.float32(rng.uniform(0.7, 1.3))
    shot.cover(tint if rng.random() < 0.5 else drop, opacity)


def _flare(shot: Shot) -> None:
    """Glare around a light in the upper half, and ghosts on the line from it through the centre."""
    rng, (top, bottom, left, right) = shot.rng, shot.box
    rows, columns = shot.seen.shape
    y, x = np.arange(rows, dtype=np.float32)[:, None], np.arange(columns, dtype=np.float32)[None]
    sun_x, sun_y = np.float32(rng.uniform(left, right)), np.float32(rng.uniform(top - 0.2 * rows, rows / 2))
    away = ((x - sun_x) ** 2 + (y - sun_y) ** 2) / np.float32((rng.uniform(0.15, 0.8) * rows) ** 2)
    glare = np.float32(shot.draw(0.2, 1.0)) / (1 + away)
    for _ in range(int(rng.integers(0, 4))):
        along, radius = np.float32(rng.uniform(0.5, 2.2)), np.float32(rng.uniform(0.02, 0.12) * rows)
        ghost_x, ghost_y = sun_x + along * ((left + right) / 2 - sun_x), sun_y + along * ((top + bottom) / 2 - sun_y)
        inside = (x - ghost_x) ** 2 + (y - ghost_y) ** 2 < radius**2
        glare = glare + inside * np.float32(shot.draw(0.02, 0.2))
    shot.cover(rng.uniform([0.9, 0.85, 0.7], 1.0).astype(np.float32), np.minimum(glare, 1.0))


def _defocus(shot: Shot) -> None:
    """The whole picture out of focus."""
    _blur(shot, ImageFilter.BoxBlur(shot.draw(0.2, 1.4)))


def _motion(shot: Shot) -> None:
    """Blur across azimuth, as from a turning camera or a passing street."""
    _blur(shot, ImageFilter.BoxBlur((shot.draw(0.5, 2.5), 0.0)))


def _blur(shot: Shot, kernel: ImageFilter.Filter) -> None:
    """Filter what is seen, as if it went on where nothing is."""
    mask = shot.seen[..., None].astype(np.float32)
    pixels = np.concatenate([shot.light * mask, mask], 2) * 255 + 0.5
    soft = np.asarray(Image.fromarray(pixels.astype(np.uint8), "RGBA").filter(kernel), np.float32)
    shot.light = np.asarray(soft[..., :3] / np.maximum(soft[..., 3:], 1.0), np.float32)


def _vignette(shot: Shot) -> None:
    """Dark corners."""
    top, bottom, left, right = shot.box
    rows, columns = shot.seen.shape
    y = (np.arange(rows, dtype=np.float32) - (top + bottom) / 2)[:, None] / max(1, bottom - top)
    x = (np.arange(columns, dtype=np.float32) - (left + right) / 2)[None] / max(1, right - left)
    shot.light *= (1 - np.float32(min(0.95, shot.draw(0.1, 0.75))) * np.minimum(2 * (x**2 + y**2), 1.0))[..., None]


def _exposure(shot: Shot) -> None:
    """Too light or too dark, flat or harsh, tinged; what leaves the range is clipped."""
    rng, strength = shot.rng, shot.strength
    mean = float(shot.sample.mean())
    # Cameras expose for a middle grey and miss it: what is dark already seldom becomes darker still.
    wanted = 0.42 * 2.0 ** (strength * rng.uniform(-1.3, 0.9))
    gain = (wanted / max(mean, 0.05)) ** min(1.0, 0.7 * strength)
    balance = np.exp(0.1 * strength * rng.standard_normal(3))
    contrast = np.float32(np.exp(0.3 * strength * rng.standard_normal()))
    shot.light = ((shot.light - np.float32(mean)) * contrast + np.float32(mean)) * (gain * balance).astype(np.float32)


def _grain(shot: Shot) -> None:
    """Noise of the sensor, coloured or grey, finer or coarser than a pixel."""
    rng, (rows, columns) = shot.rng, shot.seen.shape
    noise = rng.standard_normal((rows, columns, 3 if rng.random() < 0.6 else 1), np.float32)
    if rng.random() < 0.4:
        noise = noise + np.roll(noise, 1, 0) + np.roll(noise, 1, 1)
    # Measured by the picture's own contrast, so that something of it is left.
    contrast = min(1.0, 4.0 * float(shot.sample.std()))
    shot.light += noise * np.float32(contrast * shot.draw(0.01, 0.08))


def _compression(shot: Shot) -> None:
    """JPEG, from noticeable to bad."""
    quality = max(3, round(shot.rng.uniform(60 - 50 * min(1.0, shot.strength), 75)))
    shot.light = _array(compressed(Image.fromarray((shot.light * 255 + 0.5).astype(np.uint8)), quality))


FAULTS: tuple[tuple[float, Callable[[Shot], None]], ...] = (
    (0.25, _vehicles),
    (0.15, _bonnet),
    (0.1, _wiper),
    (0.2, _reflection),
    (0.15, _dirt),
    (0.12, _flare),
    (0.2, _defocus),
    (0.15, _motion),
    (0.25, _vignette),
    (0.5, _exposure),
    (0.2, _grain),
    (0.35, _compression),
)
"""Probability and fault, in the order in which light meets them."""


def compressed(image: Image.Image, quality: int) -> Image.Image:
    """A picture after JPEG of a quality from 1 to 95."""
    file = io.BytesIO()
    image.save(file, "JPEG", quality=quality)
    return Image.open(file).convert("RGB")


def _array(image: Image.Image) -> Light:
    """A picture's values, 0 to 1."""
    return np.asarray(image, np.float32) * np.float32(1 / 255)


def _smooth(rng: np.random.Generator, cells: tuple[int, int], rows: int, columns: int) -> Light:
    """A smooth random field from 0 to 1 with about so many hills down and across: (rows, columns)."""
    coarse = Image.fromarray(rng.integers(0, 256, cells, dtype=np.uint8))
    return _array(coarse.resize((columns, rows), Image.Resampling.BICUBIC))
