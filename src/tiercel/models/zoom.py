"""Zooming: a score for each child cell of a square, given the photo and the path that led there.

Unlike with a class head over 16 actions, each child has a key of its own, made from what its ground looks like and from
the key of the square it lies in (which carries the path so far). Scores of paths can be compared across branches where
they are trained to be (see `tiercel.training.losses`), and a search may then leave a branch for another. For comparison
the head can also be made as published: keys of actions, from the feature of the whole square.
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
        config: Sizes. Levels are counted from the leaves: level 1 picks leaves. The head has a part of its own for each
            level from `zoom_lowest` to `zoom_levels`.
    """

    def __init__(self, config: ModelConfig) -> None:
        """Makes the layers."""
        super().__init__()
        self.config = config
        self.encoder = overhead_encoder(config, 0)
        self.levels = config.zoom_levels - config.zoom_lowest + 1
        self.by_action = config.zoom_keys == "action"
        feature = config.width[2] * (1 if self.by_action else 4)
        self.level = nn.Parameter(torch.zeros(self.levels, feature))
        self.child = nn.Linear(feature, 128 * (config.branching**2 if self.by_action else 1))
        self.parent = nn.Linear(config.zoom_width, 128)
        self.key = nn.Linear(128, config.zoom_width)
        self.bias = nn.Linear(128, 1)
        self.query = nn.Parameter(
            torch.randn(self.levels, config.headings, config.column_width, config.zoom_width - 1)
            * (config.headings * config.column_width) ** -0.5
        )
        self.log_scale = nn.Parameter(torch.full((self.levels,), 2.3))
        if config.zoom_reject:
            self.reject = nn.Parameter(torch.zeros(self.levels))

    def row(self, level: int) -> int:
        """Where a level's own parameters are."""
        return level - self.config.zoom_lowest

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
        cells = self._children(coarse.float()) + self.level[self.row(level)]
        cells = self.child(cells.mean(1)).reshape(len(cells), -1, 128) if self.by_action else self.child(cells)
        hidden = functional.relu(cells + self.parent(parents)[:, None])
        # The key proper leaves its last channel to the bias, so that one product gives the whole score.
        key = functional.normalize(self.key(hidden)[..., :-1], dim=-1)
        return torch.cat([key, self.bias(hidden)], -1)

    def _children(self, coarse: Tensor) -> Tensor:
        """The features inside the margin: (B, C, h, w) to (B, g * g, 4 C), 2 x 2 samples a child.

        Keys of actions need only their mean: (B, g * g, C).
        """
        g, margin = self.config.branching, self.config.zoom_margin
        inside = 1.0 / (1.0 + 2.0 * margin)
        steps = ((torch.arange(2 * g, device=coarse.device) + 0.5) / g - 1.0) * inside
        grid = torch.stack(torch.meshgrid(steps, steps, indexing="xy"), -1).expand(len(coarse), -1, -1, -1)
        samples = functional.grid_sample(coarse, grid, align_corners=False)
        samples = samples.reshape(*samples.shape[:2], g, 2, g, 2)
        samples = samples.permute(0, 2, 4, 1, 3, 5).reshape(len(samples), g * g, -1, 4)
        return samples.mean(-1) if self.by_action else samples.flatten(2)

    def queries(self, columns: Tensor, level: int) -> Tensor:
        """Photo columns (B, n, column_width) to (B, headings, zoom_width): entry h has the first column at bin h."""
        headings = self.config.headings
        # The sum over columns n of weight[h + n] times column[n] for every h is a correlation around the horizon.
        spectrum = torch.fft.rfft(columns.float(), headings, dim=1).conj()
        weights = torch.fft.rfft(self.query[self.row(level)].float(), headings, dim=0)
        query = torch.fft.irfft(torch.einsum("bfc,fck->bfk", spectrum, weights), headings, dim=1)
        scaled = functional.normalize(query, dim=-1) * self.log_scale[self.row(level)].exp()
        return torch.cat([scaled, torch.ones_like(scaled[..., :1])], -1)
