from pathlib import Path

import pytest

from tiercel.candidates import Candidate, CandidateList, recall
from tiercel.photos import Position

TRUTH = Position(46.9, 15.0, "photos.csv")


def ranked(*correct: bool | None, **known: object) -> CandidateList:
    return CandidateList(Path("a.jpg"), tuple(Candidate(correct=one) for one in correct), **known)


def test_recall_by_hand() -> None:
    lists = [
        ranked(True, False, False, truth=TRUTH),
        ranked(False, False, True, truth=TRUTH),
        ranked(False, True, True, truth=TRUTH),  # two right ones count once
        ranked(False, False, False, truth=TRUTH),
        ranked(None, None),  # nobody knows
        CandidateList(Path("b.jpg"), failed="b.jpg is empty."),
    ]
    assert recall(lists, [1, 2, 3, 50]) == {1: 0.25, 2: 0.5, 3: 0.75, 50: 0.75}


def test_a_list_without_candidates_misses_if_the_truth_is_known() -> None:
    assert recall([ranked(True), CandidateList(Path("b.jpg"), positive=Path("tile.png"))], [1]) == {1: 0.5}


@pytest.mark.parametrize("lists", [[], [ranked(None)], [CandidateList(Path("b.jpg"), truth=TRUTH, failed="Empty.")]])
def test_where_nothing_is_known_there_is_no_recall(lists) -> None:
    assert recall(lists, [1, 5]) == {}
