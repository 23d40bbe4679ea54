"""Rows of the study."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tiercel.candidates import CandidateList
from tiercel.evaluation.metrics import Measured, share
from tiercel.evaluation.reranking.asking import Asked, Fit
from tiercel.evaluation.results import Row, machine
from tiercel.evaluation.significance import mcnemar
from tiercel.rerank.tournaments import Outcome, tournament

POOLED = "all"


@dataclass(frozen=True)
class RowMaker:
    """Makes rows that know where they come from.

    Attributes:
        seeds: Of the cities.
        command: What measures it again.
    """

    seeds: tuple[int, ...]
    command: str

    def __call__(self, name: str, measured: Measured, **extra: float | None) -> Row:
        """A row, in percent."""
        return Row(
            name, measured.value, "%", measured.n, measured.low, measured.high, self.seeds, machine(), self.command,
            extra,
        )  # fmt: skip


def groups(lists: Sequence[CandidateList]) -> dict[str, list[int]]:
    """Indices of the lists of each kind of photo, and of all."""
    found: dict[str, list[int]] = {POOLED: list(range(len(lists)))}
    for number, one in enumerate(lists):
        kind = "panorama" if one.panorama else f"photo_{one.field_of_view or 0:.0f}"
        found.setdefault(kind + ("_north" if one.heading is not None else ""), []).append(number)
    return found if len(found) > 2 else {POOLED: found[POOLED]}


def cut(lists: Sequence[CandidateList], count: int) -> list[CandidateList]:
    """Lists with their first candidates only."""
    return [replace(one, candidates=one.candidates[:count]) for one in lists]


def ending(count: int, most: int, group: str) -> str:
    """The end of a row's name; none for all photos and the longest lists."""
    return "" if count == most and group == POOLED else f"/top{count}/{group}"


def baseline_rows(lists: Sequence[CandidateList], counts: Sequence[int], make: RowMaker) -> Iterator[Row]:
    """The first stage, and the ceiling: how often any order of the candidates could be right."""
    for count, (group, members) in product(counts, groups(lists).items()):
        first = [lists[i].correct_in(1) for i in members]
        possible = [lists[i].correct_in(count) for i in members]
        end = ending(count, max(counts), group)
        yield make(f"top1/first_stage{end}", share(first), calls=0.0)
        yield make(f"top1/ceiling{end}", share(possible), mcnemar_p=mcnemar(possible, first))


def tournament_rows(
    arm: str, names: Sequence[str], lists: Sequence[CandidateList], counts: Sequence[int], most: int, asked: Asked,
    fit: Fit, adaptive: dict[str, Any], make: RowMaker,
) -> Iterator[Row]:  # fmt: skip
    """Top-1 of every tournament with a judge, what it took, and how steady the judge was."""
    for name, count in product(names, counts):
        some = cut(lists, count)
        outcomes = [tournament(name, **_settings(name, fit, adaptive)).run(asked.judge, one) for one in some]
        right = np.array([bool(one.candidates[out.order[0]].correct) for one, out in zip(some, outcomes, strict=True)])
        first = np.array([one.correct_in(1) for one in some])
        for group, members in groups(lists).items():
            chosen = [outcomes[i] for i in members]
            yield make(
                f"top1/{arm}/{name}{ending(count, most, group)}",
                share(right[members]),
                mcnemar_p=mcnemar(right[members], first[members]),
                gained=float((right & ~first)[members].sum()),
                lost=float((first & ~right)[members].sum()),
                **_costs(chosen, _says_where(right[members], chosen)),
            )


def _settings(name: str, fit: Fit, adaptive: dict[str, Any]) -> dict[str, Any]:
    """What a tournament is told about the judge."""
    kind = name.split("-")[0]
    if kind == "scores":
        return fit.scores
    if kind == "adaptive":
        return {**fit.adaptive, **adaptive}
    return fit.pairs if name.endswith("bradley_terry") else {}


def _says_where(right: NDArray[np.bool_], outcomes: Sequence[Outcome]) -> float | None:
    """How sure tournaments were of their winners, on average, less how often these were right, points."""
    sure = [
        (out.probability, bool(hit)) for out, hit in zip(outcomes, right, strict=True) if out.probability is not None
    ]
    return 100.0 * float(np.mean([p - hit for p, hit in sure])) if sure else None


def _costs(outcomes: Sequence[Outcome], overconfidence: float | None) -> dict[str, float | None]:
    """A photo's calls, tokens and unreadable answers, order consistency, and answers that always name one place."""
    consistent = [out.consistency for out in outcomes if out.consistency is not None]
    constant = {out.constant for out in outcomes if out.asked or out.rankings}
    calls = [out.cost.calls or len(out.asked) or len(out.scores) or len(out.rankings) for out in outcomes]
    return {
        "calls": float(np.mean(calls)) if calls else None,
        "tokens": float(np.mean([out.cost.tokens_in + out.cost.tokens_out for out in outcomes])) if outcomes else None,
        "unreadable": float(np.mean([out.unreadable for out in outcomes])) if outcomes else None,
        "consistency": 100.0 * float(np.mean(consistent)) if consistent else None,
        "constant": float(len(constant) == 1 and "" not in constant) if constant else None,
        "overconfidence": overconfidence,
    }
