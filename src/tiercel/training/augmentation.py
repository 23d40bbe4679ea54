"""Light, colours and sharpness varied beyond what the simulator does, so that what is learnt carries elsewhere."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional


def augment_overhead(images: Tensor, share: float, rng: np.random.Generator) -> Tensor:
    """Overhead pictures (..., 3, H, W) in -1..1: colours, and now and then a coarse ground sample distance.

    Args:
        images: The pictures.
        share: How many of them are varied. The simulator varies much already, and variation on top costs learning.
        rng: Source of chance.
    """
    flat = images.flatten(0, -4).clone()
    some = torch.from_numpy(rng.random(len(flat)) < share)
    flat[some] = _colours(flat[some], rng, strength=0.25)
    for index in np.nonzero(rng.random(len(flat)) < 0.3 * share)[0]:
        flat[index] = _coarse(flat[index], float(rng.uniform(1.3, 4.0)))
    return flat.view(images.shape)


def augment_photos(strips: Tensor, share: float, rng: np.random.Generator) -> Tensor:
    """Strips (B, 4, rows, columns): colours, softness and noise; what the mask hides stays 0.

    Args:
        strips: The strips.
        share: How many of them are varied.
        rng: Source of chance.
    """
    strips = strips.clone()
    colour, mask = strips[:, :3], strips[:, 3:]
    some = torch.from_numpy(rng.random(len(strips)) < share)
    colour[some] = _colours(colour[some], rng, strength=0.3)
    for index in np.nonzero(rng.random(len(strips)) < 0.3 * share)[0]:
        colour[index] = _coarse(colour[index], float(rng.uniform(1.2, 2.5)))
    for index in np.nonzero(rng.random(len(strips)) < 0.5 * share)[0]:
        noise = torch.from_numpy(rng.standard_normal(colour.shape[1:], np.float32))
        colour[index] += noise * float(rng.uniform(0.0, 0.1))
    colour.clamp_(-1, 1).mul_(mask)
    return strips


def _colours(images: Tensor, rng: np.random.Generator, strength: float) -> Tensor:
    """Random gain, offset, white balance, gamma and saturation for each picture (B, 3, H, W)."""
    count = len(images)

    def draw(shape: tuple[int, ...], low: float, high: float) -> Tensor:
        return torch.from_numpy(rng.uniform(low, high, shape).astype(np.float32))

    light = (images + 1.0) / 2.0
    gamma = torch.exp(draw((count, 1, 1, 1), -strength, strength))
    gain = 1.0 + draw((count, 1, 1, 1), -strength, strength)
    balance = 1.0 + draw((count, 3, 1, 1), -strength, strength) * 0.5
    grey = light.mean(1, keepdim=True)
    saturation = 1.0 + draw((count, 1, 1, 1), -2 * strength, 1.5 * strength)
    saturation = torch.where(draw((count, 1, 1, 1), 0, 1) < 0.08, torch.zeros(()), saturation)
    light = (grey + (light - grey) * saturation).clamp(1e-3, 1.0) ** gamma
    light = light * gain * balance + draw((count, 1, 1, 1), -0.3, 0.3) * strength
    # Where nothing is covered or seen the value is exactly 0 and has to stay so.
    return torch.where(images == 0, images, (light * 2 - 1).clamp(-1, 1))


def _coarse(image: Tensor, factor: float) -> Tensor:
    """A picture (3, H, W) as if its pixels were `factor` times as large."""
    height, width = image.shape[1:]
    size = (max(2, round(height / factor)), max(2, round(width / factor)))
    small = functional.interpolate(image[None], size=size, mode="bilinear", antialias=True)
    return functional.interpolate(small, size=(height, width), mode="bilinear")[0]
