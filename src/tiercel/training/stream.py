"""Cities without end: rendered ahead of the training by other processes, and dropped behind it.

A run has a few cities at hand, as arrays in files that all its processes map into memory. One after another is used up
and makes room for the next seed. Which crops and photos a step gets follows from the seed and the step alone, whatever
renders how fast: a step whose city is not there yet waits for it, and a resumed run renders again what it needs.

A *serving* is what one city gives to one batch. Each city is planned whole, in servings of photos that were taken near
each other, so that every panorama serves as often as the recipe says and no more.
"""

from __future__ import annotations

import functools
import math
import os
import threading
import time
import zlib
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context, parent_process
from pathlib import Path
from typing import Any

import numpy as np
from filelock import Timeout

from tiercel.errors import TiercelError
from tiercel.models.config import ModelConfig
from tiercel.training.cities import TrainingCity, city_folder, one_thread, prepare_city, remove_city, seed_of
from tiercel.training.feeding import Crop, Cut, Indices, Serving, photos_in
from tiercel.training.recipe import Cities
from tiercel.training.splits import seeds

FILLED = 0.75
"""Share of a city's panoramas that servings are counted on: the last ones lie too far apart to fill crops."""
CORNERS = 6
"""Of so many crops around a photo the one is taken that holds most others which have served as little."""
SAYS_EVERY_S = 60.0
"""How often a stage says which cities it needs."""
ABANDONED_S = 900.0
"""A stage that has not said so for so long is not running any more."""
POLL_S = 0.05


class CityStream:
    """The cities of a stage; see `tiercel.training.feeding.Feed`.

    Args:
        folder: Where cities are kept; stages that run side by side may share it, and then share the cities.
        cities: What to render, how many are at hand, and how often a panorama serves.
        config: The model's resolution and strips.
        seed: Of the plan.
        stage: Name of the stage.
        skip: Cities of the split that are left out besides those that the recipe leaves out.
        process: Number of this training process among `processes`.
        processes: How many there are.
    """

    def __init__(
        self, folder: Path, cities: Cities, config: ModelConfig, seed: int, stage: str, skip: int = 0, process: int = 0,
        processes: int = 1,
    ) -> None:  # fmt: skip
        """Renders nothing yet."""
        self.folder, self.cities, self.config = folder, cities, config
        self.seed, self.stage, self.skip, self.process, self.processes = seed, stage, skip, process, processes
        self._opened: dict[int, TrainingCity] = {}
        self._plan = functools.lru_cache(maxsize=2 * cities.window)(self._planned)
        self._renderers: Renderers | None = None
        self._needed, self._said = 0, -math.inf

    def __getstate__(self) -> dict[str, Any]:
        """What another process needs to read the stream: all but the renderers."""
        kept = ("folder", "cities", "config", "seed", "stage", "skip", "process", "processes")
        return {name: getattr(self, name) for name in kept}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """The same stream in another process."""
        self.__init__(**state)  # type: ignore[misc]

    def servings(self, rng: np.random.Generator, step: int | None, cut: Cut, count: int) -> list[Serving]:
        """See `tiercel.training.feeding.Feed`; waits for cities that are not rendered yet."""
        assert step is not None, "a stream is read in the order of steps"
        first = (step * self.processes + self.process) * count
        found = []
        for number in range(first, first + count):
            index, turn = self.place_of(number, cut)
            city = self.city(index)
            found.append(Serving(city, self._plan(index, cut)[turn]))
        return found

    def per_city(self, cut: Cut) -> int:
        """Servings of a city."""
        panoramas = self.cities.views * self.cities.uses * cut.reached * FILLED
        return max(1, int(panoramas) // (cut.photos * cut.crops))

    def place_of(self, number: int, cut: Cut) -> tuple[int, int]:
        """The city of the `number`-th serving of a run, counted from 0, and which of that city's servings it is.

        The cities at hand take turns, in a new order every round, and are replaced one at a time.
        """
        window, per_city = self.cities.window, self.per_city(cut)
        turn, at = divmod(number, window)
        slot = int(np.random.default_rng([self.seed, turn, 23]).permutation(window)[at])
        generation, serving = divmod(turn + slot * per_city // window, per_city)
        return generation * window + slot, serving

    def at_hand(self, step: int, cut: Cut, count: int) -> list[int]:
        """Numbers of the cities that a step may need, those first that are needed first, and then those that follow."""
        window, per_city = self.cities.window, self.per_city(cut)
        turn = step * self.processes * count // window
        now, after = [], []
        for slot in range(window):
            generation, serving = divmod(turn + slot * per_city // window, per_city)
            now.append(generation * window + slot)
            after.append((per_city - serving, (generation + 1) * window + slot))
        return now + [number for _, number in sorted(after)]

    def city(self, number: int) -> TrainingCity:
        """A city, once it is rendered.

        Raises:
            TiercelError: it cannot be rendered.
        """
        if number not in self._opened:
            target = self._target(number)
            while not target.is_dir():
                failure = target.with_suffix(".failed")
                if failure.exists():
                    raise TiercelError(f"city {target.name} cannot be rendered: {failure.read_text()}")
                time.sleep(POLL_S)
            while len(self._opened) >= 2 * self.cities.window:
                del self._opened[min(self._opened)]
            self._opened[number] = TrainingCity.open(target)
        return self._opened[number]

    def begin(self) -> None:
        """Make the folder, and forget what could not be rendered: the reason may have gone."""
        self._target(0).parent.mkdir(parents=True, exist_ok=True)
        for failure in self._target(0).parent.glob("*.failed"):
            failure.unlink(missing_ok=True)

    def render_ahead(self, step: int, cut: Cut, count: int) -> None:
        """See to it that what this step and those after it need is rendered, and drop what none needs any more."""
        wanted = self.at_hand(step, cut, count)[: self.cities.window + self.cities.renderers + 1]
        if self._renderers is None:
            self.begin()
            self._renderers = Renderers(self.folder, self.cities, self.config)
        self._renderers.wanted = [self._seed(number) for number in wanted]
        if min(wanted) > self._needed or time.monotonic() > self._said + SAYS_EVERY_S:
            self._needed, self._said = min(wanted), time.monotonic()
            self._drop_behind(self._needed)

    def close(self) -> None:
        """End the renderers; cities that are rendered stay, for a run that goes on."""
        if self._renderers is not None:
            self._renderers.close()
            self._renderers = None
        self._mark().unlink(missing_ok=True)

    def _drop_behind(self, needed: int) -> None:
        """Remove the cities below `needed` that no other stage which reads them along needs."""
        lowest = self._seed(needed)
        self._mark().write_text(str(lowest))
        for mark in self.folder.glob("*.needs"):
            if time.time() - mark.stat().st_mtime < ABANDONED_S:
                lowest = min(lowest, int(mark.read_text() or 0))
        behind = range(self._seed(0), lowest)
        for target in self._target(0).parent.iterdir():
            if target.is_dir() and not target.suffix and seed_of(target) in behind:
                remove_city(target)

    def _mark(self) -> Path:
        return self.folder / f"{self.stage}.needs"

    def _seed(self, number: int) -> int:
        return seeds("train", 1, self.cities.first + self.skip + number)[0]

    def _target(self, number: int) -> Path:
        return city_folder(self._seed(number), self.folder, self.cities, self.config)

    def _planned(self, number: int, cut: Cut) -> list[list[Crop]]:
        """All servings of a city."""
        rng = np.random.default_rng([self.seed, self._seed(number), zlib.crc32(self.stage.encode())])
        return plan(self.city(number), cut, self.per_city(cut), rng)


class Renderers:
    """Processes that render what is wanted and not there, the first in the list first.

    Args:
        folder: Where cities are kept.
        cities: What to render.
        config: The model's resolution and strips.
    """

    def __init__(self, folder: Path, cities: Cities, config: ModelConfig) -> None:
        """Starts them."""
        self.wanted: list[int] = []
        self._city = folder, cities, config
        self._ended = threading.Event()
        count = max(1, cities.renderers)
        self._pool = ProcessPoolExecutor(count, get_context("spawn"), initializer=_begin_rendering)
        self._threads = [threading.Thread(target=self._work, daemon=True) for _ in range(count)]
        for thread in self._threads:
            thread.start()

    def close(self) -> None:
        """End them; what is half rendered is lost."""
        self._ended.set()
        for process in list((self._pool._processes or {}).values()):
            process.terminate()
        for thread in self._threads:
            thread.join()
        self._pool.shutdown(cancel_futures=True)

    def _work(self) -> None:
        """What keeps one process busy. Another process, or another run, may be at the same city: then the next one."""
        while not self._ended.is_set():
            missing = [seed for seed in list(self.wanted) if not _settled(city_folder(seed, *self._city))]
            try:
                rendered = any(self._pool.submit(render, seed, *self._city).result() for seed in missing)
            except (BrokenProcessPool, RuntimeError):  # the processes were ended
                return
            except Exception:  # which `render` has written down for whoever waits for the city
                continue
            if not rendered:
                self._ended.wait(POLL_S)


def _begin_rendering() -> None:
    """What a renderer begins with: it takes one core, and ends with the training, however that ends."""
    one_thread()
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = parent_process()
    if parent is not None:
        parent.join()
    os._exit(1)


def _settled(target: Path) -> bool:
    """Whether a city is there, or cannot be rendered."""
    return target.is_dir() or target.with_suffix(".failed").exists()


def render(seed: int, folder: Path, cities: Cities, config: ModelConfig) -> bool:
    """Render a city; if that fails, say so in a file beside it, for whoever waits.

    Returns:
        Whether it is rendered now; False where another process is at it.
    """
    target = city_folder(seed, folder, cities, config)
    try:
        prepare_city(seed, folder, cities, config, patient=False)
    except Timeout:
        return False
    except Exception as error:
        target.parent.mkdir(parents=True, exist_ok=True)
        target.with_suffix(".failed").write_text(f"{type(error).__name__}: {error}")
        raise
    return True


def plan(city: TrainingCity, cut: Cut, count: int, rng: np.random.Generator) -> list[list[Crop]]:
    """Divide a city's panoramas among servings, so that all serve about equally often.

    Args:
        city: The city.
        cut: What a serving is.
        count: How many servings.
        rng: Source of chance.

    Returns:
        For each serving its crops.

    Raises:
        TiercelError: no photo was taken where a crop could hold it.
    """
    if not cut.reaches(city).any():
        raise TiercelError(f"city {city.seed} has no place with photos: render more views.")
    served = np.zeros(len(city.positions), np.int64)
    return [_serving(city, cut, served, rng) for _ in range(count)]


def _serving(city: TrainingCity, cut: Cut, served: Indices, rng: np.random.Generator) -> list[Crop]:
    """Crops around photos that have served least; counts all their photos in `served`."""
    crops: list[Crop] = []
    reachable = cut.reaches(city)
    for _ in range(cut.crops):
        free = reachable & ~np.any([cut.same_square(city, crop.corner) for crop in crops], axis=0)
        free = free if free.any() else reachable
        least = free & (served == served[free].min())
        around = int(rng.choice(np.nonzero(least)[0]))
        tried = [cut.around(city, around, rng) for _ in range(CORNERS)]
        inside = [photos_in(city, corner, cut.side, cut.margin) for corner in tried]
        best = int(np.argmax([least[some].sum() for some in inside]))
        corner, members = tried[best], inside[best]
        order = np.lexsort([rng.random(len(members)), served[members]])
        photos = np.sort(np.resize(members[order], cut.photos))
        np.add.at(served, photos, 1)
        crops.append(Crop(corner, photos, members))
    return crops
