"""Judges that look at no picture. What a model adds is what it does better than these."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tiercel.candidates.lists import CORRECT_M, Candidate, CandidateList
from tiercel.errors import TiercelError
from tiercel.rerank.judge import Judge, Pair, Preference, Ranking, Score
from tiercel.rerank.seeds import seed_of

Similarities = Callable[[CandidateList, Sequence[Candidate]], ArrayLike]
"""Of a photo to each of some candidates: (n,) cosines; not a number where there is none."""


class AlwaysFirst(Judge):
    """Names what is shown first, and ranks candidates as they are shown. Scores nothing: a score has no position."""

    name = "always_first"

    def prefer_each(self, query: CandidateList, pairs: Sequence[Pair]) -> list[Preference]:
        """The first of each."""
        return [Preference(1.0) for _ in pairs]

    def rank(self, query: CandidateList, candidates: Sequence[Candidate]) -> Ranking:
        """As they are shown."""
        return Ranking(tuple(range(len(candidates))))


class AlwaysSecond(Judge):
    """Names what is shown second, and ranks candidates in the reverse of the order shown. Scores nothing."""

    name = "always_second"

    def prefer_each(self, query: CandidateList, pairs: Sequence[Pair]) -> list[Preference]:
        """The second of each."""
        return [Preference(0.0) for _ in pairs]

    def rank(self, query: CandidateList, candidates: Sequence[Candidate]) -> Ranking:
        """The last shown first."""
        return Ranking(tuple(reversed(range(len(candidates)))))


class RandomJudge(Judge):
    """Answers by chance that hangs on the question alone: the photo's path, the candidates' places and their order.

    Attributes:
        seed: Another seed answers otherwise.
    """

    name = "random"

    def __init__(self, seed: int = 0) -> None:
        """One of many."""
        self.seed = seed

    def prefer_each(self, query: CandidateList, pairs: Sequence[Pair]) -> list[Preference]:
        """Probabilities from 0 to 1, all alike likely; the same pair in the other order is another question."""
        return [Preference(float(self._chance(query, pair).random())) for pair in pairs]

    def score_each(self, query: CandidateList, candidates: Sequence[Candidate]) -> list[Score]:
        """Scores from 0 to 100, all alike likely."""
        return [Score(100.0 * float(self._chance(query, [one]).random())) for one in candidates]

    def rank(self, query: CandidateList, candidates: Sequence[Candidate]) -> Ranking:
        """Any order."""
        return Ranking(tuple(self._chance(query, candidates).permutation(len(candidates)).tolist()))

    def _chance(self, query: CandidateList, shown: Sequence[Candidate]) -> np.random.Generator:
        places = [query.candidates.index(one) for one in shown]
        return np.random.default_rng(seed_of(query, self.seed, *places))


class ValueJudge(Judge):
    """Knows a value for each candidate, and prefers the higher one. Without a value the answer is unreadable.

    Attributes:
        temperature: The log-odds of an answer are the difference of the values, divided by it; at 0 the better one is
            certain.
    """

    no_value = "The candidate has no value."

    def __init__(self, temperature: float = 1.0) -> None:
        """Checks the temperature."""
        if not temperature >= 0:
            raise TiercelError(f"The judge {self.name} has the temperature {temperature}: give 0 or more.")
        self.temperature = temperature

    def values(self, query: CandidateList, candidates: Sequence[Candidate]) -> NDArray[np.float64]:
        """(n,) the higher the better; not a number where there is none."""
        raise NotImplementedError

    def points(self, query: CandidateList, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Values as scores from 0 to 100."""
        raise NotImplementedError

    def prefer_each(self, query: CandidateList, pairs: Sequence[Pair]) -> list[Preference]:
        """The better one, the more certain the further they are apart; neither if they are equal."""
        place = {id(one): one for pair in pairs for one in pair}
        value = dict(zip(place, self.values(query, list(place.values())), strict=True))
        return [self._prefer(value[id(a)], value[id(b)]) for a, b in pairs]

    def score_each(self, query: CandidateList, candidates: Sequence[Candidate]) -> list[Score]:
        """Each one's value, as points."""
        points = self.points(query, self.values(query, candidates))
        return [Score(float(one)) if np.isfinite(one) else Score(None, self.no_value) for one in points]

    def rank(self, query: CandidateList, candidates: Sequence[Candidate]) -> Ranking:
        """By falling value; equal ones as they are shown."""
        values = self.values(query, candidates)
        if not np.isfinite(values).all():
            return Ranking(None, self.no_value)
        return Ranking(tuple(np.argsort(-values, kind="stable").tolist()))

    def _prefer(self, a: float, b: float) -> Preference:
        if not (np.isfinite(a) and np.isfinite(b)):
            return Preference(None, self.no_value)
        if self.temperature == 0:
            return Preference(float(0.5 + 0.5 * np.sign(a - b)))
        return Preference(float(0.5 + 0.5 * np.tanh(0.5 * (a - b) / self.temperature)))


class Oracle(ValueJudge):
    """Knows which candidates are right: the ceiling. Between two right ones, or two wrong ones, it prefers neither.

    Where a candidate is not marked, its distance tells; where that is not known either, the answer is unreadable.
    """

    name = "oracle"
    no_value = "It is not known whether the candidate is right."

    def __init__(self) -> None:
        """Always certain."""
        super().__init__(temperature=0.0)

    def values(self, query: CandidateList, candidates: Sequence[Candidate]) -> NDArray[np.float64]:
        """1 for right, 0 for wrong."""
        return np.array([_right(one) for one in candidates], np.float64)

    def points(self, query: CandidateList, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """100 for right, 0 for wrong."""
        return 100.0 * values


class StageJudge(ValueJudge):
    """Judges by the first stage's own scores: whatever is asked, nothing new is learned."""

    name = "first_stage"
    no_value = "The first stage gave the candidate no score."

    def values(self, query: CandidateList, candidates: Sequence[Candidate]) -> NDArray[np.float64]:
        """The scores."""
        return np.array([np.nan if one.score is None else one.score for one in candidates], np.float64)

    def points(self, query: CandidateList, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """100 for the best score in the list, 0 for the worst."""
        every = self.values(query, query.candidates)
        known = every[np.isfinite(every)]
        if not len(known) or known.min() == known.max():
            return values * 0.0 + 50.0
        return np.asarray(100.0 * (values - known.min()) / (known.max() - known.min()))


class EmbeddingJudge(ValueJudge):
    """Compares by the similarity of embeddings, whichever encoder they are from.

    Attributes:
        similarities: Says how similar the photo and each of some candidates are.
    """

    name = "embedding"
    no_value = "The encoder gave the candidate no similarity."

    def __init__(self, similarities: Similarities, temperature: float = 0.1, name: str = "embedding") -> None:
        """A judge for one encoder.

        Args:
            similarities: Called with the photo, with all its candidates, and with those in question.
            temperature: See `ValueJudge`. Cosines differ by little, so it is well below 1.
            name: Of the encoder, for people.
        """
        super().__init__(temperature)
        self.similarities = similarities
        self.name = name

    def values(self, query: CandidateList, candidates: Sequence[Candidate]) -> NDArray[np.float64]:
        """The cosines."""
        values = np.asarray(self.similarities(query, candidates), np.float64)
        if values.shape != (len(candidates),):
            raise TiercelError(
                f"The similarities of {self.name} have the shape {values.shape}: "
                f"give one number for each of the {len(candidates)} candidates."
            )
        return values

    def points(self, query: CandidateList, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """A cosine of 1 is 100, one of -1 is 0."""
        return np.asarray(np.clip(50.0 * (1.0 + values), 0.0, 100.0))


def _right(candidate: Candidate) -> float:
    """1 for right, 0 for wrong, not a number where it is not known."""
    if candidate.correct is not None:
        return float(candidate.correct)
    return float("nan") if candidate.distance_m is None else float(candidate.distance_m <= CORRECT_M)
