"""Made-up photos, candidates and judges."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from tiercel.candidates.lists import Candidate, CandidateList
from tiercel.rerank.judge import Cost, Judge, Preference, Ranking, Score
from tiercel.rerank.seeds import seed_of


def photo(count: int, scores: Sequence[float | None] | None = None, name: str = "a.jpg") -> CandidateList:
    """A photo and candidates numbered from the best of the first stage on."""
    scores = [None] * count if scores is None else scores
    return CandidateList(Path(name), tuple(Candidate(cell=i, score=scores[i]) for i in range(count)))


class Fixed(Judge):
    """Answers as a function of two cells says; None is unreadable."""

    def __init__(self, answer: Callable[[int, int], float | None]) -> None:
        self.answer = answer
        self.batches: list[int] = []

    def prefer_each(self, query, pairs) -> list[Preference]:
        self.batches.append(len(pairs))
        return [Preference(self.answer(a.cell, b.cell), "Mumbles.", cost=Cost(1, 1, 10, 2, 0.5)) for a, b in pairs]


class Perfect(Judge):
    """Knows the one right order of the candidates, and is certain of it."""

    def __init__(self, order: Sequence[int]) -> None:
        self.place = {cell: place for place, cell in enumerate(order)}

    def prefer_each(self, query, pairs) -> list[Preference]:
        return [Preference(float(self.place[a.cell] < self.place[b.cell])) for a, b in pairs]

    def score_each(self, query, candidates) -> list[Score]:
        return [Score(100.0 - self.place[one.cell]) for one in candidates]

    def rank(self, query, candidates) -> Ranking:
        return Ranking(tuple(int(one) for one in np.argsort([self.place[one.cell] for one in candidates])))


class Noisy(Judge):
    """Says of two candidates how much better the first is, give or take noise and a preference for the first."""

    def __init__(self, strengths: Sequence[float], bias: float = 0.0, noise: float = 0.0) -> None:
        self.strengths, self.bias, self.noise = strengths, bias, noise

    def prefer_each(self, query, pairs) -> list[Preference]:
        return [Preference(self.probability(query, a.cell, b.cell)) for a, b in pairs]

    def probability(self, query, a: int, b: int) -> float:
        noise = self.noise * np.random.default_rng(seed_of(query, a, b)).logistic()
        return float(1 / (1 + np.exp(-(self.strengths[a] - self.strengths[b] + self.bias + noise))))
