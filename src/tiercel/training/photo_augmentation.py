"""The augmentations published for "Just Zoom In" (arXiv 2603.25686), on uint8 pictures, with Pillow and numpy alone.

Published are the kinds and their probabilities or ranges; where only the kind is, what is drawn here is said.
"""

from __future__ import annotations

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageEnhance, ImageFilter

Pixels = NDArray[np.uint8]
SCALE = (0.7, 1.0)
"""Share of the largest possible area that a photo is cropped to."""
QUALITY = (90, 100)
JITTER, HUE = 0.2, 0.05
"""Of brightness, contrast and saturation, as factors 1 +- JITTER; of hue, as a share of the colour circle."""
GREY, SHARPNESS, DROPOUT = 0.1, 0.3, 0.3
"""Probabilities of grey photos, of blur or sharpening, and of dropout in a grid or in coarse holes."""


def augment_photo(pixels: Pixels, side: int, rng: np.random.Generator) -> Pixels:
    """A photo (H, W, 3) cropped to 2 : 1 at random and varied: (side, 2 * side, 3)."""
    image = _compressed(_cropped(Image.fromarray(pixels), side, rng), rng)
    image = _jittered(image, rng)
    if rng.random() < GREY:
        image = image.convert("L").convert("RGB")
    return _holed(_blurred_or_sharpened(image, rng), rng)


def augment_square(pixels: Pixels, rng: np.random.Generator) -> Pixels:
    """An overhead square (P, P, 3) varied; it stays where it is and north stays up."""
    return _holed(_blurred_or_sharpened(_jittered(Image.fromarray(pixels), rng), rng), rng)


def _cropped(image: Image.Image, side: int, rng: np.random.Generator) -> Image.Image:
    """A random part of twice the width as height, as large as drawn from `SCALE`, or as fits."""
    width = min(image.width, 2.0 * image.height, (2.0 * image.width * image.height * rng.uniform(*SCALE)) ** 0.5)
    left = rng.uniform(0.0, image.width - width)
    top = rng.uniform(0.0, image.height - width / 2)
    box = (left, top, left + width, top + width / 2)
    return image.resize((2 * side, side), Image.Resampling.BILINEAR, box, reducing_gap=3.0)


def _compressed(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    file = io.BytesIO()
    image.save(file, "JPEG", quality=int(rng.integers(QUALITY[0], QUALITY[1] + 1)))
    return Image.open(file).convert("RGB")


def _jittered(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Brightness, contrast, saturation and hue, in random order."""
    for kind in rng.permutation(4):
        if kind == 3:
            image = _turned(image, round(float(rng.uniform(-HUE, HUE)) * 256))
        else:
            enhance = (ImageEnhance.Brightness, ImageEnhance.Contrast, ImageEnhance.Color)[kind]
            image = enhance(image).enhance(float(rng.uniform(1 - JITTER, 1 + JITTER)))
    return image


def _turned(image: Image.Image, shift: int) -> Image.Image:
    """Hues shifted along the colour circle of 256 steps."""
    if not shift:
        return image
    hue, saturation, value = image.convert("HSV").split()
    hue = Image.fromarray((np.asarray(hue).astype(np.int16) + shift).astype(np.uint8))
    return Image.merge("HSV", (hue, saturation, value)).convert("RGB")


def _blurred_or_sharpened(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    """A Gaussian blur of 0.5 to 1.5 pixels, or sharpening by 50 to 150 %."""
    if rng.random() >= SHARPNESS:
        return image
    if rng.random() < 0.5:
        return image.filter(ImageFilter.GaussianBlur(float(rng.uniform(0.5, 1.5))))
    return image.filter(ImageFilter.UnsharpMask(2, int(rng.uniform(50, 150)), 0))


def _holed(image: Image.Image, rng: np.random.Generator) -> Pixels:
    """Black holes: half the side of every cell of a grid, or 1 to 8 of up to an eighth of the height."""
    pixels = np.array(image)
    if rng.random() >= DROPOUT:
        return pixels
    height, width = pixels.shape[:2]
    if rng.random() < 0.5:
        cell = int(rng.integers(max(2, height // 16), max(3, height // 4) + 1))
        down, across = ((np.arange(length) + int(rng.integers(cell))) % cell < cell // 2 for length in (height, width))
        pixels[down[:, None] & across] = 0
        return pixels
    for _ in range(int(rng.integers(1, 9))):
        tall, wide = (int(size) for size in rng.integers(max(1, height // 16), max(2, height // 8) + 1, 2))
        top, left = int(rng.integers(0, height - tall + 1)), int(rng.integers(0, width - wide + 1))
        pixels[top : top + tall, left : left + wide] = 0
    return pixels
