"""A map and a model in miniature, of which every feature tells where it comes from."""

import numpy as np
import pytest

from tiercel.geo import Frame
from tiercel.models import BlockFeatures, ModelConfig

LEAF = 10.0


class FakeMap:
    """A map whose red is three times the metres from its western edge, and whose green those from its northern."""

    name, source, resolution = "plain", "plain.tif", 2.0
    frame = Frame("EPSG:32633")

    def __init__(self, width=75.0, height=60.0, holes=(), content="a") -> None:
        self.west, self.north = 500_000.0, 5_000_000.0
        self.bounds = (self.west, self.north - height, self.west + width, self.north)
        self.holes, self.content, self.reads = holes, content, []

    def fingerprint(self) -> str:
        return f"{self.content} {self.bounds} {self.holes}"

    def read(self, square, pixels) -> tuple[np.ndarray, np.ndarray]:
        self.reads.append((square, pixels))
        x, y = (
            values - start for values, start in zip(square.pixel_centres(pixels), (self.west, self.north), strict=True)
        )
        x, y = np.meshgrid(x, -y)
        covered = (x >= 0) & (x < self.bounds[2] - self.west) & (y >= 0) & (y < self.north - self.bounds[1])
        for west, north, east, south in self.holes:
            covered &= ~((x >= west) & (x < east) & (y >= north) & (y < south))
        rgb = np.stack([3 * x, 3 * y, np.full_like(x, 9)], -1).clip(0, 255).astype(np.uint8)
        return rgb * covered[..., None].astype(np.uint8), covered


class FakeModel:
    """Features are mean colours of the ground that they stand for."""

    name = "mean colour"

    def __init__(self, fingerprint="f" * 16, **sizes) -> None:
        self.fingerprint = fingerprint
        small = {
            "leaf_m": LEAF, "branching": 2, "zoom_levels": 2, "pixels_per_leaf": 20, "block_leaves": 4,
            "margin_leaves": 1, "positions_per_leaf": 2, "match_cells_per_leaf": 5, "headings": 3, "key_width": 4,
            "match_width": 3, "zoom_width": 6, "zoom_pixels": 40, "zoom_margin": 0.125,
        }  # fmt: skip
        self.config = ModelConfig(**{**small, **sizes})
        self.blocks, self.tiles, self.squares = 0, 0, []

    def encode_block(self, pixels, covered) -> BlockFeatures:
        c = self.config
        self.blocks += 1
        side = (c.block_leaves + 2 * c.margin_leaves) * c.pixels_per_leaf
        assert pixels.shape == (side, side, 3)
        assert pixels.dtype == np.uint8
        assert covered.shape == (side, side)
        assert covered.dtype == np.bool_
        margin = c.margin_leaves * c.pixels_per_leaf
        inner = pixels[margin:-margin, margin:-margin].astype(np.float32)
        positions = by_leaf(inner, c.block_leaves, c.positions_per_leaf)
        keys = np.zeros((c.block_leaves, c.block_leaves, c.positions_per_leaf**2, c.headings, c.key_width), np.float16)
        keys[..., :3] = positions[..., None, :]
        keys[..., 3] = np.arange(c.headings)
        match = by_leaf(inner, c.block_leaves, c.match_cells_per_leaf)
        match = match.reshape(c.block_leaves, c.block_leaves, c.match_cells_per_leaf, c.match_cells_per_leaf, 3)
        return BlockFeatures(keys, positions[..., 0].astype(np.float16), match.astype(np.float16))

    def encode_tiles(self, pixels, covered) -> np.ndarray:
        """Mean colours of the middle half, of all of it, and of its north-western quarter, over 255."""
        side = self.config.embedding.tile_pixels
        assert pixels.shape == (len(pixels), side, side, 3)
        assert covered.shape == pixels.shape[:3]
        middle = slice(side // 4, side - side // 4)
        parts = [pixels[:, middle, middle], pixels, pixels[:, : side // 2, : side // 2]]
        self.tiles += len(pixels)
        return np.concatenate([part.mean((1, 2), dtype=np.float64) / 255 for part in parts], 1).astype(np.float32)

    def encode_children(self, pixels, covered, parent_keys, level_from_leaf) -> np.ndarray:
        c = self.config
        n, margin = len(pixels), round(c.zoom_pixels * c.zoom_margin / (1 + 2 * c.zoom_margin))
        assert pixels.shape == (n, c.zoom_pixels, c.zoom_pixels, 3)
        assert covered.shape == (n, c.zoom_pixels, c.zoom_pixels)
        inner = slice(margin, c.zoom_pixels - margin)
        keys = np.zeros((n, c.branching**2, c.zoom_width), np.float16)
        for i in range(n):
            keys[i, :, :3] = by_leaf(pixels[i, inner, inner].astype(np.float32), 1, c.branching)[0, 0]
        keys[..., 3] = level_from_leaf
        keys[..., 4:] = -1 if parent_keys is None else parent_keys[:, None, :2]
        self.squares.append(n)
        return keys


def by_leaf(image, leaves, parts) -> np.ndarray:
    """Mean colours (leaves, leaves, parts * parts, 3) of the parts of the leaves of an image."""
    size = len(image) // (leaves * parts)
    means = image.reshape(leaves, parts, size, leaves, parts, size, 3).mean((2, 5))
    return means.swapaxes(1, 2).reshape(leaves, leaves, parts * parts, 3)


@pytest.fixture
def fake_map() -> type[FakeMap]:
    return FakeMap


@pytest.fixture
def fake_model() -> type[FakeModel]:
    return FakeModel
