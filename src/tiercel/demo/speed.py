"""``python -m tiercel.demo.speed FILE``: how fast each part is on this machine, as rows of results."""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from itertools import cycle
from pathlib import Path

import numpy as np

from tiercel.atlas import build
from tiercel.datasets import simulate
from tiercel.datasets.simulated import MAP_FILE
from tiercel.demo import SEED
from tiercel.evaluation import Row, write_rows
from tiercel.evaluation.results import machine
from tiercel.fix import Fix
from tiercel.locate import Locator
from tiercel.maps import open_map
from tiercel.models import load_model
from tiercel.photos import Photo

COMMAND = "make bench"
SIZE_M = 2000.0


def measure(seed: int = SEED, size: float = SIZE_M, photos: int = 20) -> list[Row]:
    """Time every part of the path, after one run that compiles and warms caches.

    Args:
        seed: the city's seed.
        size: side of the city in metres.
        photos: how many photos are located; half of them panoramas.

    Returns:
        Rows named ``seconds/<part>/city/<method>``; those timed several times carry the 2.5th and 97.5th percentile.
    """
    from tiercel.sim import OverheadLook, StreetLook, StreetRenderer, make_world, render_overhead, sample_viewpoints

    rng = np.random.default_rng(seed)
    rows: list[Row] = []

    def add(name: str, task: Callable[[], object], times: int) -> None:
        task()
        seconds = [_timed(task) for _ in range(times)]
        low, high = (float(np.percentile(seconds, share)) for share in (2.5, 97.5)) if times > 1 else (None, None)
        rows.append(
            Row(f"seconds/{name}", float(np.median(seconds)), "s", times, low, high, (seed,), machine(), COMMAND)
        )

    world = make_world(seed, size)
    add("world/city/sim", lambda: make_world(seed, size), 1)
    add("overhead/city/sim", lambda: render_overhead(world, 0.5, day=1, look=OverheadLook.sample(rng)), 1)
    renderer, look = StreetRenderer(world), StreetLook.sample(rng)
    spot = sample_viewpoints(world, 1, rng)[0]
    x, y = float(spot["x"]), float(spot["y"])
    add("panorama_512x128/city/sim", lambda: renderer.cylinder(x, y, 2.5, 0.0, 128, 512, 1.0, look), 20)
    add("panorama_1024x512/city/sim", lambda: renderer.panorama(x, y, 2.5, 0.0, 512, 1024, look), 5)
    add("photo_640x480/city/sim", lambda: renderer.perspective(x, y, 1.6, 0.0, 0.0, 90.0, 480, 640, look), 5)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        samples = simulate(folder / "city", seed=seed, size=size, photos=photos)
        model = load_model()
        with open_map(folder / "city" / MAP_FILE) as basemap:
            add("atlas/city/all", lambda: build(basemap, model, folder / f"atlas-{time.monotonic_ns()}"), 1)
            locator = Locator(build(basemap, model, folder / "atlas"), model)
        for kind in ("panorama", "photo_90"):
            some = cycle([Photo.open(sample.file) for sample in samples if sample.kind == kind])
            add(f"locate_{kind}/city/match", partial(_locate_next, locator, some), photos // 2)
    return rows


def _locate_next(locator: Locator, photos: Iterator[Photo]) -> Fix:
    return locator.locate(next(photos))


def _timed(task: Callable[[], object]) -> float:
    start = time.perf_counter()
    task()
    return time.perf_counter() - start


if __name__ == "__main__":
    measured = measure()
    write_rows(Path(sys.argv[1]), measured)
    for row in measured:
        print(f"{row.name:44} {row.value:8.3f} s")
