"""Every method's answer to the queries of a city, compared with the truth and kept as it comes."""

from __future__ import annotations

import dataclasses
import hashlib
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tiercel.datasets import SimulatedSample
from tiercel.datasets.journal import appending, read_journal
from tiercel.evaluation.methods import RANKED, alone, descents, posteriors
from tiercel.evaluation.metrics import heading_error
from tiercel.evaluation.protocol import Query
from tiercel.evaluation.reliability import Judged, judge
from tiercel.locate import Analysis, Locator
from tiercel.models import Model
from tiercel.photos import Photo
from tiercel.search import Region
from tiercel.search.match import Matches

NAME_HEADINGS = ("retrieval", "fusion")
"""Methods that name a heading with a leaf, where there is one photo."""
FORMAT = 1
"""Of kept answers: those of another one are not read."""


@dataclass(frozen=True)
class Answer:
    """What one method said about one query.

    Attributes:
        errors_m: Distances of its first answers to the truth, the best first: at least one, and at most `RANKED`, each
            in a leaf of its own.
        heading_error_deg: Of the (first) photo's centre column in the first; NaN where the method gives none.
        inside_50: Whether the truth lies in the region said to hold 50 % of the probability; None where there is none.
        inside_90: The same for 90 %.
    """

    errors_m: tuple[float, ...]
    heading_error_deg: float = float("nan")
    inside_50: bool | None = None
    inside_90: bool | None = None

    @property
    def error_m(self) -> float:
        """Distance of the first answer to the truth."""
        return self.errors_m[0]


@dataclass(frozen=True)
class Answered:
    """All methods' answers to one query, the seconds that the full pipeline took, and how sure the answers were."""

    answers: dict[str, Answer]
    seconds: float
    judged: Judged

    @classmethod
    def from_dict(cls, content: dict[str, Any]) -> Answered:
        """From plain values, as `dataclasses.asdict` and JSON leave them."""
        found = {
            method: Answer(**{**answer, "errors_m": tuple(answer["errors_m"])})
            for method, answer in content["answers"].items()
        }
        claims = {
            method: tuple((float(sure), bool(so)) for sure, so in pairs)
            for method, pairs in content["judged"]["claims"].items()
        }
        return cls(found, content["seconds"], Judged(claims, content["judged"]["masses"]))


def kept_file(work: Path, city: str, model: Model) -> Path:
    """Where the answers about a city are kept: those of other weights, or of another calibration, lie elsewhere."""
    digest = hashlib.sha256(f"{FORMAT} {model.config.calibration}".encode()).hexdigest()[:8]
    return work / f"answers-{city}-{model.fingerprint}-{digest}.jsonl"


def answer_all(
    locator: Locator, asked: Sequence[Sequence[SimulatedSample]], query: Query, kept: Path
) -> Iterator[Answered]:
    """Every method's answer to each query of a kind.

    Args:
        locator: Of their city.
        asked: The photos of each query.
        query: What is known of them.
        kept: Answers stand in this file, so that a measurement that was interrupted goes on.
    """
    known = {one["number"]: one for one in read_journal(kept) if one["query"] == query.name}
    kept.parent.mkdir(parents=True, exist_ok=True)
    with appending(kept) as append:
        for number, samples in enumerate(asked):
            if number in known:
                yield Answered.from_dict(known[number])
                continue
            found = _answered(locator, samples, query)
            append({"query": query.name, "number": number, **dataclasses.asdict(found)})
            yield found


def _answered(locator: Locator, samples: Sequence[SimulatedSample], query: Query) -> Answered:
    first, photos = samples[0], [Photo.open(sample.file) for sample in samples]
    if not query.north_known:
        photos = [dataclasses.replace(photo, heading=None) for photo in photos]
    turns = [(sample.heading - first.heading) % 360 for sample in samples[1:]] if query.turns_known else None
    started = time.perf_counter()
    analysis = locator.analyse_together(photos, turns)
    _ = _verdict(analysis)
    seconds = time.perf_counter() - started
    return Answered(answers(analysis, first), seconds, judge(analysis, first.x, first.y))


def _verdict(analysis: Analysis) -> object:
    """What the model comes to when all its heads were asked."""
    heads = analysis.locator.model.config.heads
    return analysis.matches if "match" in heads else analysis.first if "retrieval" in heads else analysis.zoom_global


def answers(analysis: Analysis, sample: SimulatedSample) -> dict[str, Answer]:
    """Each method's answer, compared with the truth; only those of the heads that the model has.

    Args:
        analysis: Of a photo, or of several from one spot.
        sample: The truth about the (first) photo.
    """
    tree = analysis.locator.atlas.tree
    found: dict[str, Answer] = {}

    def of_leaves(leaves: NDArray[np.int64], heading: bool = False, region: Region | None = None) -> Answer:
        x, y = tree.centre(tree.depth, *tree.unflat(tree.depth, leaves[:RANKED]))
        azimuth = analysis.poses.best_heading(int(leaves[0])) if heading else float("nan")
        return _compared(sample, x, y, azimuth, region)

    for method, leaves in descents(analysis).items():
        found[method] = of_leaves(leaves)
    for method, answer in posteriors(analysis).items():
        names = method in NAME_HEADINGS and alone(analysis)
        found[method] = of_leaves(answer.top(RANKED)[0], names, analysis.region(method))
    if {"retrieval", "match"} <= set(analysis.locator.model.config.heads):
        matches = analysis.matches
        x, y = (places[distinct(analysis, matches)][:RANKED] for places in (matches.x, matches.y))
        found["match"] = _compared(sample, x, y, float(matches.heading[0]), analysis.region("match"))
    return found


def distinct(analysis: Analysis, matches: Matches) -> NDArray[np.int64]:
    """Which matches are answers of their own: two that come to lie in one leaf are one, the better."""
    tree = analysis.locator.atlas.tree
    leaves = tree.flat(tree.depth, *tree.cell_at(matches.x, matches.y, tree.depth))
    return np.sort(np.unique(leaves, return_index=True)[1])


def _compared(sample: SimulatedSample, x: ArrayLike, y: ArrayLike, azimuth: float, region: Region | None) -> Answer:
    errors = tuple(float(error) for error in np.hypot(np.subtract(x, sample.x), np.subtract(y, sample.y)))
    turned = float(heading_error(azimuth, sample.heading))
    if region is None:
        return Answer(errors, turned)
    mass = region.mass_within(errors[0])  # the smallest share whose region reaches the truth
    return Answer(errors, turned, mass <= 0.5, mass <= 0.9)
