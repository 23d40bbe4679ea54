"""The dual encoder: one vector for a photo at each heading, one for a tile of the map, compared by inner product.

With the pooling ``azimuth`` both vectors say what lies where. A photo's azimuth columns are lowered to a few channels
and laid on the bins of a full turn, those that the photo did not see staying empty, and one linear layer reads all of
them; a turn of the photo is a shift of the bins. A tile's cells go through one linear layer in the same way. With the
pooling ``mean`` a vector is made of the average over a view, as by Sample4Geo (ICCV 2023), with an encoder for each
view or one backbone for both.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from tiercel.models.config import EmbeddingConfig, ModelConfig
from tiercel.models.encoders import overhead_encoder, vision_backbone

COLUMN_CHANNELS = 32
CELL_CHANNELS = 32
TEMPERATURE = 0.07
"""The one that learning starts from, as CLIP's and Sample4Geo's."""
GREATEST_SCALE = 100.0
CELL_PIXELS = 16
"""Stride of the overhead encoders' coarse features."""


class EmbeddingHead(nn.Module):
    """Vectors of photos and of tiles.

    Args:
        config: Sizes, with those of the embedding.
    """

    def __init__(self, config: ModelConfig) -> None:
        """Makes the layers."""
        super().__init__()
        assert config.embedding is not None
        sizes: EmbeddingConfig = config.embedding
        self.config, self.sizes = config, sizes
        self.log_scale = nn.Parameter(torch.tensor(math.log(1 / TEMPERATURE)))
        if sizes.shared:
            self.backbone = vision_backbone(config.photo_encoder)
            self.picture = MeanPooling(self.backbone.channels, sizes.width)
            return
        self.encoder = overhead_encoder(config, 0)
        self.photo: AzimuthPooling | MeanPooling
        self.tile: GridPooling | MeanPooling
        if sizes.pooling == "azimuth":
            self.photo = AzimuthPooling(config.column_width, config.headings, sizes.width)
            self.tile = GridPooling(config.width[2], sizes.tile_pixels // CELL_PIXELS, sizes.width)
        else:
            self.photo = MeanPooling(config.column_width, sizes.width)
            self.tile = MeanPooling(config.width[2], sizes.width)

    @property
    def scale(self) -> Tensor:
        """What a similarity is multiplied by to make it a logit, at most `GREATEST_SCALE`."""
        return self.log_scale.clamp_max(math.log(GREATEST_SCALE)).exp()

    def photos(self, strips: Tensor, columns: Tensor | None, start: Tensor | None = None) -> Tensor:
        """Photos at some headings.

        Args:
            strips: (B, 4, rows, n * columns_per_heading), as the photo encoder gets them.
            columns: (B, n, column_width) that it made of them; None where both views share a backbone.
            start: (B, K) int64, azimuth bins that the strip's first column may lie in; all of them, in order, if None.

        Returns:
            (B, K, width) float32 of unit length; alike for all K where the pooling is ``mean``.
        """
        headings = self.config.headings
        if start is None:
            start = torch.arange(headings, device=strips.device).expand(len(strips), headings)
        seen = strips[:, 3].mean(1).reshape(len(strips), -1, self.config.columns_per_heading).mean(2)
        if self.sizes.shared:
            vectors = self.picture(*self._cells(strips[:, :3] * strips[:, 3:], strips[:, 3:]))
        else:
            assert columns is not None
            if isinstance(self.photo, AzimuthPooling):
                return _unit(self.photo(columns, seen, start))
            vectors = self.photo(columns, seen)
        return _unit(vectors)[:, None].expand(-1, start.shape[1], -1)

    def tiles(self, image: Tensor) -> Tensor:
        """Tiles (B, 3, tile_pixels, tile_pixels) in -1..1, 0 where not covered, to (B, width) float32, unit length."""
        if self.sizes.shared:
            return _unit(self.picture(*self._cells(image, None)))
        grid = self.encoder(image)[1]
        if isinstance(self.tile, GridPooling):
            return _unit(self.tile(grid))
        return _unit(self.tile(grid.flatten(2).transpose(1, 2), None))

    def _cells(self, image: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """A view as the shared backbone sees it: cells (B, n, channels), and how much of each was seen (B, n)."""
        grid = self.backbone(image)
        seen = None if mask is None else functional.adaptive_avg_pool2d(mask, grid.shape[2:]).flatten(1)
        return grid.flatten(2).transpose(1, 2), seen


class AzimuthPooling(nn.Module):
    """One linear layer over the azimuth bins of a full turn.

    Args:
        channels: Of a column.
        headings: Bins.
        width: Of the vector.
    """

    def __init__(self, channels: int, headings: int, width: int) -> None:
        """Makes the layers."""
        super().__init__()
        self.headings = headings
        self.lower = nn.Linear(channels, COLUMN_CHANNELS)
        self.read = nn.Linear(headings * (COLUMN_CHANNELS + 1), width)

    def forward(self, columns: Tensor, seen: Tensor, start: Tensor) -> Tensor:
        """(B, n, channels) columns, (B, n) how much of each was seen, (B, K) first bins, to (B, K, width)."""
        lowered = self.lower(columns) * (seen > 0)[..., None]
        laid = torch.cat([lowered, seen[..., None].to(lowered.dtype)], -1)
        laid = functional.pad(laid, (0, 0, 0, self.headings - laid.shape[1]))
        bins = torch.arange(self.headings, device=start.device)
        column = (bins - start[..., None]) % self.headings
        rows = torch.arange(len(laid), device=start.device)[:, None, None]
        out: Tensor = self.read(laid[rows, column].flatten(2))
        return out


class GridPooling(nn.Module):
    """One linear layer over the cells of a tile.

    Args:
        channels: Of a cell.
        cells: Along a side.
        width: Of the vector.
    """

    def __init__(self, channels: int, cells: int, width: int) -> None:
        """Makes the layers."""
        super().__init__()
        self.lower = nn.Conv2d(channels, CELL_CHANNELS, 3, padding=1)
        self.read = nn.Linear(CELL_CHANNELS * cells**2, width)

    def forward(self, grid: Tensor) -> Tensor:
        """(B, channels, cells, cells) to (B, width)."""
        out: Tensor = self.read(functional.relu(self.lower(grid)).flatten(1))
        return out


class MeanPooling(nn.Module):
    """The average over what was seen, normalised, and one linear layer (none where the width is that of the features).

    Args:
        channels: Of a feature.
        width: Of the vector.
    """

    def __init__(self, channels: int, width: int) -> None:
        """Makes the layers."""
        super().__init__()
        self.norm = nn.LayerNorm(channels)
        self.read = nn.Linear(channels, width) if width != channels else nn.Identity()

    def forward(self, features: Tensor, seen: Tensor | None) -> Tensor:
        """(B, n, channels) features, (B, n) how much of each was seen (None: all alike), to (B, width)."""
        if seen is None:
            mean = features.mean(1)
        else:
            weight = seen / seen.sum(1, keepdim=True).clamp_min(1e-6)
            mean = (features * weight[..., None].to(features.dtype)).sum(1)
        out: Tensor = self.read(self.norm(mean))
        return out


def _unit(vectors: Tensor) -> Tensor:
    return functional.normalize(vectors.float(), dim=-1)
