"""Cities to train on: rendered once into a folder of arrays, then read by memory mapping.

Each city is one folder: its orthophoto at four resolutions, what really lies where, and panoramas (as strips, north at
the left edge) with their positions. Preparing is resumable, and the same seed always gives the same arrays.
"""

from __future__ import annotations

import json
import math
import os
import shutil
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Literal

import numpy as np
from filelock import FileLock
from numpy.typing import NDArray

from tiercel.models.config import ModelConfig
from tiercel.training.recipe import Cities

FACTORS = (1, 2, 8, 32)
"""The orthophoto is kept at these multiples of the model's resolution: for match, retrieval, and the zoom levels."""
SPARE = 10 / 64
"""Rows above and below a model's strip that are rendered as well, for photos from tilted cameras: a share of it."""
VERSION = 4
"""Raised when the simulator changes what it draws, so that stale arrays are rendered anew."""


@dataclass(frozen=True)
class TrainingCity:
    """A rendered city.

    Attributes:
        seed: The city's seed.
        overhead: For each of `FACTORS`, (N, N, 3) uint8, row 0 in the north.
        land_cover: (M, M) uint8, the class of each cell of the geometric match (see `tiercel.sim.landcover`).
        strips: (V, rows, columns, 3) uint8 panoramas whose left edge looks north, `spare_rows` higher and lower than
            a model's strips.
        positions: (V, 2) float32, metres east and *south* of the north-west corner.
    """

    seed: int
    overhead: dict[int, NDArray[np.uint8]]
    land_cover: NDArray[np.uint8]
    strips: NDArray[np.uint8]
    positions: NDArray[np.float32]

    @classmethod
    def open(cls, folder: Path) -> TrainingCity:
        """Map a prepared city's arrays into memory."""
        overhead = {factor: np.load(folder / f"overhead_{factor}.npy", mmap_mode="r") for factor in FACTORS}
        cover, strips = (np.load(folder / f"{name}.npy", mmap_mode="r") for name in ("land_cover", "strips"))
        return cls(seed_of(folder), overhead, cover, strips, np.load(folder / "positions.npy"))


def prepare_city(seed: int, folder: Path, cities: Cities, config: ModelConfig, *, patient: bool = True) -> Path:
    """Render one city unless it is there already.

    Args:
        seed: The city's seed.
        folder: Where all cities are kept; the city's own folder is made in it, in one step at the end.
        cities: What to render.
        config: The model's resolution and strips.
        patient: Whether to wait for another process that is rendering it.

    Returns:
        The city's folder.

    Raises:
        filelock.Timeout: another process is rendering it, and nobody waits.
    """
    target = city_folder(seed, folder, cities, config)
    target.parent.mkdir(parents=True, exist_ok=True)
    # Stages side by side want the same cities: the second waits, and finds what the first has rendered.
    with FileLock(target.with_suffix(".lock"), timeout=-1 if patient else 0):
        if not target.is_dir():
            partial = target.with_suffix(".partial")
            shutil.rmtree(partial, ignore_errors=True)
            partial.mkdir()
            try:
                for name, array in _render(seed, cities, config).items():
                    np.save(partial / name, array)
                partial.replace(target)
            finally:
                shutil.rmtree(partial, ignore_errors=True)
    return target


def city_folder(seed: int, folder: Path, cities: Cities, config: ModelConfig) -> Path:
    """Where `prepare_city` puts a city."""
    name = f"{seed}-hard" if difficulty_of(seed, cities) == "hard" else str(seed)
    return folder / _key(cities, config) / name


def seed_of(folder: Path) -> int:
    """The seed of the city that a folder of `city_folder` holds."""
    return int(folder.name.split("-")[0])


def difficulty_of(seed: int, cities: Cities) -> str:
    """Whether a city is ``plain`` or ``hard``: as evenly spread over the seeds as their shares allow."""
    return "hard" if math.floor((seed + 1) * cities.hard) > math.floor(seed * cities.hard) else "plain"


def remove_city(target: Path) -> None:
    """Remove a city's folder and what lies beside it; whoever reads its arrays goes on reading them."""
    shutil.rmtree(target, ignore_errors=True)
    target.with_suffix(".lock").unlink(missing_ok=True)


def prepare_cities(
    seeds: list[int],
    folder: Path,
    cities: Cities,
    config: ModelConfig,
    workers: int,
    progress: Callable[[int, int], None] | None = None,
) -> list[TrainingCity]:
    """Render the cities that are missing, in `workers` processes, and open all of them in the order of `seeds`."""
    missing = [seed for seed in seeds if not city_folder(seed, folder, cities, config).is_dir()]
    if missing:
        with ProcessPoolExecutor(max(1, workers), mp_context=get_context("spawn"), initializer=one_thread) as pool:
            jobs = [pool.submit(prepare_city, seed, folder, cities, config) for seed in missing]
            for done, job in enumerate(as_completed(jobs), 1):
                job.result()
                if progress is not None:
                    progress(len(seeds) - len(missing) + done, len(seeds))
    return [TrainingCity.open(city_folder(seed, folder, cities, config)) for seed in seeds]


def one_thread() -> None:
    """Leave the other cores to others, and to the training before all: what a rendering process begins with."""
    import numba

    numba.set_num_threads(1)
    os.nice(5)


def _key(cities: Cities, config: ModelConfig) -> str:
    """Folder name for cities that were rendered alike."""
    strip = f"{config.strip_height}x{config.strip_columns}@{config.vertical_tangent}"
    rays = "" if cities.rays == 2 else f"-{cities.rays}"
    return f"v{VERSION}-{cities.size:g}m-{config.resolution:g}m-{cities.views}x{strip}-{cities.pavement:g}{rays}"


def _render(seed: int, cities: Cities, config: ModelConfig) -> dict[str, NDArray[np.generic]]:
    from tiercel.sim import StreetRenderer, render_overhead, sample_viewpoints, scenario
    from tiercel.sim.landcover import land_cover

    rng = np.random.default_rng([seed, 1])
    day = int(rng.integers(1 << 20))
    made = scenario(seed, cities.size, difficulty_of(seed, cities), rng)
    world = made.world
    arrays: dict[str, NDArray[np.generic]] = {}
    image = render_overhead(made.map_world, config.resolution, day=day, look=made.overhead_look)
    for factor in FACTORS:
        arrays[f"overhead_{factor}.npy"] = shrunk(image, factor)
    arrays["land_cover.npy"] = land_cover(world, round(cities.size / config.match_cell_m))
    renderer = StreetRenderer(world)
    on_pavement = round(cities.views * cities.pavement)
    counts: dict[Literal["street", "pavement"], int] = {"street": cities.views - on_pavement, "pavement": on_pavement}
    points = [sample_viewpoints(world, count, rng, kind=kind) for kind, count in counts.items() if count]
    x, y = (np.concatenate([np.asarray(p[name], np.float64) for p in points]) for name in ("x", "y"))
    rows = config.strip_height + 2 * spare_rows(config)
    tangent = config.vertical_tangent * rows / config.strip_height
    strips = np.zeros((len(x), rows, config.strip_columns, 3), np.uint8)
    for index in range(len(x)):
        look, camera = made.street_look(rng), ("car", "roof")[index % 2] if index < counts["street"] else "foot"
        eye = float(rng.uniform(*made.eye_heights[camera]))
        size = rows, config.strip_columns, tangent
        strips[index] = renderer.cylinder(x[index], y[index], eye, 180.0, *size, look, cities.rays)
    arrays["strips.npy"] = strips
    arrays["positions.npy"] = np.stack([x, cities.size - y], 1).astype(np.float32)
    return arrays


def spare_rows(config: ModelConfig) -> int:
    """Rows above a model's strip that panoramas have, and as many below."""
    return round(SPARE * config.strip_height)


def shrunk(image: NDArray[np.uint8], factor: int) -> NDArray[np.uint8]:
    """An image (H, W, 3) averaged over squares of `factor` pixels."""
    if factor == 1:
        return image
    height, width = image.shape[0] // factor, image.shape[1] // factor
    squares = image[: height * factor, : width * factor].reshape(height, factor, width, factor, 3)
    return np.asarray(squares.mean((1, 3), dtype=np.float32) + 0.5).astype(np.uint8)


def describe(folder: Path, seeds: list[int], cities: Cities, config: ModelConfig) -> None:
    """Write beside the cities what they are, for people who find the folder."""
    note = {"seeds": seeds, "views": cities.views, "size_m": cities.size, "resolution_m": config.resolution}
    (folder / _key(cities, config) / "cities.json").write_text(json.dumps(note, indent=2) + "\n")
