"""Every candidate against every other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from tiercel.errors import TiercelError
from tiercel.rerank.tournaments.bradley_terry import BradleyTerry, best_of, comparisons
from tiercel.rerank.tournaments.log_odds import best_first, log_odds_of
from tiercel.rerank.tournaments.orders import Orders, Referee, check_orders, questions_for
from tiercel.rerank.tournaments.outcome import Asked
from tiercel.rerank.tournaments.sheet import Sheet
from tiercel.rerank.tournaments.tournament import Tournament

Aggregation = Literal["wins", "log_odds", "bradley_terry"]
"""`wins` counts victories less defeats (Copeland 1951), `log_odds` adds up how clear they were, and `bradley_terry`
weighs them against the first stage's scores."""


@dataclass(frozen=True)
class AllPairs(Tournament):
    """Asks about all pairs at once: n(n - 1)/2 questions for n candidates, twice as many for both orders.

    A preference for a position cancels. With both orders the two answers about a pair are subtracted from each other;
    with random orders the preference is estimated together with the candidates' strengths. `bradley_terry` estimates it
    in either case. Random orders take one question more where the judge named the same position every time, see
    `Referee.nothing_seen`.

    Attributes:
        orders: In which order or orders a pair is shown.
        aggregation: How answers become an order. Ties go to the first stage.
        model: Of `bradley_terry`; the other aggregations take its temperature and its clip.
    """

    orders: Orders = "both"
    aggregation: Aggregation = "bradley_terry"
    model: BradleyTerry = field(default_factory=BradleyTerry)

    def __post_init__(self) -> None:
        """Checks the values."""
        check_orders(self.orders)
        if self.aggregation not in get_args(Aggregation):
            choices = ", ".join(get_args(Aggregation))
            raise TiercelError(f"There is no aggregation {self.aggregation!r}: choose from {choices}.")

    @property
    def name(self) -> str:
        """As `tournament` takes it."""
        return f"all_pairs-{self.orders}-{self.aggregation}"

    def questions(self, count: int) -> int:
        """The most questions that so many candidates take."""
        return questions_for(count * (count - 1) // 2, self.orders)

    def decide(self, sheet: Sheet) -> tuple[Sequence[int], float | None]:
        """Asks about all pairs and adds up."""
        referee = Referee(sheet, self.orders)
        referee.ask(list(combinations(range(sheet.count), 2)))
        referee.nothing_seen()
        if self.orders != "single" and says_nothing(sheet.readable):
            return range(sheet.count), None
        if self.aggregation == "bradley_terry":
            return self._bradley_terry(sheet)
        margins = self._margins(sheet)
        return best_first((np.sign(margins) if self.aggregation == "wins" else margins).sum(axis=1)), None

    def _bradley_terry(self, sheet: Sheet) -> tuple[Sequence[int], float]:
        prior = self.model.prior(sheet.query)
        strengths = self.model.fit(prior, sheet.readable, bias=self.orders != "single")
        order = best_first(strengths.candidates)
        return order, float(best_of(strengths.draws()).mean(axis=0)[order[0]])

    def _margins(self, sheet: Sheet) -> NDArray[np.float64]:
        """Log-odds that the row's candidate is better than the column's, (n, n), without preference for a position."""
        asked = sheet.readable
        values = log_odds_of(asked, self.model.temperature, self.model.clip)
        if self.orders == "random":
            values = values - position_bias(asked, values, sheet.count)
        total, answers = np.zeros((2, sheet.count, sheet.count))
        for one, value in zip(asked, values, strict=True):
            total[one.first, one.second] += value
            total[one.second, one.first] -= value
            answers[one.first, one.second] += 1
            answers[one.second, one.first] += 1
        # One answer of two would bring its preference for a position along.
        needed = 2 if self.orders == "both" else 1
        return np.where(answers >= needed, np.round(total, 9) / np.maximum(answers, 1), 0.0)


def says_nothing(asked: Sequence[Asked]) -> bool:
    """Whether every answer is the same number, whichever candidates were shown: a judge that looks at nothing."""
    return not asked or bool(np.ptp(log_odds_of(asked)) < 1e-9)


def position_bias(asked: Sequence[Asked], values: NDArray[np.float64], count: int) -> float:
    """The b of value = s_first - s_second + b, by least squares over strengths and b together, log-odds."""
    return float(np.linalg.lstsq(comparisons(asked, count), values, rcond=None)[0][-1])
