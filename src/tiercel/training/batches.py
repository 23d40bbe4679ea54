"""Batches: crops of cities, photos taken in them, and what is true about both.

Every batch is a function of (seed, step) alone, so that a run resumes exactly and any number of workers gives the same
batches.
A crop is turned by quarter turns and mirrored, and its panoramas with it; this is exact, and makes eight cities of one.
Panoramas start at a random azimuth; ordinary photos are pieces of panoramas under the mask of a pinhole camera.
Positions are metres east and south of a crop's north-west corner.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from tiercel.models.config import ModelConfig
from tiercel.models.model import overhead_to_tensor, strips_to_tensor
from tiercel.training.augmentation import augment_overhead, augment_photos
from tiercel.training.cities import TrainingCity
from tiercel.training.faults import faulty_photos
from tiercel.training.feeding import Crop, Cut, Feed
from tiercel.training.recipe import Stage
from tiercel.training.restyling import restyled_overhead

Batch = dict[str, Tensor]
Floats = NDArray[np.float64]

SAME_PLACE_M = 24.0
"""Positions closer than this to the truth are not counted as wrong."""
RETRIEVAL_CROP = 448
"""Side of a retrieval crop in pixels (twice the model's resolution)."""
MATCH_CROP = 512
"""Side of a match crop in pixels (the model's resolution)."""
PICTURES = ("around_image", "fine_images", "image", "middle_image", "root_image")
"""Names of what a batch may hold that was taken from above."""


@dataclass(frozen=True)
class Turn:
    """One of the eight symmetries of a square: quarter turns against the clock, then perhaps a mirror east to west."""

    quarters: int
    mirror: bool

    @classmethod
    def sample(cls, rng: np.random.Generator) -> Turn:
        """A random one."""
        return cls(int(rng.integers(4)), bool(rng.integers(2)))

    def image(self, pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Turn a picture (H, W, C) with H = W."""
        turned = np.rot90(pixels, self.quarters)
        return turned[:, ::-1] if self.mirror else turned

    def points(self, points: Floats, side: float) -> Floats:
        """Turn points (n, 2), east and south of the corner of a square of that side."""
        x, y = points[:, 0], points[:, 1]
        for _ in range(self.quarters):
            x, y = y, side - x
        return np.stack([side - x if self.mirror else x, y], 1)

    def strips(self, strips: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Turn panoramas (n, rows, columns, C) whose left edge looks north."""
        turned = np.roll(strips, -self.quarters * (strips.shape[2] // 4), axis=2)
        return turned[:, :, ::-1] if self.mirror else turned


@dataclass(frozen=True)
class Photos:
    """Strips cut from panoramas.

    Attributes:
        strips: (n, rows, columns, 4) uint8.
        start: (n,) azimuth of the left edge, in strip columns.
        around: whether they are whole panoramas.
    """

    strips: NDArray[np.uint8]
    start: NDArray[np.int64]
    around: bool


def cut_photos(
    panoramas: NDArray[np.uint8], bins: int, stage: Stage, config: ModelConfig, rng: np.random.Generator, aligned: float
) -> Photos:
    """Cut strips of `bins` azimuth bins from panoramas whose left edge looks north.

    Panoramas come level, as mapping cars and stitching programs make them, or nearly so. Photos come from a camera that
    somebody held more or less straight, and whose lens nobody has measured: their strips are laid out as if it had been
    level and all that is said of it were true.

    Args:
        panoramas: (n, rows, columns, 3), or 4 with what they saw (above 127) in the last; rows beyond those of a strip,
            as many above as below, are spare.
        bins: All of them for whole panoramas; fewer for photos under the mask of a pinhole camera.
        stage: Its ranges of fields of view, tilts and lenses.
        config: Sizes.
        rng: Source of chance.
        aligned: Share of strips whose left edge lies on the edge of an azimuth bin, as when the heading is known.
    """
    count, spare, total = len(panoramas), (panoramas.shape[1] - config.strip_height) // 2, panoramas.shape[2]
    rows, per_bin, around = config.strip_height, config.columns_per_heading, bins == config.headings
    start = np.asarray(rng.integers(0, total, count))
    start = np.where(rng.random(count) < aligned, start // per_bin * per_bin, start)
    level = around and not stage.panorama_tilt
    slack = 0 if level else per_bin
    columns = (start[:, None] + np.arange(-slack, bins * per_bin + slack)) % total
    pixels = np.stack([panorama.take(chosen, axis=1) for panorama, chosen in zip(panoramas, columns, strict=True)])
    mask = np.full((count, rows, bins * per_bin, 1), 255, np.uint8)
    tangent = config.vertical_tangent * (1.0 - (np.arange(rows) + 0.5) * 2.0 / rows)
    if around:
        pixels = pixels[:, spare : spare + rows] if level else _leaning(pixels, stage, tangent, config, rng)
        for index in range(count):
            top, bottom = (config.vertical_tangent * rng.uniform(0.6, 1.4, 2)) if rng.random() < 0.3 else (9.0, 9.0)
            mask[index, (tangent > top) | (tangent < -bottom)] = 0
    else:
        seen = [_pinhole_mask(bins, stage, config, tangent, rng) for _ in range(count)]
        mask[..., 0] = np.where([one for one, _ in seen], 255, 0)
        tilt = rng.normal(0.0, np.radians(stage.tilt), (count, 2))
        lens = rng.uniform(-1.0, 1.0, (count, 2)) * (stage.field_of_view_error, stage.distortion)
        pixels = _tilted(pixels, np.array([middle for _, middle in seen]), tilt, lens, tangent, config)
    if pixels.shape[3] > 3:
        mask[pixels[..., 3] <= 127] = 0
        pixels = pixels[..., :3]
    return Photos(np.concatenate([pixels * (mask > 0), mask], 3), start, around)


def _tilted(
    pixels: NDArray[np.uint8], middle: Floats, tilt: Floats, lens: Floats, tangent: Floats, config: ModelConfig
) -> NDArray[np.uint8]:
    """What strips of photos hold whose cameras were tilted, or not as said: the inverse of `tiercel.models.strips`.

    Args:
        pixels: (n, rows and spare rows, columns and one azimuth bin on each side, channels) of level panoramas.
        middle: (n,) columns from the left edge of the strip to the photo's centre.
        tilt: (n, 2) pitch upwards and roll clockwise, radians.
        lens: (n, 2) how much wider the photo is than it is said to be, as a share, and the radial distortion 45 degrees
            from its centre.
        tangent: (rows,) tangents of elevation of the strip's rows.
        config: Sizes.

    Returns:
        (n, rows, columns, channels).
    """
    height, width, rows = pixels.shape[1], pixels.shape[2] - 2 * config.columns_per_heading, len(tangent)
    per_column, per_row = 2 * np.pi / config.strip_columns, 2 * config.vertical_tangent / rows
    # Directions so far aside that no pinhole sees them are under the mask anyway.
    relative = np.clip((np.arange(width) + 0.5 - middle[:, None, None]) * per_column, -1.4, 1.4)
    # In the picture plane, one focal length ahead.
    right, up = np.broadcast_arrays(np.tan(relative), tangent[:, None] / np.cos(relative))
    if lens.any():
        wider, bend = lens.T[:, :, None, None]
        scale = (1.0 + wider) * (1.0 + bend * np.minimum(right**2 + up**2, 2.0))
        right, up = right * scale, up * scale
    pitch, roll = (angle[:, None, None] for angle in tilt.T)
    across, over = right * np.cos(roll) + up * np.sin(roll), up * np.cos(roll) - right * np.sin(roll)
    ahead, above = np.cos(pitch) - over * np.sin(pitch), np.sin(pitch) + over * np.cos(pitch)
    column = middle[:, None, None] + np.arctan2(across, ahead) / per_column + config.columns_per_heading
    row = height / 2 - above / np.hypot(across, ahead) / per_row
    return _read(pixels, row, column)


def _leaning(
    pixels: NDArray[np.uint8], stage: Stage, tangent: Floats, config: ModelConfig, rng: np.random.Generator
) -> NDArray[np.uint8]:
    """What panoramas hold that were not quite level: leaning about two level axes, by small angles.

    Args:
        pixels: (n, rows and spare rows, columns and one azimuth bin on each side, channels) of level panoramas.
        stage: How much they lean.
        tangent: (rows,) tangents of elevation of the strip's rows.
        config: Sizes.
        rng: Source of chance.

    Returns:
        (n, rows, columns, channels).
    """
    height, total, rows = pixels.shape[1], config.strip_columns, len(tangent)
    per_column, per_row = 2 * np.pi / total, 2 * config.vertical_tangent / rows
    forward, sideways = rng.normal(0.0, np.radians(stage.panorama_tilt), (2, len(pixels), 1, 1))
    azimuth = (np.arange(total) + 0.5) * per_column
    # To first order in the angles: how far up a direction is tilted, and how far a point above the horizon moves aside.
    up = forward * np.cos(azimuth) + sideways * np.sin(azimuth)
    aside = forward * np.sin(azimuth) - sideways * np.cos(azimuth)
    above = tangent[:, None]
    column = np.arange(total) + 0.5 + above * aside / per_column + config.columns_per_heading
    row = height / 2 - (above + up * (1.0 + above**2)) / per_row
    return _read(pixels, row, column)


def _read(pixels: NDArray[np.uint8], row: Floats, column: Floats) -> NDArray[np.uint8]:
    """Bilinear samples (n, rows, columns, C) of pictures (n, H, W, C); pixels have their centres at halves."""
    grid = np.stack([column / pixels.shape[2] * 2 - 1, row / pixels.shape[1] * 2 - 1], -1).astype(np.float32)
    source = torch.from_numpy(pixels).permute(0, 3, 1, 2).float()
    found = functional.grid_sample(source, torch.from_numpy(grid), padding_mode="border", align_corners=False)
    return np.asarray(found.permute(0, 2, 3, 1).round().to(torch.uint8).numpy())


def _pinhole_mask(
    bins: int, stage: Stage, config: ModelConfig, tangent: Floats, rng: np.random.Generator
) -> tuple[NDArray[np.bool_], float]:
    """What a camera that fits into `bins` bins sees of them: (rows, columns) bool, and the column of its centre."""
    low, high = stage.field_of_view
    wide = min(high, bins * config.bin_deg)
    field = rng.uniform(max(low, wide - 2 * config.bin_deg), wide)
    left = rng.uniform(0.0, bins * config.bin_deg - field) if rng.random() < 0.5 else 0.0
    azimuth = (np.arange(bins * config.columns_per_heading) + 0.5) * config.bin_deg / config.columns_per_heading
    relative = np.radians(azimuth - left - field / 2)
    inside = np.abs(relative) <= math.radians(field / 2)
    half_height = math.tan(math.radians(field / 2)) * rng.uniform(0.5, 1.35)
    shift = rng.uniform(-0.12, 0.12)
    height = tangent[:, None] / np.cos(relative)[None, :]
    seen = (np.abs(height - shift) <= half_height) & inside[None, :]
    return seen, (left + field / 2) / config.bin_deg * config.columns_per_heading


def photo_bins(stage: Stage, config: ModelConfig, rng: np.random.Generator, step: int | None = None) -> int:
    """How many azimuth bins the photos of a step fill: all of them for panoramas."""
    share = 1.0 if step is not None and step < stage.panoramas_until else stage.panoramas
    if rng.random() < share:
        return config.headings
    low, high = (math.ceil(limit / config.bin_deg) for limit in stage.field_of_view)
    return int(rng.integers(low, high + 2))


def padded_crop(
    image: NDArray[np.uint8], left: int, top: int, side: int
) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """A square of an image, with what lies outside marked as not covered: (side, side, 3), (side, side)."""
    height, width = image.shape[:2]
    out, covered = np.zeros((side, side, 3), np.uint8), np.zeros((side, side), bool)
    x0, y0, x1, y1 = max(left, 0), max(top, 0), min(left + side, width), min(top + side, height)
    if x1 > x0 and y1 > y0:
        inner = (slice(y0 - top, y1 - top), slice(x0 - left, x1 - left))
        out[inner], covered[inner] = image[y0:y1, x0:x1], True
    return out, covered


def _augmented(batch: Batch, stage: Stage, rng: np.random.Generator, step: int | None) -> Batch:
    """A batch with light, colours and sharpness varied, as far as the stage has it at this step."""
    overhead = {name: batch[name] for name in PICTURES if name in batch}
    strips = batch["strips"]
    photos = strips.flatten(0, 1)
    if not stage.plain_from or (step is not None and step < stage.plain_from):
        overhead = {name: augment_overhead(images, stage.augmented, rng) for name, images in overhead.items()}
        photos = augment_photos(photos, stage.augmented, rng)
    if stage.restyled > 0:
        overhead = {name: restyled_overhead(images, stage.restyled, rng) for name, images in overhead.items()}
    if stage.faults > 0:
        photos = faulty_photos(photos, stage.faults, rng)
    return batch | overhead | {"strips": photos.reshape(strips.shape)}


def _position_error(count: int, stage: Stage, rng: np.random.Generator) -> Floats:
    """How far off photos are from where they are said to be: (count, 2) metres."""
    return rng.normal(0.0, stage.position_error, (count, 2)) if stage.position_error else np.zeros((count, 2))


class RetrievalBatches:
    """Batches for the retrieval and zoom heads; `sample(rng)` makes one.

    Args:
        feed: Which crops and photos.
        stage: Sizes of a batch.
        config: The model's sizes.
        augment: Vary light, colours and sharpness.
    """

    LEAST_PHOTOS = 5
    MARGIN_M = 70.0

    def __init__(self, feed: Feed, stage: Stage, config: ModelConfig, augment: bool = True) -> None:
        """Keeps where batches come from."""
        self.feed, self.stage, self.config, self.augment = feed, stage, config, augment
        self.zoom = "zoom" in stage.heads
        self.pixel = 2.0 * config.resolution
        self.side = RETRIEVAL_CROP * self.pixel
        self.parent = config.leaf_m * config.branching**2
        # Crops of one city must not overlap, where each other's positions are the wrong ones.
        apart = self.parent if self.zoom or stage.crops_per_city > 1 else 0.0
        sizes = stage.photos_per_crop, stage.crops_per_city, self.LEAST_PHOTOS
        self.cut = Cut(self.side, self.MARGIN_M, self.pixel, apart, *sizes, config.resolution)
        self.count = stage.cities_per_step

    def sample(self, rng: np.random.Generator, step: int | None = None) -> Batch:
        """A batch: tensors by name. See `tiercel.training.losses` for what each is used for.

        Args:
            rng: Source of chance.
            step: Step of the run, for what changes during it; None for what it comes to.
        """
        bins = photo_bins(self.stage, self.config, rng, step)
        crops: list[Batch] = []
        roots: list[Tensor] = []
        for number, serving in enumerate(self.feed.servings(rng, step, self.cut, self.count)):
            turn = Turn.sample(rng)
            same_city = {"city": torch.tensor(number)}
            crops += [self._crop(serving.city, crop, turn, bins, rng) | same_city for crop in serving.crops]
            if self.zoom:
                roots.append(self._square(serving.city, np.zeros(2), city_side(serving.city, self.config), 32, turn))
        batch = {name: torch.stack([crop[name] for crop in crops]) for name in crops[0]}
        if self.zoom:
            batch["root_image"] = torch.stack(roots)
        return _augmented(batch, self.stage, rng, step) if self.augment else batch

    def _crop(self, city: TrainingCity, crop: Crop, turn: Turn, bins: int, rng: np.random.Generator) -> Batch:
        config, stage = self.config, self.stage
        corner, photos, members = crop.corner, crop.photos, crop.members
        panoramas = turn.strips(np.asarray(city.strips[photos]))
        truth = turn.points(city.positions[photos] - corner, self.side) + _position_error(len(photos), stage, rng)
        cut = cut_photos(panoramas, bins, stage, config, rng, aligned=0.5)
        left, top = np.round(corner / self.pixel).astype(int)
        image = turn.image(city.overhead[2][top : top + RETRIEVAL_CROP, left : left + RETRIEVAL_CROP])
        near = turn.points(city.positions[rng.choice(members, stage.negatives_per_crop // 2)] - corner, self.side)
        near = near + rng.uniform(-6, 6, near.shape)
        anywhere = rng.uniform(self.MARGIN_M, self.side - self.MARGIN_M, (stage.negatives_per_crop - len(near), 2))
        step = config.leaf_m / config.positions_per_leaf
        positions = np.concatenate([truth + rng.uniform(-step / 2, step / 2, truth.shape), near, anywhere])
        distance = np.linalg.norm(truth[:, None] - positions[None], axis=2)
        ignore = distance < SAME_PLACE_M
        ignore[np.arange(len(truth)), np.arange(len(truth))] = False
        all_covered = np.ones((1, RETRIEVAL_CROP, RETRIEVAL_CROP), bool)
        batch = {
            "image": overhead_to_tensor(np.ascontiguousarray(image)[None], all_covered)[0],
            "strips": strips_to_tensor(cut.strips),
            "start": torch.from_numpy(cut.start / config.columns_per_heading),
            "positions": torch.from_numpy(positions.astype(np.float32)),
            "ignore": torch.from_numpy(ignore),
            "turn": torch.tensor([turn.quarters, int(turn.mirror)]),
            "truth": torch.from_numpy(truth.astype(np.float32)),
            "land_cover": self._land_cover(city, left, top, turn),
        }
        return batch | self._zoom(city, turn, corner, truth, positions, rng) if self.zoom else batch

    def _land_cover(self, city: TrainingCity, left: int, top: int, turn: Turn) -> Tensor:
        """The class at the centre of each cell of the fine features, about: (RETRIEVAL_CROP / 4,) * 2."""
        per_cell = self.config.match_cell_m / self.pixel
        step = round(4 / per_cell)
        rows, cols = (round(first / per_cell) + step // 2 for first in (top, left))
        side = RETRIEVAL_CROP // 4 * step
        cover = turn.image(city.land_cover[rows : rows + side : step, cols : cols + side : step])
        return torch.from_numpy(np.ascontiguousarray(cover))

    def _zoom(
        self,
        city: TrainingCity,
        turn: Turn,
        corner: Floats,
        truth: Floats,
        positions: Floats,
        rng: np.random.Generator,
    ) -> Batch:
        """Squares on the way down and, for each photo, the right child in each of them (-1 where there is none)."""
        config = self.config
        g = config.branching
        whole = city_side(city, config)
        parent_corner = np.floor((corner + self.side / 2) / self.parent) * self.parent
        shift = self._turned_corner(turn, corner - parent_corner)
        inside = truth + shift
        centre = turn.points((parent_corner + self.parent / 2)[None], whole)[0]
        batch = {
            "middle_image": self._square(city, parent_corner, self.parent, 8, turn),
            "root_child": torch.from_numpy(np.repeat(_child(centre[None], whole, g), len(truth))),
            "middle_child": torch.from_numpy(_child(inside, self.parent, g)),
            "position_child": torch.from_numpy(_child(positions + shift, self.parent, g)),
        }
        return batch if config.zoom_lowest > 1 else batch | self._fine(city, turn, parent_corner, inside, rng)

    def _fine(
        self, city: TrainingCity, turn: Turn, parent_corner: Floats, inside: Floats, rng: np.random.Generator
    ) -> Batch:
        """Some of the squares of the finest level that photos were taken in."""
        config = self.config
        g, fine_side = config.branching, config.leaf_m * config.branching
        cells = np.floor(inside / fine_side).astype(int)
        distinct = np.unique(cells, axis=0)
        kept = distinct[rng.permutation(len(distinct))[: self.stage.squares_per_crop]]
        number = np.full(len(inside), -1)
        for index, square in enumerate(kept):
            number[(cells == square).all(1)] = index
        fine_child = _child(inside - cells * fine_side, fine_side, g)
        # Fewer distinct squares than asked for: fill up with the first, whose extra copies no photo points to.
        filled = np.concatenate([kept, np.repeat(kept[:1], self.stage.squares_per_crop - len(kept), axis=0)])
        corners = [self._unturned(turn, square * fine_side, fine_side) + parent_corner for square in filled]
        fine = torch.stack([self._square(city, at, fine_side, 2, turn) for at in corners])
        return {
            "fine_images": fine,
            "fine_square": torch.from_numpy(number),
            "fine_child": torch.from_numpy(fine_child),
            "fine_real": torch.arange(self.stage.squares_per_crop) < len(kept),
            "fine_parent": torch.from_numpy(_child((filled + 0.5) * fine_side, self.parent, g)),
        }

    def _turned_corner(self, turn: Turn, offset: Floats) -> Floats:
        """Where the turned crop's north-west corner lies in the turned square."""
        ends = turn.points(np.stack([offset, offset + self.side]), self.parent)
        return np.asarray(ends.min(0))

    def _unturned(self, turn: Turn, corner: Floats, side: float) -> Floats:
        """The north-west corner, before turning, of a square of the turned parent."""
        candidates = np.stack(np.meshgrid(*[np.arange(0, self.parent, side)] * 2), -1).reshape(-1, 2) + side / 2
        turned = turn.points(candidates, self.parent)
        nearest = np.linalg.norm(turned - (corner + side / 2), axis=1).argmin()
        return np.asarray(candidates[nearest] - side / 2)

    def _square(self, city: TrainingCity, corner: Floats, side: float, factor: int, turn: Turn) -> Tensor:
        """A square with its margin as the zoom head sees it, turned: (3, zoom_pixels, zoom_pixels)."""
        config = self.config
        pixel = config.resolution * factor
        margin = side * config.zoom_margin
        left, top = np.round((corner - margin) / pixel).astype(int)
        crop, covered = padded_crop(city.overhead[factor], left, top, config.zoom_pixels)
        covered = turn.image(covered[..., None].astype(np.uint8))[..., 0] > 0
        return overhead_to_tensor(turn.image(crop)[None], covered[None])[0]


def city_side(city: TrainingCity, config: ModelConfig) -> float:
    """Side of a city in metres."""
    return float(city.overhead[1].shape[0]) * config.resolution


def _child(points: Floats, side: float, g: int) -> NDArray[np.int64]:
    """The child (row by row from the north-west) of a square that points, east and south of its corner, lie in."""
    index = np.clip(np.floor(points / side * g), 0, g - 1).astype(np.int64)
    return index[:, 1] * g + index[:, 0]


class MatchBatches:
    """Batches for the geometric match; `sample(rng)` makes one.

    Args:
        feed: Which crops and photos.
        stage: Sizes of a batch.
        config: The model's sizes.
        augment: Vary light, colours and sharpness.
    """

    LEAST_PHOTOS = 4

    def __init__(self, feed: Feed, stage: Stage, config: ModelConfig, augment: bool = True) -> None:
        """Keeps where batches come from."""
        self.feed, self.stage, self.config, self.augment = feed, stage, config, augment
        self.side = MATCH_CROP * config.resolution
        margin = config.template_m + 2 * config.match_cell_m
        sizes = stage.photos_per_crop, 1, self.LEAST_PHOTOS
        self.cut = Cut(self.side, margin, config.match_cell_m, 0.0, *sizes, config.resolution)
        self.count = stage.cities_per_step * stage.crops_per_city

    def sample(self, rng: np.random.Generator, step: int | None = None) -> Batch:
        """A batch: tensors by name. See `RetrievalBatches.sample`."""
        bins = photo_bins(self.stage, self.config, rng, step)
        servings = self.feed.servings(rng, step, self.cut, self.count)
        crops = [self._crop(serving.city, crop, bins, rng) for serving in servings for crop in serving.crops]
        batch = {name: torch.stack([crop[name] for crop in crops]) for name in crops[0]}
        return _augmented(batch, self.stage, rng, step) if self.augment else batch

    def _crop(self, city: TrainingCity, crop: Crop, bins: int, rng: np.random.Generator) -> Batch:
        config, turn, corner, photos = self.config, Turn.sample(rng), crop.corner, crop.photos
        cut = cut_photos(turn.strips(np.asarray(city.strips[photos])), bins, self.stage, config, rng, aligned=0.0)
        left, top = np.round(corner / config.resolution).astype(int)
        image = turn.image(city.overhead[1][top : top + MATCH_CROP, left : left + MATCH_CROP])
        stride = round(config.match_cell_m / config.resolution)
        first_row, first_col, cells = top // stride, left // stride, MATCH_CROP // stride
        cover = turn.image(city.land_cover[first_row : first_row + cells, first_col : first_col + cells])
        covered = np.ones((1, MATCH_CROP, MATCH_CROP), bool)
        right = cut.start * (2 * np.pi / config.strip_columns)
        right = right + np.radians(rng.uniform(-1, 1, len(right)) * self.stage.heading_error)
        wrong = rng.uniform(0, 2 * np.pi, (len(right), self.stage.wrong_headings))
        truth = turn.points(city.positions[photos] - corner, self.side)
        truth = truth + _position_error(len(photos), self.stage, rng)
        wider = {"around_image": self._around(city, left, top, turn)} if self.stage.beside else {}
        return wider | {
            "image": overhead_to_tensor(np.ascontiguousarray(image)[None], covered)[0],
            "strips": strips_to_tensor(cut.strips),
            "start": torch.from_numpy(np.concatenate([right[:, None], wrong], 1).astype(np.float32)),
            "truth": torch.from_numpy(truth.astype(np.float32)),
            "land_cover": torch.from_numpy(np.ascontiguousarray(cover)),
        }

    @staticmethod
    def _around(city: TrainingCity, left: int, top: int, turn: Turn) -> Tensor:
        """The crop and as much ground around it as retrieval looks at: its `RETRIEVAL_CROP`, with the same middle."""
        beyond = (RETRIEVAL_CROP - MATCH_CROP // 2) // 2
        crop, covered = padded_crop(city.overhead[2], left // 2 - beyond, top // 2 - beyond, RETRIEVAL_CROP)
        covered = turn.image(covered[..., None].astype(np.uint8))[..., 0] > 0
        return overhead_to_tensor(np.ascontiguousarray(turn.image(crop))[None], covered[None])[0]
