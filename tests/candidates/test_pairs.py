import json
from pathlib import Path

import numpy as np
import pytest

from tiercel.candidates import (
    CandidateFile,
    candidates_of_pairs,
    mark_pairs,
    read_candidates,
    recall,
    write_candidates,
    write_paper,
)
from tiercel.datasets.pairs import PairQuery, PairSplit, Reference
from tiercel.errors import TiercelError


@pytest.fixture
def split(tmp_path) -> PairSplit:
    """Three photos and five tiles of Chicago, 0.001 degrees of latitude apart; the last tile says nothing of itself."""
    city = tmp_path.resolve() / "VIGOR" / "Chicago"
    places = [f"satellite_{41.87 + number / 1000:.3f}_-87.63.png" for number in range(4)]
    gallery = [
        Reference(name, city / "satellite" / name, 41.87 + number / 1000, -87.63, 70.0)
        for number, name in enumerate(places)
    ]
    gallery.append(Reference("bare.png", city / "satellite" / "bare.png"))
    panoramas = city / "panorama"
    queries = (
        PairQuery("a", panoramas / "a,41.8701,-87.63,.jpg", 41.8701, -87.63, 0.0, 360.0, True, 0, (1,)),
        PairQuery("b", panoramas / "b,41.8722,-87.63,.jpg", 41.8722, -87.63, None, 90.0, False, 2, (1, 3)),
        PairQuery("c", panoramas / "c.jpg", None, None, None, 360.0, True, 4),
    )
    return PairSplit("test", tuple(gallery), queries)


RANKING = np.array([[1, 0, 3], [2, 3, 0], [0, 1, 2]])
SCORES = np.array([[0.9, 0.8, 0.1], [0.7, 0.7, 0.2], [0.3, 0.2, 0.1]], np.float32)


def test_tiles_become_candidates(split) -> None:
    lists = candidates_of_pairs(split, RANKING, SCORES)
    assert [one.query for one in lists] == [query.file for query in split.queries]
    assert [[it.cell for it in one.candidates] for one in lists] == RANKING.tolist()
    assert [[it.crop for it in one.candidates] for one in lists] == [
        [split.gallery[tile].file for tile in row] for row in RANKING
    ]
    assert [[it.correct for it in one.candidates] for one in lists] == [
        [False, True, False], [True, False, False], [False, False, False],
    ]  # fmt: skip
    assert [[it.semi_positive for it in one.candidates] for one in lists] == [
        [True, False, False], [False, True, False], [False, False, False],
    ]  # fmt: skip
    assert [it.score for it in lists[1].candidates] == pytest.approx([0.7, 0.7, 0.2])
    assert [one.positive for one in lists] == [split.gallery[number].file for number in (0, 2, 4)]
    assert recall(lists, [1, 2, 3]) == {1: 1 / 3, 2: 2 / 3, 3: 2 / 3}


def test_coordinates_where_the_data_set_has_them(split) -> None:
    first, second, third = candidates_of_pairs(split, RANKING)
    metres = np.radians(1e-3) * 6_378_137.0
    assert [it.distance_m for it in first.candidates] == pytest.approx(metres * np.array([0.9, 0.1, 2.9]), rel=1e-4)
    assert (first.truth.latitude, first.truth.longitude) == (41.8701, -87.63) and first.candidates[0].crop_m == 70.0
    assert (second.heading, second.field_of_view, second.panorama) == (None, 90.0, False)
    assert third.truth is None and third.judged and {it.distance_m for it in third.candidates} == {None}
    assert {it.score for it in first.candidates} == {None}


@pytest.mark.parametrize(
    ("ranking", "scores"),
    [
        (RANKING[:2], SCORES[:2]),
        (RANKING, SCORES[:, :2]),
        (RANKING[0], None),
        (RANKING + 3, None),
        (RANKING - 1, None),
        (RANKING.astype(float), None),
        (np.ones((3, 2), int), None),
        (RANKING, SCORES[:, ::-1]),
    ],
)
def test_a_ranking_that_cannot_be(split, ranking, scores) -> None:
    with pytest.raises(ValueError):
        candidates_of_pairs(split, ranking, scores)


def bare(lists) -> list:
    """What is left of candidates in the paper's list."""
    return [(one.query, [it.crop for it in one.candidates]) for one in lists]


def test_the_papers_list_there_and_back(split, tmp_path) -> None:
    lists = candidates_of_pairs(split, RANKING)
    write_paper(tmp_path / "list.json", lists)
    read = read_candidates(tmp_path / "list.json")
    assert bare(read.lists) == bare(lists) and not any(one.judged for one in read.lists)
    assert list(mark_pairs(tmp_path / "list.json", split).lists) == lists


def test_json_lines_keep_their_scores_and_settings(split, tmp_path) -> None:
    lists = tuple(candidates_of_pairs(split, RANKING, SCORES.astype(float).round(6)))
    content = CandidateFile(lists, settings={"gallery": "VIGOR, cross-area"})
    write_candidates(tmp_path / "candidates.jsonl", content)
    assert mark_pairs(tmp_path / "candidates.jsonl", split) == content


def test_a_list_from_another_machine_and_of_the_other_folders(split, tmp_path) -> None:
    names = [split.gallery[tile].name for tile in (3, 2)]
    entry = {
        "query_path": f"/home/them/data/ground/Chicago/{split.queries[1].file.name}",
        "predictions": [f"/home/them/data/satellite/Chicago/{name}" for name in names],
    }
    (tmp_path / "list.json").write_text(json.dumps([entry]))
    (one,) = mark_pairs(tmp_path / "list.json", split).lists
    assert one.query == split.queries[1].file and [it.cell for it in one.candidates] == [3, 2]
    assert [(it.correct, it.semi_positive) for it in one.candidates] == [(False, True), (True, False)]


@pytest.mark.parametrize(
    ("query", "prediction", "sentence"),
    [
        ("Chicago/panorama/z.jpg", "Chicago/satellite/bare.png", r"list\.json, query 2: .*z\.jpg is no photo"),
        ("Chicago/panorama/c.jpg", "Chicago/satellite/z.png", r"list\.json, query 2: .*z\.png is no tile"),
    ],
)
def test_files_of_another_split_are_refused(split, tmp_path, query, prediction, sentence) -> None:
    first = {"query_path": str(split.queries[0].file), "predictions": [str(split.gallery[0].file)]}
    entries = [first, {"query_path": str(Path("/data") / query), "predictions": [str(Path("/data") / prediction)]}]
    (tmp_path / "list.json").write_text(json.dumps(entries))
    with pytest.raises(TiercelError, match=sentence):
        mark_pairs(tmp_path / "list.json", split)


def test_a_candidate_without_a_picture_is_no_tile(split, tmp_path) -> None:
    lines = [
        {"kind": "candidates", "version": 1, "queries": 1, "failed": 0, "settings": {}},
        {"query": str(split.queries[0].file), "candidates": [{"cell": 3}]},
    ]
    (tmp_path / "c.jsonl").write_text("\n".join(json.dumps(line) for line in lines))
    with pytest.raises(TiercelError, match="a candidate without a picture is no tile"):
        mark_pairs(tmp_path / "c.jsonl", split)
