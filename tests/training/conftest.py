"""Cities that are no pictures but addresses: every pixel says where it is, every strip column where it looks."""

from collections.abc import Iterator

import numpy as np
import pytest

from tests.models.tiny import tiny_config
from tiercel.models import ModelConfig
from tiercel.sim.landcover import CLASSES
from tiercel.training.cities import TrainingCity
from tiercel.training.recipe import Stage

CONFIG = tiny_config()
SIDE_M = 2000.0


def addresses(pixels) -> np.ndarray:
    """(pixels, pixels, 3): red and green are the low bytes of column and row, blue holds the high bits of both."""
    index = np.arange(pixels)
    picture = np.zeros((pixels, pixels, 3), np.uint8)
    picture[..., 0], picture[..., 1] = (index & 255)[None], (index & 255)[:, None]
    picture[..., 2] = (index >> 8)[None] | (index >> 8)[:, None] << 4
    return picture


def address(colour, pixel_m) -> np.ndarray:
    """Metres east and south of the city's corner, (..., 2), of pixels (..., 3) of `addresses`."""
    colour = np.asarray(colour).astype(int)
    column, row = colour[..., 0] + 256 * (colour[..., 2] & 15), colour[..., 1] + 256 * (colour[..., 2] >> 4)
    return (np.stack([column, row], -1) + 0.5) * pixel_m


def coded_strips(count) -> np.ndarray:
    """Red is the column, whose azimuth in the untouched city that tells; green the photo's number."""
    strips = np.zeros((count, CONFIG.strip_height, CONFIG.strip_columns, 3), np.uint8)
    strips[..., 0] = np.arange(CONFIG.strip_columns)
    strips[..., 1] = np.arange(count)[:, None, None]
    strips[..., 2] = 50
    return strips


def patches(cells) -> np.ndarray:
    """Land cover in patches of 8 by 8 cells whose class tells, up to repeats, where they lie."""
    index = np.arange(cells) // 8
    return ((index[None] + 3 * index[:, None]) % CLASSES).astype(np.uint8)


def make_city(seed, count=200) -> TrainingCity:
    rng = np.random.default_rng(seed)
    pixels = round(SIDE_M / CONFIG.resolution)
    overhead = {factor: addresses(pixels // factor) for factor in (1, 2, 8, 32)}
    positions = rng.uniform(20, SIDE_M - 20, (count, 2)).astype(np.float32)
    cover = patches(round(SIDE_M / CONFIG.match_cell_m))
    return TrainingCity(seed, overhead, cover, coded_strips(count), positions)


def noise_city(seed, count=200) -> TrainingCity:
    """Textures that a network can learn by heart."""
    rng = np.random.default_rng(seed)
    pixels = round(SIDE_M / CONFIG.resolution)
    small = rng.integers(0, 256, (pixels // 32, pixels // 32, 3), dtype=np.uint8)
    overhead = {f: small.repeat(32 // f, 0).repeat(32 // f, 1) for f in (1, 2, 8, 32)}
    strips = rng.integers(0, 256, (count, 8, 32, 3), dtype=np.uint8).repeat(8, 1).repeat(8, 2)
    cover = (small[..., 0] // (256 // CLASSES)).repeat(8, 0).repeat(8, 1)
    return TrainingCity(seed, overhead, cover, strips, rng.uniform(20, SIDE_M - 20, (count, 2)).astype(np.float32))


def small_stage(**changes) -> Stage:
    sizes = {
        "name": "first", "heads": ("retrieval", "zoom"), "steps": 4, "cities_per_step": 2, "crops_per_city": 2,
        "photos_per_crop": 5, "negatives_per_crop": 8, "squares_per_crop": 3, "warm_up": 2,
        "tilt": (0.0, 0.0), "heading_error": 0.0,
    }  # fmt: skip
    return Stage(**{**sizes, **changes})


@pytest.fixture(scope="session")
def city() -> TrainingCity:
    return make_city(0)


@pytest.fixture(scope="session")
def cities(city) -> list[TrainingCity]:
    return [city, make_city(1)]


@pytest.fixture(scope="session")
def noise_cities() -> list[TrainingCity]:
    return [noise_city(0), noise_city(1)]


@pytest.fixture
def config() -> ModelConfig:
    return CONFIG


@pytest.fixture(autouse=True)
def fresh_accelerator() -> Iterator[None]:
    """Accelerate keeps its settings for the life of a process; each test may want its own."""
    yield
    from accelerate.state import AcceleratorState

    AcceleratorState._reset_state(reset_partial_state=True)
