"""Measuring a model on cities it has never seen, every method on the same queries."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import numpy as np

from tiercel.atlas import GalleryPlan, build
from tiercel.datasets import SimulatedSample, simulate
from tiercel.errors import TiercelError
from tiercel.evaluation.methods import descents, posteriors
from tiercel.evaluation.metrics import Measured, chance_within, heading_error, median, recall_within
from tiercel.evaluation.protocol import UNSEEN, Protocol, Query
from tiercel.evaluation.reliability import Judged, MakeRow, judge, reliability_rows
from tiercel.evaluation.results import Row, machine, write_rows
from tiercel.locate import Analysis, Locator
from tiercel.maps import open_map
from tiercel.models import Model, load_model
from tiercel.photos import Photo
from tiercel.search import Region
from tiercel.training.splits import split_of

Report = Callable[[str], None]
RADII_M = (40, 50, 100)
RIGHT_M = 50.0
"""Within this distance an answer counts as the right place; errors in metres and degrees are taken over these."""
MAP_FILE = "city.tif"
METHODS = (
    *("greedy", "beam4", "beam16", "best_first", "bottom_up", "global"),
    *("retrieval", "fusion", "sweep", "match"),
)
"""All methods in the order of tables; a model is measured by those that its heads allow."""
NAME_HEADINGS = ("retrieval", "fusion")
"""Methods that name a heading with a leaf."""


@dataclass(frozen=True)
class Answer:
    """What one method said about one query.

    Attributes:
        error_m: Distance to the truth.
        heading_error_deg: Of the photo's centre column; NaN where the method gives none.
        inside_50: Whether the truth lies in the region said to hold 50 % of the probability; None where there is none.
        inside_90: The same for 90 %.
    """

    error_m: float
    heading_error_deg: float = float("nan")
    inside_50: bool | None = None
    inside_90: bool | None = None


@dataclass(frozen=True)
class Answered:
    """All methods' answers to one query, the seconds that the full pipeline took, and how sure the answers were."""

    answers: dict[str, Answer]
    seconds: float
    judged: Judged


def evaluate(
    model: str | Path = "bundled",
    *,
    seeds: Sequence[int] | None = None,
    photos: int | None = None,
    out: Path | str | None = "results/locate.json",
    calibration: Path | str | None = None,
    work: Path | str = "runs/evaluation",
    protocol: Protocol = UNSEEN,
    jobs: int = 1,
    report: Report = print,
) -> list[Row]:
    """Measure a model.

    Args:
        model: ``bundled``, a checkpoint folder, or a Hugging Face id.
        seeds: Seeds of the cities, instead of the protocol's. Seeds that train are refused.
        photos: Photos of each kind in each city, instead of the protocol's.
        out: File of rows to write; None for none.
        calibration: File of rows about how honest the probabilities and regions are to write; None for none.
        work: Where cities and atlases are kept, to be used again.
        protocol: What is measured.
        jobs: Cities measured at once, each by a process.
        report: Told a line now and then.

    Returns:
        The rows.

    Raises:
        TiercelError: a seed belongs to the training split.
    """
    seeds = tuple(protocol.seeds if seeds is None else seeds)
    protocol = dataclasses.replace(protocol, seeds=seeds, photos=photos or protocol.photos)
    trained = [seed for seed in seeds if split_of(seed) == "train"]
    if trained:
        raise TiercelError(
            f"cities {trained} belong to the seeds that train: measure on others (see training/splits.py)."
        )
    ask = _Asking(model, protocol, Path(work), report)
    with ProcessPoolExecutor(jobs, get_context("spawn")) if jobs > 1 else nullcontext() as pool:
        cities = list((pool.map if pool else map)(ask.city, seeds))
    answered = {query.name: [one for city in cities for one in city.answered[query.name]] for query in protocol.queries}
    chances = {query.name: [city.chances[query.name] for city in cities] for query in protocol.queries}
    command = f"tiercel evaluate --model {model} --photos {protocol.photos} " + " ".join(f"--seed {s}" for s in seeds)
    rows = list(_rows(protocol, answered, chances, command))
    if out is not None:
        write_rows(Path(out), rows)
    if calibration is not None:
        judged = {query: [one.judged for one in some] for query, some in answered.items()}
        write_rows(Path(calibration), list(reliability_rows(judged, _row_maker(protocol, command))))
    return rows


@dataclass(frozen=True)
class City:
    """What came out of one city.

    Attributes:
        answered: For each query's name, the answers to all its photos.
        chances: For each query's name, recall by chance at each of `RADII_M`.
    """

    answered: dict[str, list[Answered]]
    chances: dict[str, list[Measured]]


@dataclass(frozen=True)
class _Asking:
    """Asks all queries of a city; can be sent to another process."""

    model: str | Path
    protocol: Protocol
    work: Path
    report: Report

    def city(self, seed: int) -> City:
        """Every query of the protocol, answered by every method."""
        locator, samples = prepare(load_model(self.model), self.protocol, seed, self.work, self.report)
        tree = locator.atlas.tree
        cells = tree.centre(tree.depth, *tree.unflat(tree.depth, locator.atlas.leaf_index))
        city = City({}, {})
        for query in self.protocol.queries:
            asked = [sample for sample in samples if sample.kind == query.kind]
            x, y = np.array([s.x for s in asked]), np.array([s.y for s in asked])
            city.answered[query.name] = list(answer_all(locator, asked, query))
            city.chances[query.name] = [chance_within(x, y, *cells, radius) for radius in RADII_M]
            self.report(f"city {seed}, {query.words}: {_line(city.answered[query.name])}")
        return city


def prepare(
    model: Model, protocol: Protocol, seed: int, work: Path, report: Report, gallery: GalleryPlan | None = None
) -> tuple[Locator, list[SimulatedSample]]:
    """A city of the protocol with its photos and its atlas, made unless they are there."""
    kinds = tuple(dict.fromkeys(query.kind for query in protocol.queries))
    folder = city_folder(protocol, seed, work)
    report(f"city {seed}: photos and map")
    samples = simulate(folder, seed=seed, size=protocol.size, photos=protocol.photos * len(kinds), kinds=kinds)
    target = folder / f"atlas-{model.fingerprint}"
    if gallery is not None and gallery != GalleryPlan():
        scales = "-".join(f"{scale:g}" for scale in gallery.scales)
        target = target.with_name(f"{target.name}-{scales}-every-{gallery.stride:g}")
    with open_map(folder / MAP_FILE) as basemap:
        return Locator(build(basemap, model, target, gallery=gallery), model), samples


def city_folder(protocol: Protocol, seed: int, work: Path) -> Path:
    """Where a city of a protocol is kept."""
    return work / f"city-{seed}-{protocol.size:g}m-{protocol.photos}"


def answer_all(locator: Locator, samples: Sequence[SimulatedSample], query: Query) -> Iterator[Answered]:
    """Every method's answer to each sample."""
    for sample in samples:
        photo = Photo.open(sample.file)
        if not query.north_known:
            photo = dataclasses.replace(photo, heading=None)
        started = time.perf_counter()
        analysis = locator.analyse(photo)
        _ = _verdict(analysis)
        seconds = time.perf_counter() - started
        yield Answered(answers(analysis, sample), seconds, judge(analysis, sample.x, sample.y))


def _verdict(analysis: Analysis) -> object:
    """What the model comes to when all its heads were asked."""
    heads = analysis.locator.model.config.heads
    return analysis.matches if "match" in heads else analysis.first if "retrieval" in heads else analysis.zoom_global


def answers(analysis: Analysis, sample: SimulatedSample) -> dict[str, Answer]:
    """Each method's answer, compared with the truth; only those of the heads that the model has."""
    tree = analysis.locator.atlas.tree
    found: dict[str, Answer] = {}

    def leaf_answer(leaf: int, heading: bool, region: Region | None = None) -> Answer:
        x, y = tree.centre(tree.depth, *tree.unflat(tree.depth, leaf))
        azimuth = analysis.poses.best_heading(leaf) if heading else float("nan")
        return compared(float(x), float(y), azimuth, region)

    def compared(x: float, y: float, azimuth: float, region: Region | None) -> Answer:
        error = float(np.hypot(x - sample.x, y - sample.y))
        turned = float(heading_error(azimuth, sample.heading))
        if region is None:
            return Answer(error, turned)
        mass = region.mass_within(error)  # the smallest share whose region reaches the truth
        return Answer(error, turned, mass <= 0.5, mass <= 0.9)

    for method, leaf in descents(analysis).items():
        found[method] = leaf_answer(leaf, False)
    for method, answer in posteriors(analysis).items():
        found[method] = leaf_answer(answer.best, method in NAME_HEADINGS, analysis.region(method))
    if {"retrieval", "match"} <= set(analysis.locator.model.config.heads):
        best = analysis.matches
        x, y, heading = float(best.x[0]), float(best.y[0]), float(best.heading[0])
        found["match"] = compared(x, y, heading, analysis.region("match"))
    return found


def _rows(
    protocol: Protocol,
    answered: dict[str, list[Answered]],
    chances: dict[str, list[list[Measured]]],
    command: str,
) -> Iterator[Row]:
    make = _row_maker(protocol, command)

    def row(metric: str, query: Query, method: str, unit: str, measured: Measured) -> Row:
        return make(metric, query.name, method, unit, measured)

    for query in protocol.queries:
        for radius, parts in zip(RADII_M, zip(*chances[query.name], strict=True), strict=True):
            yield row(f"r1_{radius}m", query, "chance", "%", _together(parts))
        methods = [method for method in METHODS if method in answered[query.name][0].answers]
        for method in methods:
            mine = [one.answers[method] for one in answered[query.name]]
            errors = np.array([one.error_m for one in mine])
            for radius in RADII_M:
                yield row(f"r1_{radius}m", query, method, "%", recall_within(errors, radius))
            yield row("median_m", query, method, "m", median(errors))
            right = errors <= RIGHT_M
            headings = np.array([one.heading_error_deg for one in mine])
            if np.isfinite(headings).any():
                yield row("heading_deg", query, method, "deg", median(headings[right & np.isfinite(headings)]))
            if method == "match":
                yield row("r1_5m", query, method, "%", recall_within(errors, 5.0))
                yield row("position_m", query, method, "m", median(errors[right]))
            for share in (50, 90):
                inside = [getattr(one, f"inside_{share}") for one in mine]
                if inside[0] is not None:
                    yield row(f"inside_{share}", query, method, "%", recall_within(1.0 - np.array(inside, float), 0.5))
        yield row("seconds", query, methods[-1], "s", median([one.seconds for one in answered[query.name]]))


def _row_maker(protocol: Protocol, command: str) -> MakeRow:
    """Makes rows from metric, name of the query, method, unit and what was measured."""
    here = machine()

    def make(metric: str, query: str, method: str, unit: str, measured: Measured) -> Row:
        name = f"{metric}/{query}/{protocol.area}/{method}"
        return Row(name, measured.value, unit, measured.n, measured.low, measured.high, protocol.seeds, here, command)

    return make


def _together(parts: Sequence[Measured]) -> Measured:
    """Chance over all cities, each against its own leaves."""
    total = sum(part.n for part in parts)
    value = sum(part.value * part.n for part in parts) / max(1, total)
    return Measured(value, float("nan"), float("nan"), total)


def _line(answered: Sequence[Answered]) -> str:
    """R@1 within 50 m of each method, for the terminal."""
    methods = [method for method in METHODS if answered and method in answered[0].answers]
    errors = {method: [one.answers[method].error_m for one in answered] for method in methods}
    return ", ".join(f"{method} {100 * np.mean(np.array(e) <= RIGHT_M):.1f}" for method, e in errors.items())
