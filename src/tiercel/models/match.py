"""The geometric match: a second look that says where in a cell the camera stood, and which way it looked.

The photo becomes a template of the ground around the camera, seen from above: for each azimuth column the network says
what lies at each distance. Turned to a heading and laid out on a grid in metres, it is correlated with overhead
features around a candidate by FFT. The peak gives the position; the log-sum-exp over positions is the candidate's
score.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from tiercel.models.blocks import ConvUnit, Residual
from tiercel.models.config import ModelConfig
from tiercel.models.encoders import photo_encoder
from tiercel.models.products import multiply

PER_HEADING = 2
"""Columns of a photo's template in one azimuth bin."""
RANGES = 24


def polar_columns(config: ModelConfig) -> int:
    """Columns of a full turn in the geometric match."""
    return config.headings * PER_HEADING


class MatchHead(nn.Module):
    """Templates for photos and features for the map, both of `match_width` channels.

    It has encoders of its own: the first stage ranks by what lies tens of metres away, the match by kerbs and walls.

    Args:
        config: Sizes. The overhead picture it sees has ``resolution`` metres per pixel, its features ``match_cell_m``.
    """

    def __init__(self, config: ModelConfig) -> None:
        """Makes the layers."""
        super().__init__()
        self.config = config
        self.photo = photo_encoder(config, PER_HEADING)
        self.column = nn.Linear(config.column_width, 128)
        self.normalisation = nn.LayerNorm(128)
        self.ranges = nn.Linear(128, RANGES * config.match_width)
        fine, middle, coarse = config.width
        stride = round(config.match_cell_m / config.resolution)
        self.stem = ConvUnit(3, fine, stride, stride)
        self.down8 = nn.ModuleList([ConvUnit(fine, middle, 3, 2), Residual(middle)])
        self.down16 = nn.ModuleList([ConvUnit(middle, coarse, 3, 2), Residual(coarse), Residual(coarse)])
        self.at4 = nn.Conv2d(fine, 64, 3, padding=1)
        self.at8, self.at16 = nn.Conv2d(middle, 64, 1), nn.Conv2d(coarse, 64, 1)
        self.output = nn.Conv2d(64, config.match_width, 1)
        self.log_scale = nn.Parameter(torch.tensor(0.0))

    @property
    def radius(self) -> int:
        """Radius of a template in cells; its side is twice that and one."""
        return int(self.config.template_m / self.config.match_cell_m)

    def features(self, image: Tensor) -> Tensor:
        """(B, 3, H, W) overhead pixels to unit vectors (B, match_width, H / stride, W / stride)."""
        at4 = self.stem(image)
        at8 = at4
        for stage in self.down8:
            at8 = stage(at8)
        at16 = at8
        for stage in self.down16:
            at16 = stage(at16)
        up = self.at8(at8) + functional.interpolate(self.at16(at16), scale_factor=2)
        mixed = functional.relu(self.at4(at4) + functional.interpolate(up, scale_factor=2))
        return functional.normalize(self.output(mixed).float(), dim=1)

    def polar(self, strip: Tensor, around: bool) -> Tensor:
        """Strips (B, 4, rows, columns) to what lies where: (B, match_width, ranges, `PER_HEADING` a bin)."""
        columns = functional.relu(self.column(self.photo(strip, around)))
        ranges: Tensor = self.ranges(self.normalisation(columns)).float()
        return ranges.reshape(*ranges.shape[:2], RANGES, -1).permute(0, 3, 2, 1)

    def template(self, polar: Tensor, start: Tensor) -> Tensor:
        """Lay polar features out on the ground.

        Args:
            polar: (B, match_width, ranges, n) from `polar`.
            start: (B,) or (B, H), azimuth of the first column's left edge, radians clockwise from north.

        Returns:
            (B, H, match_width, side, side), rows from north; zero where the photo did not look. H = 1 for a (B,) start.
        """
        start = start[:, None] if start.ndim == 1 else start
        count, total = polar.shape[3], polar_columns(self.config)
        steps = (torch.arange(2 * self.radius + 1, device=polar.device) - self.radius) * self.config.match_cell_m
        south, east = torch.meshgrid(steps, steps, indexing="ij")
        distance = (south**2 + east**2).sqrt()
        azimuth = torch.atan2(east, -south)
        turn = (azimuth - start[..., None, None]) / (2 * math.pi) % 1.0 * total - 0.5
        # The column left of the first one is the last one of the turn; when the photo saw less, it is outside.
        turn = torch.where(turn > total - 1, turn - total, turn) if count < total else turn
        padded = functional.pad(polar, (1, 1, 0, 0), mode="circular") if count == total else polar
        x = (turn + (1.5 if count == total else 0.5)) / padded.shape[3] * 2 - 1
        step = self.config.template_m / RANGES
        y = (((distance / step).clamp(0.5, RANGES - 0.5)) / RANGES * 2 - 1).expand_as(x)
        headings, side = x.shape[1], x.shape[-1]
        grid = torch.stack([x, y], -1).flatten(1, 2)
        laid = functional.grid_sample(padded, grid, align_corners=False)
        laid = laid.reshape(*laid.shape[:2], headings, side, side).transpose(1, 2)
        seen = (distance <= self.config.template_m + 0.5 * step) & (turn >= -0.5) & (turn <= count - 0.5)
        template: Tensor = laid * seen[:, :, None]
        return template

    def scale(self) -> Tensor:
        """Factor from correlation to logit; learned, and of order one for a template of unit features."""
        return self.log_scale.exp() / (2 * self.radius - 4)


def correlate(template: Tensor, features: Tensor) -> Tensor:
    """Correlation at every position where the template lies inside the features, by FFT.

    Args:
        template: (B, H, C, t, t).
        features: (B, K, C, S, S), or (1, K, C, S, S) for the same windows for all.

    Returns:
        (B, H, K, S - t + 1, S - t + 1): at (row, col) the template's centre lies at cell (row + t // 2, col + t // 2).
    """
    side = features.shape[-1]
    return correlate_spectra(template_spectrum(template, side), torch.fft.rfft2(features), template.shape[-1])


def template_spectrum(template: Tensor, side: int) -> Tensor:
    """Templates (..., t, t) as `correlate_spectra` takes them for features of a side: (..., side, side // 2 + 1)."""
    spectrum: Tensor = torch.fft.rfft2(template, s=(side, side)).conj()
    return spectrum


def correlate_spectra(templates: Tensor, features: Tensor, template_side: int) -> Tensor:
    """`correlate` for spectra that are used more than once.

    Args:
        templates: (B, H, C, S, S // 2 + 1) from `template_spectrum`.
        features: (B, K, C, S, S // 2 + 1) or (1, K, ...), from ``rfft2``.
        template_side: t.

    Returns:
        (B, H, K, S - t + 1, S - t + 1).
    """
    side = features.shape[-2]
    inside = side - template_side + 1
    product: Tensor = _Product.apply(templates, features)  # type: ignore[no-untyped-call]
    scores: Tensor = torch.fft.irfft2(product, s=(side, side))
    return scores[..., :inside, :inside]


class _Product(torch.autograd.Function):
    """``einsum("bhcyx,bkcyx->bhkyx")``, where b may be 1 in the second.

    With spectra left as they lie in memory: on a CPU a complex ``einsum`` becomes one tiny matrix product for each
    frequency, and takes much longer.
    """

    @staticmethod
    def forward(ctx: Any, templates: Tensor, features: Tensor) -> Tensor:  # noqa: ANN401  (torch's own context)
        ctx.save_for_backward(templates, features)
        out = templates.new_empty(*templates.shape[:2], features.shape[1], *templates.shape[3:])
        for index, (some, given) in enumerate(zip(out, templates, strict=True)):
            multiply(given, features[index if len(features) > 1 else 0], some)
        return out

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor]:  # noqa: ANN401
        templates, features = ctx.saved_tensors
        for_templates, for_features = torch.empty_like(templates), torch.empty_like(features)
        over = (0, 1) if len(features) == 1 else (1,)
        for channel in range(templates.shape[2]):
            torch.sum(gradient * features[:, None, :, channel].conj(), 2, out=for_templates[:, :, channel])
            product = gradient * templates[:, :, None, channel].conj()
            for_features[:, :, channel] = product.sum(over)
        return for_templates, for_features
