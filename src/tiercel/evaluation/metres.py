"""Answers in metres and degrees: the match after a first stage and the match everywhere, on the same queries.

``python -m tiercel.evaluation.metres results/metres.json --photos 60`` measures the queries of the usual protocol.
"""

from __future__ import annotations

import argparse
import dataclasses
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from tiercel.datasets import SimulatedSample
from tiercel.datasets.journal import appending, read_journal
from tiercel.evaluation.evaluate import RIGHT_M, prepare
from tiercel.evaluation.metrics import Measured, heading_error, median, recall_within
from tiercel.evaluation.protocol import UNSEEN, Query
from tiercel.evaluation.results import Row, machine, write_rows
from tiercel.locate import Analysis, Locator
from tiercel.models import load_model
from tiercel.photos import Photo

Report = Callable[[str], None]

RADII_M = (1, 5, 10, 25, 50)
METHODS = ("fusion", "match", "match_map")
"""Cells of the first stage; the match after it; the match of every position and heading of the map, by itself."""


@dataclass(frozen=True)
class Asked:
    """A query and the truth about it.

    Attributes:
        query: Its kind, as in rows.
        number: Its number among those of its kind and city.
        x: True easting, metres.
        y: True northing.
        heading: True azimuth of the (first) photo's centre column, degrees from grid north.
        analyse: Gives an analysis of which nothing is computed yet.
    """

    query: str
    number: int
    x: float
    y: float
    heading: float
    analyse: Callable[[], Analysis]


@dataclass(frozen=True)
class Found:
    """One method's answer to one query.

    Attributes:
        query: As in `Asked`.
        number: As in `Asked`.
        method: One of `METHODS`.
        error_m: Distance to the truth.
        heading_error_deg: None where the method gives no heading.
        inside_50: Whether the truth lies in the region said to hold half of the probability; None where none is said.
        inside_90: The same for nine tenths.
        seconds: That it took, with the encoding of the photos.
    """

    query: str
    number: int
    method: str
    error_m: float
    heading_error_deg: float | None
    inside_50: bool | None
    inside_90: bool | None
    seconds: float


def answer_all(asked: Iterable[Asked], kept: Path) -> Iterator[Found]:
    """Every method's answer to what is asked.

    Args:
        asked: Queries of one city.
        kept: Answers stand in this file, so that a measurement that was interrupted goes on.
    """
    known = {(one["query"], one["number"], one["method"]): Found(**one) for one in read_journal(kept)}
    with appending(kept) as append:
        for one in asked:
            for method in METHODS:
                key = one.query, one.number, method
                if key not in known:
                    known[key] = _answer(one, method)
                    append(asdict(known[key]))
                yield known[key]


def _answer(asked: Asked, method: str) -> Found:
    started = time.perf_counter()
    analysis, turned = asked.analyse(), None
    if method == "fusion":
        x, y = analysis.first.centre
    else:
        best = analysis.matches if method == "match" else analysis.matches_everywhere
        x, y = float(best.x[0]), float(best.y[0])
        turned = float(heading_error(best.heading[0], asked.heading))
    seconds, error = time.perf_counter() - started, float(np.hypot(x - asked.x, y - asked.y))
    mass = analysis.region("match").mass_within(error) if method == "match" else None
    half, most = (None if mass is None else mass <= share for share in (0.5, 0.9))
    return Found(asked.query, asked.number, method, error, turned, half, most, seconds)


def metric_rows(found: Iterable[Found], seeds: Sequence[int], command: str) -> Iterator[Row]:
    """What was found, as rows: recall within `RADII_M`, medians, how often regions held the truth, seconds."""
    groups: dict[tuple[str, str], list[Found]] = {}
    for one in found:
        groups.setdefault((one.query, one.method), []).append(one)
    for (query, method), mine in groups.items():
        for metric, unit, measured in _metrics(mine):
            name = f"{metric}/{query}/{UNSEEN.area}/{method}"
            value = measured.value, unit, measured.n, measured.low, measured.high
            yield Row(name, *value, tuple(seeds), machine(), command)


def _metrics(found: Sequence[Found]) -> Iterator[tuple[str, str, Measured]]:
    errors = np.array([one.error_m for one in found])
    for radius in RADII_M:
        yield f"r1_{radius}m", "%", recall_within(errors, radius)
    yield "median_m", "m", median(errors)
    turned = np.array([np.nan if one.heading_error_deg is None else one.heading_error_deg for one in found])
    if not np.isnan(turned).any():
        yield "position_m", "m", median(errors[errors <= RIGHT_M])
        yield "heading_deg", "deg", median(turned[errors <= RIGHT_M])
    for share in (50, 90):
        inside = [getattr(one, f"inside_{share}") for one in found]
        if None not in inside:
            yield f"inside_{share}", "%", recall_within(1.0 - np.array(inside, float), 0.5)
    yield "seconds", "s", median([one.seconds for one in found])


def measure(
    model: str | Path = "bundled",
    *,
    seeds: Sequence[int] = UNSEEN.seeds,
    photos: int = 60,
    work: Path | str = "runs/evaluation",
    report: Report = print,
) -> list[Row]:
    """Measure the queries of the usual protocol.

    Args:
        model: ``bundled``, a checkpoint folder, or a Hugging Face id.
        seeds: Of the cities.
        photos: How many photos of each kind are asked in each city.
        work: Where cities, atlases and answers are kept; cities of `tiercel evaluate` are used again.
        report: Told a line now and then.
    """
    loaded = load_model(model)
    found: list[Found] = []
    for seed in seeds:
        locator, samples = prepare(loaded, UNSEEN, seed, Path(work), report)
        asked = [one for query in UNSEEN.queries for one in _ask(locator, samples, query, photos)]
        found += answer_all(asked, Path(work) / f"metres-{seed}-{loaded.fingerprint}.jsonl")
        report(f"city {seed}: asked {len(asked)} queries")
    command = f"python -m tiercel.evaluation.metres results/metres.json --photos {photos}"
    return list(metric_rows(found, seeds, command))


def _ask(locator: Locator, samples: Sequence[SimulatedSample], query: Query, count: int) -> Iterator[Asked]:
    some = [sample for sample in samples if sample.kind == query.kind][:count]
    for number, sample in enumerate(some):

        def analyse(file: Path = sample.file) -> Analysis:
            photo = Photo.open(file)
            return locator.analyse(photo if query.north_known else dataclasses.replace(photo, heading=None))

        yield Asked(query.name, number, sample.x, sample.y, sample.heading, analyse)


def main() -> None:
    """``python -m tiercel.evaluation.metres FILE``."""
    parser = argparse.ArgumentParser(description="Measure answers in metres and degrees, and what they cost.")
    parser.add_argument("out", type=Path, help="file of result rows to write")
    parser.add_argument("--photos", type=int, default=60, help="photos of each kind in each city")
    parser.add_argument("--seed", type=int, action="append", help="seed of a city, instead of the protocol's")
    parser.add_argument("--work", type=Path, default=Path("runs/evaluation"), help="where cities and atlases are kept")
    given = parser.parse_args()
    write_rows(given.out, measure(seeds=given.seed or UNSEEN.seeds, photos=given.photos, work=given.work))


if __name__ == "__main__":
    main()
