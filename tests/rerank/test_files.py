from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from tests.rerank.pictures import a_list
from tiercel.candidates import CandidateFile, CandidateList, read_candidates, write_candidates
from tiercel.rerank import Judge, Preference
from tiercel.rerank.controls import AlwaysFirst, Oracle
from tiercel.rerank.files import Tally, reordered, rerank
from tiercel.rerank.judge import Pair
from tiercel.rerank.tournaments import Outcome, tournament


class Unsure(Judge):
    """Has no readable answer about one photo."""

    def prefer_each(self, query: CandidateList, pairs: Sequence[Pair]) -> list[Preference]:
        bad = query.query.parent.name == "bad"
        return [Preference(None, "it said maybe") if bad else Preference(float(bool(a.correct))) for a, b in pairs]


def test_the_right_one_comes_first_and_its_place_before_is_kept(tmp_path: Path) -> None:
    one = a_list(tmp_path, correct=2)
    ((_, outcome),) = rerank([one], Oracle(), tournament("all_pairs-both-wins"))
    after = reordered(one, outcome)
    assert [it.first_place for it in after.candidates] == [3, 1, 2, 4]
    assert after.candidates[0].correct and all(it.score is None for it in after.candidates)


def test_an_order_that_stays_keeps_its_scores(tmp_path: Path) -> None:
    one = a_list(tmp_path)
    after = reordered(one, Outcome((0, 1, 2, 3)))
    assert [it.score for it in after.candidates] == [it.score for it in one.candidates]


def test_candidates_that_were_not_judged_stay_behind(tmp_path: Path) -> None:
    one = a_list(tmp_path, correct=1)
    ((_, outcome),) = rerank([one], Oracle(), tournament("all_pairs-both-wins"), most=2)
    assert [it.first_place for it in reordered(one, outcome).candidates] == [2, 1, 3, 4]


def test_a_new_order_is_written_and_read_back(tmp_path: Path) -> None:
    one = a_list(tmp_path, correct=3)
    ((_, outcome),) = rerank([one], Oracle(), tournament("all_pairs-both-wins"))
    after = reordered(one, outcome)
    write_candidates(tmp_path / "after.jsonl", CandidateFile((after,)))
    assert read_candidates(tmp_path / "after.jsonl").lists[0].candidates == after.candidates


def test_one_bad_photo_does_not_stop_the_others_and_is_counted(tmp_path: Path) -> None:
    lists = [a_list(tmp_path / name, correct=2) for name in ("good", "bad", "fine")]
    tally = Tally()
    for one, outcome in rerank(lists, Unsure(), tournament("all_pairs-both-wins")):
        tally.add(one, outcome)
    assert (tally.photos, tally.failed, tally.unreadable, tally.after) == (3, 1, 12, 2)
    assert tally.troubles == {"it said maybe": 12}
    assert any("12 times: it said maybe" in line for line in tally.lines())


@pytest.mark.parametrize("name", ["all_pairs-both-wins", "knockout-both", "adaptive"])
def test_a_judge_that_looks_at_nothing_is_told(name: str, tmp_path: Path) -> None:
    tally = Tally()
    for one, outcome in rerank([a_list(tmp_path / str(n)) for n in range(3)], AlwaysFirst(), tournament(name)):
        tally.add(one, outcome)
        assert outcome.order == (0, 1, 2, 3)
    assert tally.constant == "first"
    assert any("named what was shown first every time" in line for line in tally.lines())


def test_lists_whose_place_is_not_known_are_not_scored(tmp_path: Path) -> None:
    one = a_list(tmp_path)
    unknown = replace(one, candidates=tuple(replace(it, correct=None) for it in one.candidates))
    tally = Tally()
    for each, outcome in rerank([unknown], AlwaysFirst(), tournament("paper")):
        tally.add(each, outcome)
    assert tally.known == 0 and not any("right first" in line for line in tally.lines())
