"""What a judge is, and what it answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tiercel.candidates.lists import Candidate, CandidateList

Pair = tuple[Candidate, Candidate]
"""Two candidates in the order in which the judge is shown them."""


@dataclass(frozen=True)
class Cost:
    """What an answer took.

    Attributes:
        calls: Questions put to a model, each counted whether it was computed or found in the cache.
        computed: How many of them were computed.
        tokens_in: Tokens of the questions, pictures included, as far as the backend says.
        tokens_out: Tokens of the answers.
        seconds: Time the computed ones took.
    """

    calls: int = 0
    computed: int = 0
    tokens_in: int = 0
    tokens_out: int = 0
    seconds: float = 0.0

    def __add__(self, other: Cost) -> Cost:
        """Both together."""
        return Cost(
            self.calls + other.calls,
            self.computed + other.computed,
            self.tokens_in + other.tokens_in,
            self.tokens_out + other.tokens_out,
            self.seconds + other.seconds,
        )


@dataclass(frozen=True)
class Preference:
    """The answer to "which of two?".

    Attributes:
        probability: That the first shown is the better match, 0 to 1; None if the answer is unreadable.
        trouble: Why it is unreadable, in one sentence; empty if it is not.
        reason: What the judge gave as its reason; empty if it gave none.
        cost: What it took.
    """

    probability: float | None
    trouble: str = ""
    reason: str = ""
    cost: Cost = Cost()


@dataclass(frozen=True)
class Score:
    """The answer to "how well does this one match?".

    Attributes:
        value: 0 to 100; None if the answer is unreadable.
        trouble: As in `Preference`.
        reason: Likewise.
        cost: Likewise.
    """

    value: float | None
    trouble: str = ""
    reason: str = ""
    cost: Cost = Cost()


@dataclass(frozen=True)
class Ranking:
    """The answer to "in which order?".

    Attributes:
        order: Indices of the candidates as they were shown, best first, each once; None if the answer is unreadable.
        trouble: As in `Preference`.
        reason: Likewise.
        cost: Likewise.
    """

    order: tuple[int, ...] | None
    trouble: str = ""
    reason: str = ""
    cost: Cost = Cost()


class Judge:
    """Compares candidates with a photo. A judge overrides the plural method of whatever it is able to answer.

    Questions about one photo come together, so that a model encodes it once and answers in batches. Answers depend on
    the question alone, never on what was asked before. A judge without an answer says so in `trouble`; it raises only
    where no question to it can be answered, as when its model is not there.

    Attributes:
        name: In result rows and for people.
    """

    name = "judge"

    @property
    def note(self) -> str:
        """What a user should know before it is asked, in a sentence; empty for nothing."""
        return ""

    def prefer_each(self, query: CandidateList, pairs: Sequence[Pair]) -> list[Preference]:
        """How likely is the first of each pair the better match?

        Args:
            query: The photo, with all its candidates.
            pairs: In the order in which they are shown.
        """
        raise NotImplementedError(f"{self.name} compares no pairs")

    def score_each(self, query: CandidateList, candidates: Sequence[Candidate]) -> list[Score]:
        """How well does each candidate match?"""
        raise NotImplementedError(f"{self.name} gives no scores")

    def rank(self, query: CandidateList, candidates: Sequence[Candidate]) -> Ranking:
        """In which order do the candidates match?"""
        raise NotImplementedError(f"{self.name} gives no rankings")

    def prefer(self, query: CandidateList, a: Candidate, b: Candidate) -> Preference:
        """How likely is `a`, shown first, a better match than `b`?"""
        return self.prefer_each(query, [(a, b)])[0]

    def score(self, query: CandidateList, candidate: Candidate) -> Score:
        """How well does one candidate match?"""
        return self.score_each(query, [candidate])[0]
