"""A second look at whole files of candidates: every photo's list put in a new order, and what it took."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace

from tiercel.candidates.lists import CandidateList
from tiercel.rerank.judge import Cost, Judge, Preference, Ranking, Score
from tiercel.rerank.tournaments import Outcome, Tournament

Progress = Callable[[int, int], None]
"""Called with how many photos are done and how many there are."""
EXAMPLES = 3
"""Different troubles that are told."""


@dataclass
class Tally:
    """What a run took, and how the judge did.

    Attributes:
        photos: How many.
        cost: Of all answers.
        answers: How many there were.
        unreadable: How many of them were unreadable.
        troubles: Why, with how often; of whole lists too, where the first stage's order stands.
        failed: Photos whose first stage's order stands because too many answers were unreadable.
        consistencies: Of each photo that was asked about in both orders.
        constant: The position that the judge named in every photo, if there is one.
        before: Of the photos whose place is known, how many had a right candidate first.
        after: How many have one now.
        known: How many these are.
    """

    photos: int = 0
    cost: Cost = field(default_factory=Cost)
    answers: int = 0
    unreadable: int = 0
    troubles: dict[str, int] = field(default_factory=dict)
    failed: int = 0
    consistencies: list[float] = field(default_factory=list)
    positions: set[str] = field(default_factory=set)
    before: int = 0
    after: int = 0
    known: int = 0

    def add(self, one: CandidateList, outcome: Outcome) -> None:
        """Counts a photo in."""
        answers: list[Preference | Score | Ranking] = [asked.answer for asked in outcome.asked]
        answers += [*outcome.scores, *outcome.rankings]
        self.photos += 1
        self.cost = self.cost + outcome.cost
        self.answers += len(answers)
        self.unreadable += outcome.unreadable
        self.failed += bool(outcome.trouble)
        for answer in answers:
            if answer.trouble:
                self.troubles[answer.trouble] = self.troubles.get(answer.trouble, 0) + 1
        if outcome.consistency is not None:
            self.consistencies.append(outcome.consistency)
        if answers:
            self.positions.add(outcome.constant)
        if one.judged:
            self.known += 1
            self.before += one.correct_in(1)
            self.after += bool(one.candidates and one.candidates[outcome.order[0]].correct)

    @property
    def consistency(self) -> float | None:
        """Mean share of pairs whose answer followed the candidates when they changed places."""
        return sum(self.consistencies) / len(self.consistencies) if self.consistencies else None

    @property
    def constant(self) -> str:
        """The position that the judge named in every photo; empty if there is none."""
        return next(iter(self.positions)) if len(self.positions) == 1 else ""

    @property
    def failed_share(self) -> float:
        """Share of the photos that got no second look."""
        return self.failed / max(1, self.photos)

    def lines(self) -> list[str]:
        """What to tell."""
        cost = self.cost
        told = [
            f"{self.photos:,} photos, {cost.calls:,} calls ({cost.computed:,} computed, the others from the cache), "
            f"{cost.tokens_in + cost.tokens_out:,} tokens, {cost.seconds:,.1f} s",
            f"{self.unreadable:,} of {self.answers:,} answers unreadable",
        ]
        if self.consistency is not None:
            told.append(f"{self.consistency:.0%} of pairs answered alike in both orders")
        if self.constant:
            told.append(f"the judge named what was shown {self.constant} every time, whatever it was")
        if self.known:
            told.append(
                f"right first: {self.before / self.known:.1%} before, {self.after / self.known:.1%} after, of "
                f"{self.known:,} photos whose place is known"
            )
        worst = sorted(self.troubles.items(), key=lambda one: -one[1])
        told += [f"{count:,} times: {trouble}" for trouble, count in worst[:EXAMPLES]]
        if len(worst) > EXAMPLES:
            told.append(f"and {len(worst) - EXAMPLES:,} other troubles")
        return told


def rerank(
    lists: Iterable[CandidateList], judge: Judge, tournament: Tournament, most: int = 0
) -> Iterator[tuple[CandidateList, Outcome]]:
    """Lists in their new order, one by one.

    Args:
        lists: In the first stage's order.
        judge: Answers.
        tournament: Asks and decides.
        most: Only so many of the first candidates are judged, and the others stay behind them; 0 for all.

    Yields:
        The list as it was, and the outcome, whose order may be applied with `reordered`.
    """
    for one in lists:
        yield one, tournament.run(judge, replace(one, candidates=one.candidates[: most or None]))


def reordered(one: CandidateList, outcome: Outcome) -> CandidateList:
    """A list in the order of an outcome; candidates that were not judged stay behind the others."""
    order = [*outcome.order, *range(len(outcome.order), len(one.candidates))]
    if one.candidates and all(place == number for number, place in enumerate(order)):
        return replace(one, candidates=tuple(replace(it, first_place=n) for n, it in enumerate(one.candidates, 1)))
    candidates = (replace(one.candidates[place], first_place=place + 1, score=None) for place in order)
    return replace(one, candidates=tuple(candidates))
