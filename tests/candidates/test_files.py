import dataclasses
import json
import shutil
from pathlib import Path

import pytest

from tiercel.candidates import (
    Candidate,
    CandidateFile,
    CandidateList,
    files,
    read_candidates,
    write_candidates,
    write_paper,
)
from tiercel.errors import TiercelError
from tiercel.photos import Position

HEADER = {"kind": "candidates", "version": 1, "queries": 1, "failed": 0, "settings": {}}
QUERY = {"query": "a.jpg", "candidates": [{"cell": [3, 1, 2], "score": -0.5}]}


def content(folder: Path) -> CandidateFile:
    place = {"x": 500_123.456, "y": 5_200_001.5, "latitude": 46.95, "longitude": 15.001, "side_m": 31.25}
    cell = Candidate(
        (3, 12, 40),
        -0.25,
        folder / "crops" / "3-12-40.jpg",
        93.75,
        distance_m=12.5,
        correct=True,
        first_place=2,
        **place,
    )
    tile = Candidate(17, -3.5, correct=False, semi_positive=True)
    known = CandidateList(
        folder / "photos" / "Straße\u2028 1.jpg",
        (cell, tile),
        Position(46.9501, 15.0009, "EXIF GPS"),
        None,
        False,
        70.0,
        0.0,
    )
    pair = CandidateList(folder.parent / "far.jpg", (), positive=folder / "tile.png", panorama=True)
    failed = CandidateList(folder / "photos" / "bad.jpg", failed="bad.jpg is empty.")
    return CandidateFile((known, pair), (failed,), {"count": 20, "within": None})


def test_what_is_written_is_read_back(tmp_path) -> None:
    folder = tmp_path.resolve() / "here"
    folder.mkdir()
    write_candidates(folder / "candidates.jsonl", content(folder))
    assert read_candidates(folder / "candidates.jsonl", partial=True) == content(folder)
    assert [path.name for path in folder.iterdir()] == ["candidates.jsonl"]


def test_the_folder_can_be_moved(tmp_path) -> None:
    before, after = tmp_path.resolve() / "here", tmp_path.resolve() / "there"
    before.mkdir()
    write_candidates(before / "candidates.jsonl", content(before))
    shutil.move(before, after)
    assert read_candidates(after / "candidates.jsonl", partial=True) == content(after)


def test_every_field_is_specified_and_written(tmp_path) -> None:
    write_candidates(tmp_path / "candidates.jsonl", content(tmp_path))
    lines = [json.loads(line) for line in (tmp_path / "candidates.jsonl").read_text("utf-8").split("\n")[:-1]]
    assert list(lines[0]) == list(HEADER)
    names = set().union(*lines, *lines[1]["candidates"])
    expected = {field.name for kind in (Candidate, CandidateList) for field in dataclasses.fields(kind)} | set(HEADER)
    assert names == expected
    assert all(f"`{name}`" in files.__doc__ for name in expected)
    assert lines[1]["query"] == "photos/Straße\u2028 1.jpg" and lines[2]["query"] == "../far.jpg"
    assert lines[3] == {"query": "photos/bad.jpg", "failed": "bad.jpg is empty."}
    assert set(lines[1]["candidates"][1]) == {"cell", "score", "correct", "semi_positive"}


def test_failed_photos_are_not_passed_over_in_silence(tmp_path) -> None:
    write_candidates(tmp_path / "candidates.jsonl", content(tmp_path))
    with pytest.raises(TiercelError, match=r"candidates\.jsonl lacks candidates for 1 of its 3 queries.*bad\.jpg"):
        read_candidates(tmp_path / "candidates.jsonl")


def test_the_papers_list(tmp_path) -> None:
    folder = tmp_path.resolve()
    crops = tuple(Candidate(score=-rank, crop=folder / "crops" / f"{rank}.jpg") for rank in range(3))
    lists = [CandidateList(folder / "a.jpg", crops), CandidateList(folder / "b.jpg")]
    write_paper(folder / "list.json", lists)
    assert json.loads((folder / "list.json").read_text()) == [
        {"query_path": "a.jpg", "predictions": ["crops/0.jpg", "crops/1.jpg", "crops/2.jpg"]},
        {"query_path": "b.jpg", "predictions": []},
    ]
    back = read_candidates(folder / "list.json")
    assert [one.query for one in back.lists] == [folder / "a.jpg", folder / "b.jpg"]
    assert [it.crop for it in back.lists[0].candidates] == [it.crop for it in crops]
    assert back.failed == () and back.settings == {}


@pytest.mark.parametrize(
    ("one", "lack"),
    [
        (CandidateList(Path("b.jpg"), (Candidate(score=1.0),)), "b.jpg has candidates without crops"),
        (CandidateList(Path("b.jpg"), failed="Empty."), "b.jpg has no candidates"),
        (CandidateList(Path("a.jpg")), "names the query a.jpg a second time"),
    ],
)
def test_the_papers_list_is_whole_or_not_there(tmp_path, one, lack) -> None:
    (tmp_path / "list.json").write_text("[]")
    with pytest.raises(TiercelError, match=lack):
        write_paper(tmp_path / "list.json", [CandidateList(Path("a.jpg")), one])
    assert (tmp_path / "list.json").read_text() == "[]" and len(list(tmp_path.iterdir())) == 1


def test_a_query_is_not_written_twice(tmp_path) -> None:
    twice = CandidateList(tmp_path / "a.jpg"), CandidateList(tmp_path / "." / "a.jpg", failed="Empty.")
    with pytest.raises(TiercelError, match=r"names the query .*a\.jpg a second time"):
        write_candidates(tmp_path / "candidates.jsonl", CandidateFile(twice[:1], twice[1:]))
    assert list(tmp_path.iterdir()) == []


def lines(*entries: object) -> str:
    return "".join((one if isinstance(one, str) else json.dumps(one)) + "\n" for one in entries)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "line 1: this is no header"),
        ("image,latitude\na.jpg,3\n", "line 1: this is no header"),
        (lines(QUERY), "line 1: this is no header"),
        (lines(HEADER | {"version": 2}, QUERY), "line 1: it is of version 2, and this tiercel reads 1: upgrade"),
        (lines(HEADER | {"queries": "one"}, QUERY), "line 1: the header lacks"),
        (lines(HEADER, QUERY, QUERY), r"line 3 names the query .*a\.jpg a second time"),
        (lines(HEADER | {"queries": 5}, QUERY), "holds 1 of the 5 queries that its first line speaks of"),
        (lines(HEADER, "", '{"query": "b.j'), "line 3: "),
        (lines(HEADER, "[1, 2]"), "line 2: "),
        (lines(HEADER, {"candidates": []}), "line 2: query: "),
        (lines(HEADER, QUERY | {"candidates": [{"score": "high"}]}), "line 2: candidates.0.score: "),
        (lines(HEADER, QUERY | {"candidates": [{"cell": [3, 1]}]}), "line 2: candidates.0.cell"),
        (lines(HEADER, QUERY | {"truth": [46.9, 15.0]}), "line 2: truth"),
        (lines(HEADER, '{"query": "a.jpg", "candidates": [{"score": NaN}]}'), "line 2: NaN is no number"),
        (lines(HEADER, QUERY | {"candidates": [{"score": 1}, {"score": 2}]}), "line 2: candidates: .* order of score"),
        ('[\n {"query_path": "a.jpg"\n', "line 3: this is no JSON"),
        ('[{"query_path": "a.jpg", "predictions": ["b.png"]}, {"query_path": "c.jpg"}]', "entry 2: this is not"),
        ('[{"query_path": "a.jpg", "predictions": "b.png"}]', "entry 1: this is not"),
        ('[{"query_path": "a.jpg", "predictions": [3]}]', "entry 1: this is not"),
        ('["a.jpg"]', "entry 1: this is not"),
        (
            '[{"query_path": "a", "predictions": []}, {"query_path": "./a", "predictions": []}]',
            "entry 2 names the query",
        ),
    ],
)
def test_a_malformed_file_is_one_sentence_with_its_line(tmp_path, text, sentence) -> None:
    (tmp_path / "some.jsonl").write_text(text, encoding="utf-8")
    with pytest.raises(TiercelError, match=sentence) as raised:
        read_candidates(tmp_path / "some.jsonl")
    assert str(raised.value).startswith(str(tmp_path / "some.jsonl")) and "\n" not in str(raised.value)


def test_fields_of_a_later_version_are_passed_over(tmp_path) -> None:
    later = QUERY | {"weather": "rain", "candidates": [{"cell": [3, 1, 2], "score": -0.5, "height": 3}]}
    (tmp_path / "some.jsonl").write_text(lines(HEADER | {"by": "someone"}, later))
    assert read_candidates(tmp_path / "some.jsonl").lists[0].candidates == (Candidate((3, 1, 2), -0.5),)


@pytest.mark.parametrize("name", ["nowhere.jsonl", "photo.jpg"])
def test_a_file_that_is_not_there_or_no_text(tmp_path, name) -> None:
    (tmp_path / "photo.jpg").write_bytes(b"\xff\xd8\xff\xe0")
    with pytest.raises(TiercelError, match=name):
        read_candidates(tmp_path / name)


def test_links_to_photos_keep_their_names_and_links_to_folders_do_not(tmp_path) -> None:
    real = tmp_path.resolve() / "real"
    (real / "deep").mkdir(parents=True)
    (real / "1.jpg").write_text("")
    (real / "first.jpg").symlink_to(real / "1.jpg")
    (tmp_path / "link").symlink_to(real / "deep")
    query = tmp_path / "link" / ".." / "first.jpg"  # the folder above the one that the link leads to
    write_candidates(tmp_path / "link" / "c.jsonl", CandidateFile((CandidateList(query),)))
    assert json.loads((real / "deep" / "c.jsonl").read_text().split("\n")[1])["query"] == "../first.jpg"
    assert read_candidates(tmp_path / "link" / "c.jsonl").lists[0].query == real / "first.jpg"
