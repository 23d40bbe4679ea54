"""Measuring a model on cities it has never seen, every method on the same queries."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np

from tiercel.atlas import GalleryPlan, build
from tiercel.datasets import SimulatedSample, simulate
from tiercel.errors import TiercelError
from tiercel.evaluation.answering import Answer, Answered, answer_all, kept_file
from tiercel.evaluation.metrics import Measured, chance_within, median, recall_within
from tiercel.evaluation.metrics import share as share_of
from tiercel.evaluation.protocol import DIFFICULTIES, LOCATE, Protocol, Query
from tiercel.evaluation.reliability import MakeRow, reliability_rows
from tiercel.evaluation.results import Row, machine, write_rows
from tiercel.evaluation.watching import Progress, count_files, count_lines, watched
from tiercel.locate import Locator
from tiercel.maps import open_map
from tiercel.models import Model, load_model
from tiercel.photos.write import replacing
from tiercel.training.splits import split_of

Report = Callable[[str], None]
Step = Callable[[str], Progress]
RADII_M = (40, 50, 100)
ALL_RADII_M = (5, *RADII_M)
RANKS = (5, 10)
"""Whether the right place is among so many answers is measured as well."""
RIGHT_M = 50.0
"""Within this distance an answer counts as the right place; errors in metres and degrees are taken over these."""
MAP_FILE = "city.tif"
METHODS = (
    *("greedy", "beam4", "beam16", "best_first", "bottom_up", "global"),
    *("retrieval", "fusion", "sweep", "match"),
)
"""All methods in the order of tables; a model is measured by those that its heads allow."""


def evaluate(
    model: str | Path = "bundled",
    *,
    seeds: Sequence[int] | None = None,
    photos: int | None = None,
    difficulties: Sequence[str] | None = None,
    out: Path | str | None = "results/locate.json",
    calibration: Path | str | None = None,
    work: Path | str = "runs/locate",
    protocol: Protocol = LOCATE,
    jobs: int = 1,
    report: Report = print,
    step: Step | None = None,
) -> list[Row]:
    """Measure a model.

    Answers are kept as they come: a measurement that was interrupted goes on where it stopped.

    Args:
        model: ``bundled``, a checkpoint folder, or a Hugging Face id.
        seeds: Seeds of the cities, instead of the protocol's. Seeds that train are refused.
        photos: Photos of each kind in each city, instead of the protocol's.
        difficulties: Of the cities, some of `DIFFICULTIES`, one after the other, instead of the protocol's.
        out: File of rows to write; None for none.
        calibration: File of rows about how honest the probabilities and regions are to write; None for none.
        work: Where cities, atlases and answers are kept, to be used again.
        protocol: What is measured.
        jobs: Cities measured at once, each by a process.
        report: Told a line now and then.
        step: Called with what is being done; gives a function that is told how much of it is done.

    Returns:
        The rows.

    Raises:
        TiercelError: a seed belongs to the training split, or there is no such difficulty.
    """
    seeds = tuple(protocol.seeds if seeds is None else seeds)
    protocol = dataclasses.replace(protocol, seeds=seeds)
    if photos:
        protocol = dataclasses.replace(protocol, photos=photos, photos_if_hard=0)
    _check(seeds, difficulties or ())
    protocols = [protocol.at(one) for one in difficulties] if difficulties else [protocol]
    ask = _Asking(model, Path(work), report)
    cities = [(one, seed) for one in protocols for seed in seeds]
    with (
        ProcessPoolExecutor(jobs, get_context("spawn")) if jobs > 1 else nullcontext() as pool,
        _shown(load_model(model), cities, Path(work), step),
    ):
        found = list((pool.map if pool else map)(ask.city, *zip(*cities, strict=True)))
    command = f"tiercel evaluate --model {model} " + " ".join(f"--seed {s}" for s in seeds)
    command += f" --photos {photos}" if photos else ""
    command += "".join(f" --difficulty {one}" for one in difficulties or ())
    rows: list[Row] = []
    honest: list[Row] = []
    for number, one in enumerate(protocols):
        together = _joined(found[number * len(seeds) : (number + 1) * len(seeds)])
        rows += _rows(one, together, command)
        judged = {query: [answered.judged for answered in some] for query, some in together.answered.items()}
        if calibration is not None:
            honest += reliability_rows(judged, _row_maker(one, command))
    if out is not None:
        write_rows(Path(out), rows)
    if calibration is not None:
        write_rows(Path(calibration), honest)
    return rows


def _check(seeds: Sequence[int], difficulties: Sequence[str]) -> None:
    trained = [seed for seed in seeds if split_of(seed) == "train"]
    if trained:
        raise TiercelError(
            f"cities {trained} belong to the seeds that train: measure on others (see training/splits.py)."
        )
    unknown = [one for one in difficulties if one not in DIFFICULTIES]
    if unknown:
        raise TiercelError(f"There are no cities of difficulty '{unknown[0]}': choose from {', '.join(DIFFICULTIES)}.")


@dataclass(frozen=True)
class City:
    """What came out of one city, or of several.

    Attributes:
        answered: For each query's name, the answers to all its photos.
        chances: For each query's name, recall by chance at each of `ALL_RADII_M`, in each city.
    """

    answered: dict[str, list[Answered]]
    chances: dict[str, list[list[Measured]]]


def _joined(cities: Sequence[City]) -> City:
    names = cities[0].answered
    return City(
        {name: [one for city in cities for one in city.answered[name]] for name in names},
        {name: [one for city in cities for one in city.chances[name]] for name in names},
    )


@dataclass(frozen=True)
class _Asking:
    """Asks all queries of a city; can be sent to another process."""

    model: str | Path
    work: Path
    report: Report

    def city(self, protocol: Protocol, seed: int) -> City:
        """Every query of a protocol that the model can answer, answered by every method."""
        model = load_model(self.model)
        locator, samples = prepare(model, protocol, seed, self.work, self.report)
        tree = locator.atlas.tree
        cells = tree.centre(tree.depth, *tree.unflat(tree.depth, locator.atlas.leaf_index))
        kept = kept_file(self.work, city_folder(protocol, seed, self.work).name, model)
        city = City({}, {})
        for query in asked_of(model, protocol):
            asked = protocol.asked(samples, query)
            x, y = (np.array([getattr(spot[0], axis) for spot in asked]) for axis in "xy")
            city.answered[query.name] = list(answer_all(locator, asked, query, kept))
            city.chances[query.name] = [[chance_within(x, y, *cells, radius) for radius in ALL_RADII_M]]
            self.report(f"{_called(protocol, seed)}, {query.words}: {_line(city.answered[query.name])}")
        return city


def asked_of(model: Model, protocol: Protocol) -> list[Query]:
    """The queries of a protocol that a model can answer: only one that retrieves puts photos together."""
    return [query for query in protocol.queries if len(query.shots) == 1 or "retrieval" in model.config.heads]


def _called(protocol: Protocol, seed: int) -> str:
    return f"city {seed}" if protocol.difficulty == "plain" else f"{protocol.difficulty} city {seed}"


@contextmanager
def _shown(model: Model, cities: Sequence[tuple[Protocol, int]], work: Path, step: Step | None) -> Iterator[None]:
    """Shows how many photos are taken and how many queries are answered while the block runs."""
    if step is None:
        yield
        return
    folders = [city_folder(protocol, seed, work) for protocol, seed in cities]
    kept = [kept_file(work, folder.name, model) for folder in folders]
    taken = sum(protocol.photos * shots for protocol, _ in cities for shots in protocol.shots.values())
    answered = sum(protocol.photos * len(asked_of(model, protocol)) for protocol, _ in cities)
    with (
        watched(lambda: count_files(folders, "**/photos/*.jpg"), taken, step("Taking photos")),
        watched(lambda: count_lines(kept), answered, step("Locating photos")),
    ):
        yield


def prepare(
    model: Model, protocol: Protocol, seed: int, work: Path, report: Report, gallery: GalleryPlan | None = None
) -> tuple[Locator, list[SimulatedSample]]:
    """A city of the protocol with its photos and its atlas, made unless they are there."""
    folder = city_folder(protocol, seed, work)
    report(f"{_called(protocol, seed)}: photos and map")
    samples: list[SimulatedSample] = []
    parts = _parts(protocol, folder)
    map_file = next(iter(parts)) / MAP_FILE
    for part, (shots, kinds) in parts.items():
        if map_file.is_file() and not (part / MAP_FILE).is_file():  # the same city: its map is drawn once
            part.mkdir(parents=True, exist_ok=True)
            with replacing(part / MAP_FILE) as copy:
                shutil.copyfile(map_file, copy)
        settings: dict[str, Any] = {"seed": seed, "size": protocol.size, "photos": protocol.photos * shots * len(kinds)}
        if shots > 1:
            settings["shots"] = shots
        if protocol.difficulty != "plain":
            settings["difficulty"] = protocol.difficulty
        samples += simulate(part, kinds=kinds, **settings)
    target = folder / f"atlas-{model.fingerprint}"
    if gallery is not None and gallery != GalleryPlan():
        scales = "-".join(f"{scale:g}" for scale in gallery.scales)
        target = target.with_name(f"{target.name}-{scales}-every-{gallery.stride:g}")
    with open_map(map_file) as basemap:
        return Locator(build(basemap, model, target, gallery=gallery), model), samples


def _parts(protocol: Protocol, folder: Path) -> dict[Path, tuple[int, tuple[str, ...]]]:
    """The data sets that make up a city: of single photos, and of several from each spot; shots and kinds of each."""
    parts: dict[Path, tuple[int, tuple[str, ...]]] = {}
    for kind, shots in sorted(protocol.shots.items(), key=lambda item: item[1]):
        part = folder if shots == 1 else folder / f"spots-{shots}"
        parts[part] = shots, (*parts.get(part, (shots, ()))[1], kind)
    return parts


def city_folder(protocol: Protocol, seed: int, work: Path) -> Path:
    """Where a city of a protocol is kept."""
    difficulty = "" if protocol.difficulty == "plain" else f"-{protocol.difficulty}"
    return work / f"city-{seed}-{protocol.size:g}m-{protocol.photos}{difficulty}"


def _rows(protocol: Protocol, found: City, command: str) -> Iterator[Row]:
    make = _row_maker(protocol, command)
    for query in protocol.queries:
        some = found.answered.get(query.name)
        if not some:
            continue
        for radius, parts in zip(ALL_RADII_M, zip(*found.chances[query.name], strict=True), strict=True):
            yield make(f"r1_{radius}m", query.name, "chance", "%", _together(parts))
        methods = [method for method in METHODS if method in some[0].answers]
        for method in methods:
            for metric, unit, measured in _metrics([one.answers[method] for one in some]):
                yield make(metric, query.name, method, unit, measured)
        yield make("seconds", query.name, methods[-1], "s", median([one.seconds for one in some]))


def _metrics(answers: Sequence[Answer]) -> Iterator[tuple[str, str, Measured]]:
    """Name, unit and value of everything that is measured of one method's answers to one kind of query."""
    errors = np.array([one.error_m for one in answers])
    for radius in ALL_RADII_M:
        yield f"r1_{radius}m", "%", recall_within(errors, radius)
    if any(len(one.errors_m) > 1 for one in answers):
        for count in RANKS:
            nearest = np.array([min(one.errors_m[:count]) for one in answers])
            yield f"r{count}_{RIGHT_M:.0f}m", "%", recall_within(nearest, RIGHT_M)
    yield "median_m", "m", median(errors)
    yield "position_m", "m", median(errors[errors <= RIGHT_M])
    headings = np.array([one.heading_error_deg for one in answers])
    named = np.isfinite(headings)
    if named.any():
        yield "heading_deg", "deg", median(headings[named & (errors <= RIGHT_M)])
    for share in (50, 90):
        inside = [getattr(one, f"inside_{share}") for one in answers]
        if inside[0] is not None:
            yield f"inside_{share}", "%", share_of(inside)


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
