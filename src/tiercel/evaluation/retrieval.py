"""What each part of retrieval buys: ways to train it, ways to lay out its gallery, and what comes behind it.

All of it is asked the same photos of cities that never trained. An answer is a place in metres and, where the method
knows it, a heading; beside that stands how many leaves score higher than the one that holds the camera, which is recall
at k as the field counts it.
"""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any, cast

import numpy as np
from pydantic import BaseModel, ConfigDict

from tiercel.atlas import GalleryPlan
from tiercel.datasets import SimulatedSample
from tiercel.errors import TiercelError
from tiercel.evaluation.arms import Arms
from tiercel.evaluation.evaluate import RIGHT_M, prepare
from tiercel.evaluation.metrics import Measured, chance_within, heading_error, median, recall_within
from tiercel.evaluation.protocol import ALL_QUERIES, Protocol, Query
from tiercel.evaluation.results import Row, machine, write_rows
from tiercel.locate import Analysis, Locator
from tiercel.models import load_model
from tiercel.photos import Photo
from tiercel.photos.write import replacing
from tiercel.search import Posterior
from tiercel.training.splits import split_of

Report = Callable[[str], None]
RADII_M = (1, 5, 10, 25, 40, 50, 100)


class GalleryChoice(BaseModel):
    """A way to lay out the gallery.

    Attributes:
        name: In result rows.
        words: For people.
        scales: Sides of its cells, in leaves.
        stride: From cell to cell, in sides.
        arms: Arms that are measured with it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    words: str
    scales: tuple[float, ...] = (1.0,)
    stride: float = 1.0
    arms: tuple[str, ...]


class Retrieval(Arms):
    """What is trained and measured.

    Attributes:
        protocol: ``retrieval``.
        results: File of rows to write.
        seeds: Seeds of the cities to measure on.
        photos: Photos of each kind in each of them.
        galleries: Layouts of the gallery.
        model: Model whose polar matching and geometric match are measured beside the arms.
        model_photos: How many photos of each kind in each city it is asked, as it takes longer; 0 for all.
        jobs: Cities measured at once, each by a process.
    """

    protocol: str
    results: Path
    seeds: tuple[int, ...]
    photos: int
    galleries: tuple[GalleryChoice, ...]
    model: str = "bundled"
    model_photos: int = 0
    jobs: int = 1


def read_retrieval(path: Path, content: Any) -> Retrieval:  # noqa: ANN401  (whatever a file held)
    """The settings of a file.

    Raises:
        TiercelError: a setting is missing, unknown or of another kind, or a city belongs to the training split.
    """
    settings = Retrieval.checked(path, content, "recipes/retrieval-arms.yaml")
    trained = [seed for seed in settings.seeds if split_of(seed) == "train"]
    if trained:
        raise TiercelError(f"{path}: cities {trained} belong to the seeds that train: measure on others.")
    for gallery in settings.galleries:
        for name in gallery.arms:
            settings.arm(name)
    return settings


@dataclass(frozen=True)
class Found:
    """What one method said about one photo.

    Attributes:
        error_m: From the place it named to the camera.
        heading_error_deg: Of the heading it named; NaN where it named none.
        rank: How many leaves score strictly higher than the one that holds the camera; None where leaves have none.
        seconds: From the open photo to the answer, the photo's encoding included.
    """

    error_m: float
    heading_error_deg: float
    rank: int | None
    seconds: float


Place = tuple[float, float, float]
"""Easting, northing, and heading or NaN."""
Method = Callable[[Analysis], tuple[Place, Posterior | None]]


def measure_retrieval(settings: Retrieval, path: Path, work: Path = Path("runs"), report: Report = print) -> list[Row]:
    """Train what is not trained yet, measure every arm, every gallery and what comes behind, and write the rows.

    Args:
        settings: What is measured.
        path: Its file, as it is told in the rows.
        work: Checkpoints go into a folder of the file's name in it, cities and atlases where `evaluate` keeps them.
        report: Told a line now and then.
    """
    protocol = Protocol("unseen", "unseen", settings.seeds, settings.photos, queries=ALL_QUERIES)
    trained = {arm.name: settings.train(arm, work / path.stem, report) for arm in settings.arms}
    asked = [
        _Asking(str(trained[arm]), gallery, f"@{arm}/{gallery.name}".replace("/cells", "").replace("/", "+"))
        for gallery in settings.galleries
        for arm in gallery.arms
    ]
    rows: list[Row] = []
    for asking in [*asked, _Asking(settings.model, None, "", settings.model_photos)]:
        ask = _City(asking, protocol, work / "evaluation", report)
        with ProcessPoolExecutor(settings.jobs, get_context("spawn")) if settings.jobs > 1 else nullcontext() as pool:
            cities = list((pool.map if pool else map)(ask, settings.seeds))
        rows += list(_rows(cities, protocol, f"tiercel evaluate {path}", asking))
        rows = list({row.name: row for row in rows}.values())  # chance belongs to no arm
        write_rows(settings.results, rows)
    return rows


@dataclass(frozen=True)
class _Asking:
    """A model, how its gallery is laid out, what its methods' names end with, and how many photos it is asked."""

    model: str
    gallery: GalleryChoice | None
    suffix: str
    photos: int = 0


@dataclass(frozen=True)
class Measurements:
    """What came out of one city.

    Attributes:
        found: For each query's name and each method, what it said of each photo.
        leaves: Leaves that may be answered.
        cells: Cells of the gallery.
        chances: For each query's name, recall by chance at each of `RADII_M`.
    """

    found: dict[str, dict[str, list[Found]]]
    leaves: int
    cells: int
    chances: dict[str, list[Measured]]

    @classmethod
    def from_json(cls, kept: dict[str, Any]) -> Measurements:
        """What ``dataclasses.asdict`` made of one."""
        found = {
            query: {method: [Found(**one) for one in some] for method, some in methods.items()}
            for query, methods in kept["found"].items()
        }
        chances = {query: [Measured(**one) for one in some] for query, some in kept["chances"].items()}
        return cls(found, kept["leaves"], kept["cells"], chances)


@dataclass(frozen=True)
class _City:
    """Asks all queries of a city; can be sent to another process."""

    asking: _Asking
    protocol: Protocol
    work: Path
    report: Report

    def __call__(self, seed: int) -> Measurements:
        """What every method says of every photo; what was measured once is kept beside the atlas."""
        model, choice = load_model(self.asking.model), self.asking.gallery
        plan = GalleryPlan(choice.scales, choice.stride) if choice else None
        locator, samples = prepare(model, self.protocol, seed, self.work, self.report, gallery=plan)
        folder = locator.atlas.folder
        note = folder.with_name(f"retrieval-{folder.name}-{self.asking.photos or self.protocol.photos}.json")
        if note.is_file():
            return Measurements.from_json(json.loads(note.read_text(encoding="utf-8")))
        measured = self._measure(locator, samples, seed)
        with replacing(note) as part:
            part.write_text(json.dumps(dataclasses.asdict(measured)), encoding="utf-8")
        return measured

    def _measure(self, locator: Locator, samples: Sequence[SimulatedSample], seed: int) -> Measurements:
        tree, atlas = locator.atlas.tree, locator.atlas
        centres = tree.centre(tree.depth, *tree.unflat(tree.depth, atlas.leaf_index))
        found: dict[str, dict[str, list[Found]]] = {}
        chances = {}
        for query in self.protocol.queries:
            asked = [sample for sample in samples if sample.kind == query.kind]
            asked = asked[: self.asking.photos or len(asked)]
            x, y = np.array([one.x for one in asked]), np.array([one.y for one in asked])
            chances[query.name] = [chance_within(x, y, *centres, radius) for radius in RADII_M]
            found[query.name] = {}
            for sample in asked:
                for method, one in answers(locator.analyse, sample, query).items():
                    found[query.name].setdefault(method, []).append(one)
            self.report(f"city {seed}{self.asking.suffix}, {query.words}: {_line(found[query.name])}")
        whole = "embedding" in locator.model.config.heads
        cells = len(locator.gallery.gallery) if whole else len(atlas.leaf_index)
        return Measurements(found, len(atlas.leaf_index), cells, chances)


def answers(analyse: Callable[[Photo], Analysis], sample: SimulatedSample, query: Query) -> dict[str, Found]:
    """What each method says of one photo, and how long it takes.

    Args:
        analyse: `Locator.analyse`.
        sample: The photo and the truth about it.
        query: Whether its heading may be known.
    """
    photo = Photo.open(sample.file)
    photo = photo if query.north_known else dataclasses.replace(photo, heading=None)
    started = time.perf_counter()
    analysis = analyse(photo)
    encoding = time.perf_counter() - started
    found: dict[str, Found] = {}
    for name, method in methods_of(analysis).items():
        started = time.perf_counter()
        (x, y, heading), answer = method(analysis)
        seconds = time.perf_counter() - started
        # The methods behind retrieval need what it found, which is at hand by then.
        seconds += found["retrieval"].seconds if name in BEHIND_RETRIEVAL else encoding
        rank = None if answer is None else _rank(answer, sample)
        error = float(np.hypot(x - sample.x, y - sample.y))
        found[name] = Found(error, float(heading_error(heading, sample.heading)), rank, seconds)
    return found


BEHIND_RETRIEVAL = ("candidates", "match")


def methods_of(analysis: Analysis) -> dict[str, Method]:
    """The methods that a model's heads allow, each once those before it have been asked."""
    heads = set(analysis.locator.model.config.heads)
    if "retrieval" not in heads:
        return {"retrieval": _embedding}
    methods: dict[str, Method] = {"retrieval": _polar}
    if "match" in heads:
        methods |= {"candidates": _candidates, "match": _pipeline, "match_map": _everywhere}
    return methods


def _embedding(analysis: Analysis) -> tuple[Place, Posterior | None]:
    """One vector a cell."""
    best = analysis.matches
    return (float(best.x[0]), float(best.y[0]), float(best.heading[0])), analysis.retrieval


def _polar(analysis: Analysis) -> tuple[Place, Posterior | None]:
    """Polar matching: the best pose of the best leaf."""
    return analysis.poses.best_pose(analysis.retrieval.best), analysis.retrieval


def _candidates(analysis: Analysis) -> tuple[Place, Posterior | None]:
    """The geometric match around retrieval's candidates, alone."""
    leaves, _ = analysis.retrieval.top(analysis.calibration.candidates)
    found = analysis.locator.matcher.match(analysis.photo, leaves)
    best = int(found.score.argmax())
    return (float(found.x[best]), float(found.y[best]), float(found.heading[best])), None


def _pipeline(analysis: Analysis) -> tuple[Place, Posterior | None]:
    """All together, as a fix is made."""
    best = analysis.matches
    return (float(best.x[0]), float(best.y[0]), float(best.heading[0])), analysis.final


def _everywhere(analysis: Analysis) -> tuple[Place, Posterior | None]:
    """The geometric match of every position and heading, with nothing before it."""
    best = analysis.matches_everywhere
    return (float(best.x[0]), float(best.y[0]), float(best.heading[0])), analysis.match_everywhere


def _rank(answer: Posterior, sample: SimulatedSample) -> int:
    """How many leaves score strictly higher than the one that holds the camera."""
    tree = answer.tree
    leaf = int(tree.flat(tree.depth, *tree.cell_at(sample.x, sample.y, tree.depth)))
    return int((answer.log_probability > answer.log_probability[leaf]).sum())


def recalls(ranks: Sequence[int], references: int) -> dict[str, Measured]:
    """R@1, R@5, R@10 and R@1%, in percent.

    Args:
        ranks: For each query, how many references score strictly higher than the true one.
        references: How many there are; R@1% counts the first ``references // 100``.
    """
    counted = {"r1": 1, "r5": 5, "r10": 10, "r1pct": max(1, references // 100)}
    return {name: recall_within(np.asarray(ranks), k - 0.5) for name, k in counted.items()}


def _rows(cities: Sequence[Measurements], protocol: Protocol, command: str, asking: _Asking) -> Iterator[Row]:
    here = machine()

    def row(metric: str, query: str, method: str, unit: str, measured: Measured) -> Row:
        name = f"{metric}/{query}/{protocol.area}/{method}"
        return Row(name, measured.value, unit, measured.n, measured.low, measured.high, protocol.seeds, here, command)

    leaves = min(city.leaves for city in cities)
    for query in protocol.queries:
        for radius, parts in zip(
            RADII_M, zip(*(city.chances[query.name] for city in cities), strict=True), strict=True
        ):
            total = sum(part.n for part in parts)
            value = sum(part.value * part.n for part in parts) / total
            yield row(f"r1_{radius}m", query.name, "chance", "%", Measured(value, np.nan, np.nan, total))
        for method in cities[0].found[query.name]:
            found = [one for city in cities for one in city.found[query.name][method]]
            name = method + asking.suffix
            errors = np.array([one.error_m for one in found])
            for radius in RADII_M:
                yield row(f"r1_{radius}m", query.name, name, "%", recall_within(errors, radius))
            yield row("median_m", query.name, name, "m", median(errors))
            right = errors <= RIGHT_M
            yield row("position_m", query.name, name, "m", median(errors[right]))
            turned = np.array([one.heading_error_deg for one in found])[right]
            if np.isfinite(turned).any() and not query.north_known:  # else it was told
                yield row("heading_deg", query.name, name, "deg", median(turned[np.isfinite(turned)]))
            if found[0].rank is not None:
                ranks = [cast(int, one.rank) for one in found]
                for metric, measured in recalls(ranks, leaves).items():
                    yield row(metric, query.name, name, "%", measured)
            yield row("seconds", query.name, name, "s", median([one.seconds for one in found]))
    cells = sum(city.cells for city in cities) / len(cities)
    yield row("cells", "all", f"gallery{asking.suffix}", "", Measured(cells, np.nan, np.nan, len(cities)))


def _line(found: dict[str, list[Found]]) -> str:
    """R@1 within 50 m of each method, for the terminal."""
    shares = {method: np.mean([one.error_m <= RIGHT_M for one in some]) for method, some in found.items()}
    return ", ".join(f"{method} {100 * share:.1f}" for method, share in shares.items())
