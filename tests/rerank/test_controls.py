from pathlib import Path

import numpy as np
import pytest

from tiercel.candidates.lists import Candidate, CandidateList
from tiercel.errors import TiercelError
from tiercel.rerank.controls import AlwaysFirst, AlwaysSecond, EmbeddingJudge, Oracle, RandomJudge, StageJudge


def listed(*candidates: Candidate, name: str = "a.jpg") -> CandidateList:
    return CandidateList(Path(name), candidates)


TWO = listed(Candidate(cell=0, score=2.0), Candidate(cell=1, score=1.0), Candidate(cell=2))
A, B, UNKNOWN = TWO.candidates


def test_the_constant_judges_name_positions() -> None:
    assert AlwaysFirst().prefer(TWO, A, B).probability == AlwaysFirst().prefer(TWO, B, A).probability == 1.0
    assert AlwaysSecond().prefer(TWO, A, B).probability == AlwaysSecond().prefer(TWO, B, A).probability == 0.0
    assert AlwaysFirst().rank(TWO, (B, A)).order == (0, 1)
    assert AlwaysSecond().rank(TWO, (A, B, UNKNOWN)).order == (2, 1, 0)


def test_chance_hangs_on_the_question_alone() -> None:
    judge = RandomJudge(3)
    together = judge.prefer_each(TWO, [(A, B), (B, A), (A, UNKNOWN)])
    alone = [judge.prefer(TWO, *pair) for pair in [(A, B), (B, A), (A, UNKNOWN)]]
    assert together == alone == RandomJudge(3).prefer_each(TWO, [(A, B), (B, A), (A, UNKNOWN)])
    assert len({one.probability for one in together}) == 3
    assert judge.score(TWO, A) == RandomJudge(3).score_each(TWO, [B, A])[1]


def test_chance_differs_by_seed_and_photo_and_is_even() -> None:
    photos = [listed(*TWO.candidates, name=f"{number}.jpg") for number in range(400)]
    answers = [RandomJudge().prefer(one, A, B).probability for one in photos]
    assert np.mean(answers) == pytest.approx(0.5, abs=0.05)
    assert RandomJudge(1).prefer(TWO, A, B) != RandomJudge(2).prefer(TWO, A, B)
    assert {RandomJudge().rank(one, TWO.candidates).order for one in photos} > {(0, 1, 2), (2, 1, 0)}


def test_the_oracle_prefers_the_right_one_and_neither_of_two_alike() -> None:
    right, wrong, near, far = (
        Candidate(correct=True), Candidate(correct=False), Candidate(distance_m=49.0), Candidate(distance_m=51.0),
    )  # fmt: skip
    query = listed(wrong, right, near, far, Candidate())
    pairs = [(right, wrong), (wrong, right), (wrong, far), (right, near), (near, far)]
    assert [one.probability for one in Oracle().prefer_each(query, pairs)] == [1.0, 0.0, 0.5, 0.5, 1.0]
    assert [one.value for one in Oracle().score_each(query, query.candidates)] == [0.0, 100.0, 100.0, 0.0, None]
    assert Oracle().rank(query, query.candidates[:4]).order == (1, 2, 0, 3)


def test_where_the_truth_is_not_known_the_oracle_is_unreadable() -> None:
    answer = Oracle().prefer(TWO, A, B)
    assert answer.probability is None and "not known" in answer.trouble
    assert Oracle().rank(TWO, TWO.candidates).order is None


def test_the_first_stage_judges_by_its_scores() -> None:
    judge = StageJudge(temperature=2.0)
    assert judge.prefer(TWO, A, B).probability == pytest.approx(1 / (1 + np.exp(-0.5)))
    assert judge.prefer(TWO, A, UNKNOWN).probability is None
    assert [one.value for one in judge.score_each(TWO, TWO.candidates)] == [100.0, 0.0, None]
    assert judge.rank(TWO, (B, A)).order == (1, 0)
    assert StageJudge(0.0).prefer(TWO, B, A).probability == 0.0
    alike = listed(Candidate(score=1.0), Candidate(score=1.0))
    assert [one.value for one in judge.score_each(alike, alike.candidates)] == [50.0, 50.0]


def test_embeddings_are_asked_for_once_a_batch_and_compared_by_cosine() -> None:
    asked = []

    def cosines(query, candidates):
        asked.append([one.cell for one in candidates])
        return [{0: 0.2, 1: 0.5, 2: np.nan}[one.cell] for one in candidates]

    judge = EmbeddingJudge(cosines, temperature=0.1, name="dino")
    answers = judge.prefer_each(TWO, [(A, B), (B, A), (A, UNKNOWN)])
    assert asked == [[0, 1, 2]]
    assert answers[0].probability == pytest.approx(1 / (1 + np.exp(3.0)))
    assert answers[0].probability + answers[1].probability == pytest.approx(1.0)
    assert answers[2].probability is None and "no similarity" in answers[2].trouble
    assert judge.score(TWO, B).value == pytest.approx(75.0)
    assert judge.name == "dino"


def test_wrong_similarities_and_temperatures_are_refused() -> None:
    with pytest.raises(TiercelError, match=r"similarities of clip have the shape \(1, 2\).* each of the 2"):
        EmbeddingJudge(lambda query, candidates: np.zeros((1, 2)), name="clip").prefer(TWO, A, B)
    with pytest.raises(TiercelError, match="temperature -1"):
        StageJudge(-1)
