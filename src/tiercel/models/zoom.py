"""Zooming: a score for each child cell of a square, given the photo and the path that led there.

Unlike a class head over 16 actions, each child has a key of its own, made from what its ground looks like and from the
key of the square it lies in (which carries the path so far). Scores are trained in one softmax over the children of
many squares, so they can be compared across branches, and a search may leave a branch for another.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from tiercel.models.config import ModelConfig
from tiercel.models.encoders import overhead_encoder


class ZoomHead(nn.Module):
    """Keys for child cells and, for each level, queries at every heading.

    Args:
        config: Sizes. Levels are counted from the leaves: level 1 picks leaves.
    """

    def __init__(self, config: ModelConfig) -> None:
        """Makes the layers."""
        super().__init__()
        self.config = config
        self.encoder = overhead_encoder(config, 0)
        child = config.width[2] * 4
        self.level = nn.Parameter(torch.zeros(config.zoom_levels, child))
        self.child = nn.Linear(child, 128)
        self.parent = nn.Linear(config.zoom_width, 128)
        self.key = nn.Linear(128, config.zoom_width)
        self.bias = nn.Linear(128, 1)
        self.query = nn.Parameter(
            torch.randn(config.zoom_levels, config.headings, config.column_width, config.zoom_width - 1)
            * (config.headings * config.column_width) ** -0.5
        )
        self.log_scale = nn.Parameter(torch.full((config.zoom_levels,), 2.3))

    def keys(self, image: Tensor, parents: Tensor, level: int) -> Tensor:
        """Keys of the children of squares.

        Args:
            image: (B, 3, zoom_pixels, zoom_pixels), the square with its margin.
            parents: (B, zoom_width), keys of the squares themselves, zeros at the topmost level.
            level: 1 where the children are leaves, and so on upwards.

        Returns:
            (B, g * g, zoom_width), children row by row from the north-west. The last channel is a bias.
        """
        _, coarse = self.encoder(image)
        cells = self._children(coarse.float()) + self.level[level - 1]
        hidden = functional.relu(self.child(cells) + self.parent(parents)[:, None])
        # The key proper leaves its last channel to the bias, so that one product gives the whole score.
        key = functional.normalize(self.key(hidden)[..., :-1], dim=-1)
        return torch.cat([key, self.bias(hidden)], -1)

    def _children(self, coarse: Tensor) -> Tensor:
        """The features inside the margin, 2 x 2 samples a child: (B, C, h, w) to (B, g * g, 4 C)."""
        g, margin = self.config.branching, self.config.zoom_margin
        inside = 1.0 / (1.0 + 2.0 * margin)
        steps = ((torch.arange(2 * g, device=coarse.device) + 0.5) / g - 1.0) * inside
        grid = torch.stack(torch.meshgrid(steps, steps, indexing="xy"), -1).expand(len(coarse), -1, -1, -1)
        samples = functional.grid_sample(coarse, grid, align_corners=False)
        samples = samples.reshape(*samples.shape[:2], g, 2, g, 2)
        return samples.permute(0, 2, 4, 1, 3, 5).reshape(len(samples), g * g, -1)

    def queries(self, columns: Tensor, level: int) -> Tensor:
        """Photo columns (B, n, column_width) to (B, headings, zoom_width): entry h has the first column at bin h."""
        headings = self.config.headings
        # The sum over columns n of weight[h + n] times column[n] for every h is a correlation around the horizon.
        spectrum = torch.fft.rfft(columns.float(), headings, dim=1).conj()
        weights = torch.fft.rfft(self.query[level - 1].float(), headings, dim=0)
        query = torch.fft.irfft(torch.einsum("bfc,fck->bfk", spectrum, weights), headings, dim=1)
        scaled = functional.normalize(query, dim=-1) * self.log_scale[level - 1].exp()
        return torch.cat([scaled, torch.ones_like(scaled[..., :1])], -1)
