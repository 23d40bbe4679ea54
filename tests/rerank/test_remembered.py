from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from tests.rerank.pictures import a_list
from tiercel.candidates import Candidate, CandidateList
from tiercel.rerank import Judge, Preference, Ranking, Score
from tiercel.rerank.judge import Cost, Pair
from tiercel.rerank.remembered import Remembered


class Counting(Judge):
    """Counts what it is asked."""

    def __init__(self) -> None:
        self.asked = 0

    def prefer_each(self, query: CandidateList, pairs: Sequence[Pair]) -> list[Preference]:
        self.asked += len(pairs)
        return [Preference(0.1 * float(str(a.cell)), cost=Cost(1, 1)) for a, _ in pairs]

    def score_each(self, query: CandidateList, candidates: Sequence[Candidate]) -> list[Score]:
        self.asked += len(candidates)
        return [Score(float(str(one.cell))) for one in candidates]

    def rank(self, query: CandidateList, candidates: Sequence[Candidate]) -> Ranking:
        self.asked += 1
        return Ranking(tuple(range(len(candidates))))


def test_nothing_is_asked_twice_and_every_answer_is_the_same(tmp_path: Path) -> None:
    one, judge = a_list(tmp_path), Counting()
    asked = Remembered(judge)
    a, b, c, _ = one.candidates
    first = asked.prefer_each(one, [(a, b), (b, a), (a, b)])
    assert judge.asked == 2 and first[0] is first[2]
    assert asked.prefer_each(one, [(a, b), (a, c)]) == [first[0], Preference(0.0, cost=Cost(1, 1))] and judge.asked == 3
    assert asked.score_each(one, [a, c, a]) == [Score(0.0), Score(2.0), Score(0.0)] and judge.asked == 5
    asked.rank(one, [a, b])
    asked.rank(one, [a, b])
    asked.rank(one, [b, a])
    assert judge.asked == 7


def test_a_photo_with_its_heading_told_is_another_question(tmp_path: Path) -> None:
    one, judge = a_list(tmp_path), Counting()
    asked = Remembered(judge)
    asked.prefer(one, *one.candidates[:2])
    asked.prefer(replace(one, heading=90.0), *one.candidates[:2])
    assert judge.asked == 2
