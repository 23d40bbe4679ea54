"""A judge that is asked everything once, so that many tournaments can be held on the same answers."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import TypeVar

from tiercel.candidates.lists import Candidate, CandidateList
from tiercel.rerank.judge import Judge, Pair, Preference, Ranking, Score

_Answer = TypeVar("_Answer")


class Remembered(Judge):
    """Asks another judge what it has not been asked before. An answer costs every tournament what it cost once.

    Args:
        judge: Answers.
    """

    def __init__(self, judge: Judge) -> None:
        """Nothing is asked yet."""
        self.judge, self.name = judge, judge.name
        self._preferences: dict[Hashable, Preference] = {}
        self._scores: dict[Hashable, Score] = {}
        self._rankings: dict[Hashable, Ranking] = {}

    def prefer_each(self, query: CandidateList, pairs: Sequence[Pair]) -> list[Preference]:
        """As the judge."""
        keys: list[Hashable] = [(_photo(query), _place(a), _place(b)) for a, b in pairs]
        return _remembered(self._preferences, keys, pairs, lambda new: self.judge.prefer_each(query, new))

    def score_each(self, query: CandidateList, candidates: Sequence[Candidate]) -> list[Score]:
        """As the judge."""
        keys: list[Hashable] = [(_photo(query), _place(one)) for one in candidates]
        return _remembered(self._scores, keys, candidates, lambda new: self.judge.score_each(query, new))

    def rank(self, query: CandidateList, candidates: Sequence[Candidate]) -> Ranking:
        """As the judge."""
        key = (_photo(query), *map(_place, candidates))
        return _remembered(self._rankings, [key], [candidates], lambda new: [self.judge.rank(query, new[0])])[0]


_Asked = TypeVar("_Asked")


def _remembered(
    memory: dict[Hashable, _Answer],
    keys: Sequence[Hashable],
    asked: Sequence[_Asked],
    ask: Callable[[list[_Asked]], list[_Answer]],
) -> list[_Answer]:
    new = {key: one for key, one in zip(keys, asked, strict=True) if key not in memory}
    if new:
        memory.update(zip(new, ask(list(new.values())), strict=True))
    return [memory[key] for key in keys]


def _photo(query: CandidateList) -> Hashable:
    """A photo is another question where its heading is known."""
    return str(query.query), query.heading, query.field_of_view


def _place(candidate: Candidate) -> Hashable:
    return candidate.cell if candidate.cell is not None else str(candidate.crop)
