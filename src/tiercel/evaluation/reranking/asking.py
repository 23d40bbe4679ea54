"""Asking a judge everything that tournaments may want to know, and fitting what they assume of it."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import permutations, product
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tiercel.candidates import CandidateList
from tiercel.rerank.judge import Cost, Judge
from tiercel.rerank.opening import open_judge
from tiercel.rerank.remembered import Remembered
from tiercel.rerank.tournaments import tournament

if TYPE_CHECKING:
    from tiercel.evaluation.reranking.study import JudgeChoice

Report = Callable[[str], None]

TEMPERATURES = (0.7, 1.0, 2.0)
PRIOR_WEIGHTS = (0.0, 0.25, 0.5, 1.0)
ANSWER_WEIGHTS = (1.0, 3.0, 10.0)
SCORE_WEIGHTS = (0.0, 3.0, 6.0, 12.0, 25.0)
"""What is tried: how far to believe a judge, and the first stage beside it, in log-odds, or in points of 0 to 100."""
NO_PAIRS = ("scores", "ranking")
"""Tournaments that ask no pairs."""


@dataclass(frozen=True)
class Asked:
    """A judge that has answered.

    Attributes:
        judge: Has its answers ready.
        cost: Of all of them.
        answers: How many.
        unreadable: How many of them are unreadable.
        example: Why the first of these is.
        steps: Of training that made its model, where that is ours to know.
    """

    judge: Judge
    cost: Cost
    answers: int
    unreadable: int
    example: str
    steps: float | None = None

    @property
    def unreadable_share(self) -> float:
        """Share of the answers."""
        return self.unreadable / max(1, self.answers)

    def line(self) -> str:
        """For people."""
        return (
            f"{self.answers:,} answers, {self.unreadable:,} unreadable, {self.cost.computed:,} computed in "
            f"{self.cost.seconds:,.0f} s"
        )


@dataclass(frozen=True)
class Fit:
    """What tournaments assume of a judge.

    Attributes:
        pairs: Settings of `tiercel.rerank.tournaments.BradleyTerry`, for all pairs.
        adaptive: The same for the adaptive tournament.
        scores: Settings of `tiercel.rerank.tournaments.ByScore`.
    """

    pairs: dict[str, Any] = field(default_factory=dict)
    adaptive: dict[str, Any] = field(default_factory=dict)
    scores: dict[str, Any] = field(default_factory=dict)


def ask_all(
    choice: JudgeChoice, arm: str, tournaments: Sequence[str], lists: Sequence[CandidateList], home: Path, work: Path,
    report: Report, name: str,
) -> Asked:  # fmt: skip
    """Asks a judge about all candidates, and all pairs in both orders, as far as the tournaments may want it."""
    settings = choice_settings(choice, arm, work, report)
    judge = Remembered(open_judge(**settings, cache=home / "answers"))
    kinds = {one.split("-")[0] for one in tournaments}
    cost, answers, unreadable, example = Cost(), 0, 0, ""
    for number, one in enumerate(lists, 1):
        found: list[Any] = []
        if kinds - set(NO_PAIRS):
            found += judge.prefer_each(one, list(permutations(one.candidates, 2)))
        if "scores" in kinds:
            found += judge.score_each(one, one.candidates)
        for name_of in (other for other in tournaments if other.startswith("ranking")):
            found += tournament(name_of).run(judge, one).rankings
        cost = sum((answer.cost for answer in found), cost)
        answers, bad = answers + len(found), [answer for answer in found if answer.trouble]
        unreadable, example = unreadable + len(bad), example or (bad[0].trouble if bad else "")
        if number % 100 == 0:
            report(f"{name}: {number} of {len(lists)} photos, {cost.computed:,} of {cost.calls:,} answers computed")
    return Asked(
        judge, cost, answers, unreadable, example, _steps(settings["model"]) if choice.kind == "model" else None
    )


def _steps(model: str) -> float | None:
    """Steps of training that a model's card tells of."""
    from tiercel.rerank.opening import SMALL, is_small, small_folder

    if not is_small(model):
        return None
    card = (small_folder() if model == SMALL else Path(model)) / "README.md"
    found = re.search(r"^steps: (\d+)$", card.read_text(encoding="utf-8"), re.MULTILINE) if card.is_file() else None
    return float(found[1]) if found else None


def choice_settings(choice: JudgeChoice, arm: str, work: Path, report: Report) -> dict[str, Any]:
    """What opens a judge; its model is trained unless it is there."""
    model = choice.model
    if choice.recipe is not None:
        from tiercel.training.judging import JudgeRecipe, train_judge

        recipe = JudgeRecipe.load(choice.recipe)
        recipe = recipe.model_copy(update={"steps": choice.steps or recipe.steps})
        folder = work / choice.recipe.stem / f"{choice.recipe.stem}-{recipe.steps}"
        model = str(train_judge(recipe, folder, resume=True, cities=folder.parent / "cities", report=report))
    return {
        "kind": choice.kind, "model": model, "url": choice.url, "arm": arm, "view": dict(choice.view),
        "backend": dict(choice.backend), "prompts": choice.prompts,
    }  # fmt: skip


def fit_model(asked: Asked, tournaments: Sequence[str], lists: Sequence[CandidateList]) -> Fit:
    """The settings with which most validation lists have a right candidate first; of several, the first tried."""
    kinds = {one.split("-")[0] for one in tournaments}
    pairs: dict[str, Any] = {}
    adaptive: dict[str, Any] = {}
    scores: dict[str, Any] = {}
    if "adaptive" in kinds or any(one.endswith("bradley_terry") for one in tournaments):
        grid = product(TEMPERATURES, PRIOR_WEIGHTS, ANSWER_WEIGHTS)
        tried = [
            {"temperature": t, "prior_weight": p, "answer_weight": a, "prior_scale": prior_scale(lists)}
            for t, p, a in grid
        ]
        pairs = max(tried, key=lambda one: top1(asked.judge, "all_pairs-both-bradley_terry", one, lists))
    if "adaptive" in kinds:
        tried = [{**pairs, "answer_weight": weight} for weight in ANSWER_WEIGHTS]
        adaptive = max(tried, key=lambda one: top1(asked.judge, "adaptive", one, lists))
    if "scores" in kinds:
        tried = [{"prior_weight": weight} for weight in SCORE_WEIGHTS]
        scores = max(tried, key=lambda one: top1(asked.judge, "scores", one, lists))
    return Fit(pairs, adaptive, scores)


def prior_scale(lists: Sequence[CandidateList]) -> str:
    """How the first stage's scores are to be taken: on a map they are log-probabilities."""
    on_map = all(isinstance(one.cell, tuple) for each in lists for one in each.candidates)
    return "log_probability" if on_map else "standard"


def top1(judge: Judge, name: str, settings: dict[str, Any], lists: Sequence[CandidateList]) -> float:
    """Share of lists that a tournament puts a right candidate first in."""
    held = tournament(name, **settings)
    return sum(bool(one.candidates[held.run(judge, one).order[0]].correct) for one in lists) / max(1, len(lists))
