"""A made-up town: a map and photos whose looks are known, small and quick."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image, ImageFilter

from tiercel.geo import Frame
from tiercel.maps import write_geotiff
from tiercel.photos import write_photo

FRAME = Frame("EPSG:32633")
WEST, SOUTH, SIDE = 500_200.0, 5_200_000.0, 560.0
MIDDLE = (WEST + SIDE / 2, SOUTH + SIDE / 2)


def write_map(folder: Path, gap: float = 0.0) -> Path:
    """A map of the town, without coverage in a strip along its western edge."""
    rng = np.random.default_rng(5)
    rough = Image.fromarray(rng.integers(30, 220, (40, 40, 3), np.uint8))
    rgb = np.asarray(rough.resize((int(SIDE), int(SIDE)), Image.Resampling.BILINEAR))
    covered = np.ones(rgb.shape[:2], np.bool_)
    covered[:, : int(gap)] = False
    path = folder / "town.tif"
    write_geotiff(path, rgb, FRAME, WEST, SOUTH + SIDE, 1.0, covered=covered if gap else None)
    return path


def street(seed: int, size: tuple[int, int] = (240, 160)) -> np.ndarray:
    """A street as far as the filters can tell: sky above, detail below, another one for every seed."""
    width, height = size
    rng = np.random.default_rng(seed)
    coarse = Image.fromarray(rng.integers(0, 255, (9, 14, 3), np.uint8)).resize(size, Image.Resampling.BICUBIC)
    fine = rng.integers(0, 255, (height, width, 1))
    picture = 0.75 * np.asarray(coarse, float) + 0.25 * fine
    horizon = height // 4
    picture[:horizon] = np.linspace((110, 160, 220), (150, 190, 235), horizon)[:, None]
    return np.clip(picture, 0, 255).astype(np.uint8)


def blurred(pixels: np.ndarray, sigma: float = 3.0) -> np.ndarray:
    """Out of focus."""
    return np.asarray(Image.fromarray(pixels).filter(ImageFilter.GaussianBlur(sigma)))


def finger(pixels: np.ndarray) -> np.ndarray:
    """The right half behind a finger."""
    covered = pixels.copy()
    width = pixels.shape[1]
    covered[:, width * 45 // 100 :] = np.linspace((70, 45, 40), (95, 60, 50), pixels.shape[0])[:, None]
    return covered


def room(size: tuple[int, int] = (320, 240)) -> np.ndarray:
    """A room: a plain ceiling, papered walls with a picture, a wooden floor."""
    width, height = size
    rng = np.random.default_rng(1)
    x, y = np.meshgrid((np.arange(width) + 0.5) / width * 2 - 1, (np.arange(height) + 0.5) / height * 2 - 1)
    up, down, side = 1.3 / np.maximum(-y, 1e-6), 1.5 / np.maximum(y, 1e-6), 2.0 / np.maximum(np.abs(x) * 1.3, 1e-6)
    depth = np.minimum(np.minimum(np.minimum(up, down), side), 4.0)
    shade = (1.1 - 0.12 * depth)[..., None]
    paper = (
        np.array([150, 140, 115])
        + 40 * (np.sin(depth * 14 + x * 40) > 0)[..., None]
        + rng.normal(0, 9, (height, width, 1))
    )
    planks = (
        np.array([120, 85, 55]) + 35 * (np.sin(x * depth * 18) > 0)[..., None] + rng.normal(0, 9, (height, width, 1))
    )
    ceiling = np.full((height, width, 3), (176, 168, 150.0))
    picture = np.where((down <= depth)[..., None], planks, np.where((up <= depth)[..., None], ceiling, paper))
    return np.clip(picture * shade, 0, 255).astype(np.uint8)


def place(east: float, north: float) -> tuple[float, float]:
    """Latitude and longitude of metres from the town's south-western corner."""
    latitude, longitude = FRAME.to_wgs84(WEST + east, SOUTH + north)
    return float(latitude), float(longitude)


def take(path: Path, pixels: np.ndarray, east: float, north: float, heading: float | None = None) -> Path:
    """A photo taken in the town."""
    latitude, longitude = place(east, north)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_photo(path, pixels, latitude=latitude, longitude=longitude, heading=heading, field_of_view=70.0)
    return path


def walk(folder: Path, count: int, first: int = 0) -> list[Path]:
    """Good photos along a street through the town."""
    places = np.linspace(60, SIDE - 60, max(count, 2))
    return [
        take(folder / f"{first + index:04d}.jpg", street(first + index), float(places[index]), 250.0, 90.0)
        for index in range(count)
    ]
