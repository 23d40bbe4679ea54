"""Two policies and their weighted sum, side by side: what each knows that the other does not.

Both members of a pair score every leaf of the same tree. Their sum (`tiercel.search.WeightedSum`) has one weight, which
is fitted on validation cities; the test cities are looked at once, with that weight.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import yaml
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, ValidationError

from tiercel.errors import TiercelError, wrong_setting
from tiercel.evaluation.arms import Arms
from tiercel.evaluation.evaluate import RADII_M, RIGHT_M, city_folder, prepare
from tiercel.evaluation.metrics import Measured, mean, median, recall_within
from tiercel.evaluation.protocol import UNSEEN, Protocol, Query
from tiercel.evaluation.reliability import ALL
from tiercel.evaluation.results import Row, machine, write_rows
from tiercel.geo import ZoomTree
from tiercel.locate import Analysis
from tiercel.models import Model, load_model
from tiercel.photos import Photo
from tiercel.photos.write import replacing
from tiercel.search.policy import log_sum_exp
from tiercel.training.splits import split_of

Report = Callable[[str], None]
Scores = NDArray[np.float32]


class Member(BaseModel):
    """One policy: a trained arm of a comparison, or a model, and what is asked of it.

    Attributes:
        recipe: File of the comparison that the arm belongs to.
        arm: The arm; it is trained unless it is there.
        seed: Of weights and batches, instead of the comparison's.
        model: ``bundled``, a checkpoint folder, or a Hugging Face id, instead of an arm.
        method: ``retrieval``, or ``global`` for zooming with all leaves weighed against each other.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    recipe: Path | None = None
    arm: str = ""
    seed: int | None = None
    model: str = ""
    method: Literal["retrieval", "global"]


class Pair(BaseModel):
    """Two policies.

    Attributes:
        name: In result rows.
        words: For people.
        first: Has weight 1.
        second: Has the weight that is fitted.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    words: str
    first: Member
    second: Member


class Fusion(BaseModel):
    """What is summed and where it is measured.

    Attributes:
        protocol: ``fusion``.
        results: File of rows to write.
        seeds: Seeds of the cities to measure on.
        photos: Photos of each kind in each of them.
        validation: Seeds of the cities that weights are fitted on.
        validation_photos: Photos of each kind in each of these.
        weights: Those that are tried for the second policy.
        pairs: The pairs.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    protocol: str
    results: Path
    seeds: tuple[int, ...]
    photos: int
    validation: tuple[int, ...]
    validation_photos: int
    weights: tuple[float, ...]
    pairs: tuple[Pair, ...]


def read_fusion(path: Path, content: Any) -> Fusion:  # noqa: ANN401  (whatever a file held)
    """The settings of a file.

    Raises:
        TiercelError: a setting is missing, unknown or of another kind, or a seed belongs to another split.
    """
    try:
        fusion = Fusion.model_validate(content)
    except ValidationError as error:
        raise wrong_setting(path, error, "recipes/fusion.yaml") from None
    for seeds, split in ((fusion.seeds, "test"), (fusion.validation, "validation")):
        wrong = [seed for seed in seeds if split_of(seed) != split]
        if wrong:
            raise TiercelError(f"{path}: cities {wrong} are not of the split '{split}': see training/splits.py.")
    return fusion


@dataclass(frozen=True)
class Evidence:
    """What one policy says about the queries of one kind in one city.

    Attributes:
        scores: (n, leaves) log-probabilities.
        distance: (n, leaves) metres from each leaf's centre to the truth.
    """

    scores: Scores
    distance: Scores


TEMPERATURES = (0.5, 0.7, 1.0, 1.4, 2.0, 2.8)
"""Of a sum: a policy that is too sure of itself must not lose its vote for that alone."""
IMPOSSIBLE = -30.0
"""Log-probability that a truth counts with which nothing speaks for."""

Asked = dict[str, list[Evidence]]
"""For each query's name, the evidence of each city."""


def measure_fusion(fusion: Fusion, path: Path, work: Path = Path("runs"), report: Report = print) -> list[Row]:
    """Train what is not trained yet, fit the weights, and measure each policy and each sum on the same queries.

    Args:
        fusion: What is summed.
        path: Its file, as it is told in the rows.
        work: Where arms are trained, and cities and atlases are kept.
        report: Told a line now and then.
    """
    rows: list[Row] = []
    for pair in fusion.pairs:
        models = [member_model(member, work, report) for member in (pair.first, pair.second)]
        methods = (pair.first.method, pair.second.method)
        here = dataclasses.replace(UNSEEN, seeds=fusion.validation, photos=fusion.validation_photos)
        first, second = (ask(*one, here, work / "calibration", report) for one in zip(models, methods, strict=True))
        tried = fit_weight(first, second, fusion.weights)
        weight = tried[0].weight
        report(f"{pair.name}: weight {weight:g} of {tried}")
        here = dataclasses.replace(UNSEEN, seeds=fusion.seeds, photos=fusion.photos)
        first, second = (ask(*one, here, work / "evaluation", report) for one in zip(models, methods, strict=True))
        make = _row_maker(fusion, f"tiercel evaluate {path}")
        rows += [make(f"weight/all/validation/fusion@{pair.name}", "", Measured(weight, np.nan, np.nan, 0))]
        for one in sorted(tried, key=lambda one: one.weight):
            end = f"weight_{one.weight:g}/validation/fusion@{pair.name}"
            rows.append(make(f"r1_50m/{end}", "%", Measured(one.recall, np.nan, np.nan, 0)))
            rows.append(make(f"log_probability/{end}", "", Measured(one.log_probability, np.nan, np.nan, 0)))
        rows += pair_rows(pair, first, second, weight, make)
        rows = list({row.name: row for row in rows}.values())  # chance belongs to no pair
        write_rows(fusion.results, rows)
    return rows


def member_model(member: Member, work: Path, report: Report) -> Model:
    """The model of a member, trained unless it is there, with the heads that its method needs.

    Raises:
        TiercelError: there is no such arm or model.
    """
    if member.recipe is None:
        model = load_model(member.model)
    else:
        content = yaml.safe_load(member.recipe.read_text(encoding="utf-8"))
        parts = {name: content[name] for name in ("base", "stage", "arms")}
        arms = Arms.checked(member.recipe, parts, str(member.recipe))
        model = load_model(arms.train(arms.arm(member.arm), work / member.recipe.stem, report, member.seed))
    if member.method == "retrieval":
        return model.with_heads([head for head in model.config.heads if head in ("retrieval", "embedding")])
    return model.with_heads([head for head in model.config.heads if head in ("retrieval", "zoom", "decoder")])


def ask(model: Model, method: str, protocol: Protocol, work: Path, report: Report) -> Asked:
    """What one policy says about every query of a protocol; what was asked once is kept beside the city."""
    found: Asked = {query.name: [] for query in protocol.queries}
    for seed in protocol.seeds:
        kept = city_folder(protocol, seed, work) / f"evidence-{model.fingerprint}-{method}.npz"
        if not kept.is_file():
            _ask_city(model, method, protocol, seed, work, kept, report)
        with np.load(kept) as arrays:
            for query in protocol.queries:
                scores, distance = arrays[f"{query.name}-scores"], arrays[f"{query.name}-distance"]
                found[query.name].append(Evidence(scores, distance))
    return found


def _ask_city(
    model: Model, method: str, protocol: Protocol, seed: int, work: Path, target: Path, report: Report
) -> None:
    locator, samples = prepare(model, protocol, seed, work, report)
    arrays: dict[str, Scores] = {}
    for query in protocol.queries:
        some = [sample for sample in samples if sample.kind == query.kind]
        scores = [leaf_scores(locator.analyse(_photo(one.file, query)), method) for one in some]
        arrays[f"{query.name}-scores"] = np.stack(scores)
        where = np.array([(one.x, one.y) for one in some])
        arrays[f"{query.name}-distance"] = _distances(locator.atlas.tree, where)
        report(f"city {seed}, {model.name} {method}: {query.words}")
    with replacing(target) as part, part.open("wb") as file:
        np.savez(file, allow_pickle=False, **arrays)


def leaf_scores(analysis: Analysis, method: str) -> Scores:
    """Log-probability of every leaf by a method: ``retrieval`` or ``global``."""
    answer = analysis.retrieval if method == "retrieval" else analysis.zoom_global
    return answer.log_probability


def _photo(file: Path, query: Query) -> Photo:
    photo = Photo.open(file)
    return photo if query.north_known else dataclasses.replace(photo, heading=None)


def _distances(tree: ZoomTree, where: NDArray[np.float64]) -> Scores:
    x, y = tree.centre(tree.depth, *tree.unflat(tree.depth, np.arange(tree.count(tree.depth))))
    return np.hypot(x - where[:, :1], y - where[:, 1:]).astype(np.float32)


def errors_m(first: Evidence, second: Evidence, weight: float) -> NDArray[np.float64]:
    """(n,) metres from the best leaf by the weighted sum to the truth."""
    best = total(first.scores, second.scores, weight).argmax(1)
    return np.asarray(first.distance[np.arange(len(best)), best], np.float64)


def total(first: Scores, second: Scores, weight: float) -> Scores:
    """The weighted sum over leaves; what either does not cover is not covered."""
    covered = np.isfinite(first) & np.isfinite(second)
    return np.where(covered, first + np.float32(weight) * np.where(covered, second, 0), np.float32(-np.inf))


@dataclass(frozen=True)
class Tried:
    """How a weight does on validation cities, every kind of query counting the same.

    Attributes:
        weight: Of the second policy.
        log_probability: Mean logarithm of the probability within 50 m of the truth, at the best of `TEMPERATURES`.
        recall: Share of best leaves within 50 m, percent.
    """

    weight: float
    log_probability: float
    recall: float


def fit_weight(first: Asked, second: Asked, weights: Sequence[float]) -> list[Tried]:
    """How each of some weights does; the best comes first.

    As calibration does, it goes by log-probability, which rewards being right and sure as well as being nearly right,
    and is therefore less of a game of chance than counting who comes first.

    Args:
        first: What the policy with weight 1 says.
        second: What the other says.
        weights: Those to try.
    """
    tried = []
    for weight in weights:
        sharpness, recall = [], []
        for query in first:
            both = list(zip(first[query], second[query], strict=True))
            recall.append(np.concatenate([errors_m(a, b, weight) <= RIGHT_M for a, b in both]).mean())
            near = [_log_near(total(a.scores, b.scores, weight), a.distance <= RIGHT_M) for a, b in both]
            sharpness.append(np.concatenate(near, 1).mean(1))
        tried.append(Tried(weight, float(np.mean(sharpness, 0).max()), 100.0 * float(np.mean(recall))))
    return sorted(tried, key=lambda one: -one.log_probability)


def _log_near(scores: Scores, near: NDArray[np.bool_]) -> NDArray[np.float64]:
    """(temperatures, n) logarithm of the probability of leaves near the truth."""
    tempered = scores.astype(np.float64) / np.array(TEMPERATURES)[:, None, None]
    within = log_sum_exp(np.where(near, tempered, -np.inf)) - log_sum_exp(tempered)
    return np.maximum(within, IMPOSSIBLE)


MakeRow = Callable[[str, str, Measured], Row]


def pair_rows(pair: Pair, first: Asked, second: Asked, weight: float, make: MakeRow) -> Iterator[Row]:
    """Recall and errors of each policy and the sum, what either has right, and what the sum gains over the better."""
    kinds = {query: list(zip(first[query], second[query], strict=True)) for query in first}
    kinds[ALL] = [city for cities in kinds.values() for city in cities]
    for query, both in kinds.items():
        errors = {
            f"{pair.first.method}@{pair.name}": np.concatenate([errors_m(a, a, 0.0) for a, _ in both]),
            f"{_distinct(pair)}@{pair.name}": np.concatenate([errors_m(b, b, 0.0) for _, b in both]),
            f"fusion@{pair.name}": np.concatenate([errors_m(a, b, weight) for a, b in both]),
        }
        yield make(f"r1_50m/{query}/unseen/chance", "%", _chance([a for a, _ in both]))
        for method, mine in errors.items():
            for radius in RADII_M:
                yield make(f"r1_{radius}m/{query}/unseen/{method}", "%", recall_within(mine, radius))
            yield make(f"median_m/{query}/unseen/{method}", "m", median(mine))
        right = [100.0 * (mine <= RIGHT_M) for mine in errors.values()]
        better = max(right[:2], key=lambda one: float(one.mean()))
        yield make(f"r1_50m/{query}/unseen/either@{pair.name}", "%", mean(np.maximum(*right[:2])))
        yield make(f"gain_50m/{query}/unseen/fusion@{pair.name}", "points", mean(right[2] - better))


def _distinct(pair: Pair) -> str:
    """Name of the second policy's method, told apart from the first's."""
    return pair.second.method if pair.second.method != pair.first.method else f"{pair.second.method}_2"


def _chance(evidence: Sequence[Evidence]) -> Measured:
    shares = np.concatenate([100.0 * (one.distance <= RIGHT_M).mean(1) for one in evidence])
    return Measured(float(shares.mean()), float("nan"), float("nan"), len(shares))


def _row_maker(fusion: Fusion, command: str) -> MakeRow:
    here = machine()

    def make(name: str, unit: str, measured: Measured) -> Row:
        seeds = fusion.validation if "/validation/" in name else fusion.seeds
        return Row(name, measured.value, unit, measured.n, measured.low, measured.high, seeds, here, command)

    return make
