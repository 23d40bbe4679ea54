"""`tiercel rerank`, and `tiercel locate --rerank`, for real."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.cli import test_whole_path
from tests.cli.test_whole_path import invoke, locate
from tests.rerank import small_judge
from tests.rerank.pictures import a_list
from tiercel.candidates import CandidateFile, read_candidates, write_candidates, write_paper
from tiercel.rerank import reading

place = test_whole_path.place  # a fixture


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_judge.save(tmp_path_factory.mktemp("model") / "tiny")


@pytest.fixture(autouse=True)
def however_unsure(monkeypatch: pytest.MonkeyPatch) -> None:
    """A model that has learnt nothing thinks everything but a verdict as likely."""
    monkeypatch.setattr(reading, "LEAST_SHARE", 1e-9)


@pytest.fixture
def candidates(tmp_path: Path) -> Path:
    lists = [a_list(tmp_path / str(number), correct=number + 1) for number in range(3)]
    write_candidates(tmp_path / "candidates.jsonl", CandidateFile(tuple(lists), settings={"model": "x"}))
    return tmp_path / "candidates.jsonl"


def test_the_new_order_is_written_and_what_it_took_is_told(candidates: Path, tmp_path: Path) -> None:
    out = tmp_path / "out" / "reranked.jsonl"
    result = invoke("rerank", candidates, "-o", out, "--judge", "oracle")
    assert result.exit_code == 0, result.stderr
    content = read_candidates(out)
    assert [one.candidates[0].first_place for one in content.lists] == [2, 3, 4]
    assert content.settings["reranked"] == {"judge": "oracle", "tournament": "adaptive", "top": 10}
    assert "right first: 0.0% before, 100.0% after, of 3 photos" in result.stdout
    assert "0 of 12 answers unreadable" in result.stdout


def test_a_model_answers_once_and_then_from_the_cache(candidates: Path, tiny: Path, tmp_path: Path) -> None:
    def run(out: str) -> str:
        options = (
            "--judge",
            tiny,
            "--tournament",
            "paper",
            "--cache",
            tmp_path / "answers",
            "--sent",
            tmp_path / "sent",
        )
        result = invoke("rerank", candidates, "-o", tmp_path / out, *options, "--failed-share", "1")
        assert result.exit_code == 0, result.stderr
        return result.stdout

    first, second = run("first.jsonl"), run("second.jsonl")
    assert "18 calls (" in first and "(0 computed" not in first and "18 calls (0 computed" in second
    assert (tmp_path / "first.jsonl").read_bytes() == (tmp_path / "second.jsonl").read_bytes()
    assert len(list((tmp_path / "sent").glob("pairwise-*.png"))) >= 3


def test_the_published_hand_off_goes_in_and_out(candidates: Path, tmp_path: Path) -> None:
    write_paper(tmp_path / "handoff.json", read_candidates(candidates).lists)
    out = tmp_path / "new.json"
    result = invoke("rerank", tmp_path / "handoff.json", "-o", out, "--judge", "always_second", "--format", "paper",
                    "--tournament", "paper")  # fmt: skip
    assert result.exit_code == 0, result.stderr
    before, after = (json.loads(file.read_text()) for file in (tmp_path / "handoff.json", out))
    assert [one["query_path"] for one in after] == [one["query_path"] for one in before]
    assert after[0]["predictions"] != before[0]["predictions"]
    assert sorted(after[0]["predictions"]) == sorted(before[0]["predictions"])


def test_too_many_photos_without_a_second_look_are_a_failure(candidates: Path, tiny: Path, tmp_path: Path) -> None:
    content = read_candidates(candidates)
    first, *others = content.lists
    bad = replace(first, candidates=tuple(replace(one, crop=tmp_path / "gone.png") for one in first.candidates))
    write_candidates(candidates, replace(content, lists=(bad, *others)))
    asked = ("rerank", candidates, "-o", tmp_path / "out.jsonl", "--judge", "match", "--top", "2")
    result = invoke(*asked)
    assert result.exit_code == 2 and "1 photos kept the first stage's order" in result.stderr
    assert "gone.png cannot be read" in result.stdout and len(read_candidates(tmp_path / "out.jsonl").lists) == 3
    assert invoke(*asked, "--failed-share", "0.5").exit_code == 0


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--judge", "oracle", "--tournament", "duel"), "There is no tournament 'duel'"),
        (("--arm", "guess"), "guess.yaml does not exist"),
        (("--arm", "yes_no", "--tournament", "paper"), "does not go with yes_no"),
        (("--set", "colour=red"), "--set colour=red: give view.NAME=VALUE"),
        (("--judge", "oracle", "--set", "tournament.bugdet=3"), "no setting bugdet"),
        (("--judge", "m", "--url", "http://127.0.0.1:9", "--set", "backend.retries=0"), "127.0.0.1:9"),
    ],
)
def test_wrong_choices_are_named_and_nothing_is_written(
    options: tuple[str, ...], words: str, candidates: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = invoke("rerank", candidates, "-o", tmp_path / "out.jsonl", *options)
    assert result.exit_code == 2 and words in result.stderr, result.stderr
    assert not (tmp_path / "out.jsonl").exists()


def test_the_file_that_is_read_is_not_written_over(candidates: Path) -> None:
    result = invoke("rerank", candidates, "-o", candidates, "--judge", "oracle")
    assert result.exit_code == 2 and "give another name" in result.stderr


@pytest.mark.parametrize("source", ["retrieval", "zoom", "first", "final"])
def test_locating_with_a_second_look_shows_candidate_beside_candidate(
    source: str,
    place: Path,
    tiny: Path,
    tmp_path: Path,
) -> None:
    options = ("--map", place / "town.tif", "--rerank", "pairwise", "--judge", tiny, "--candidates", source)
    result = locate(place, place / "corner.jpg", *options, "--count", "3", "--json", "--out", tmp_path)
    assert result.exit_code == 0, result.stderr
    answer = json.loads(result.stdout)
    look = answer["second_look"]
    assert look["calls"] >= 2 and [one["rank"] for one in look["candidates"]] == [1, 2, 3][: len(look["candidates"])]
    assert answer["radius_50_m"] <= answer["radius_90_m"]
    winner = look["candidates"][0]
    assert (
        abs(winner["lat"] - answer["lat"]) < 4e-4 and abs(winner["lon"] - answer["lon"]) < 6e-4
    )  # its cell, and around
    picture = np.asarray(Image.open(tmp_path / "corner-second-look.png"))
    assert picture.shape[1] > 1000 and picture.std() > 10


def test_the_comparison_is_printed(place: Path, tmp_path: Path) -> None:
    options = ("--map", place / "town.tif", "--rerank", "pairwise", "--judge", "match", "--count", "2")
    result = locate(place, place / "corner.jpg", *options)
    assert result.exit_code == 0, result.stderr
    assert "second look" in result.stdout and "preferred in" in result.stdout and "match, adaptive" in result.stdout


def test_a_second_look_at_several_photos_together_is_refused(place: Path) -> None:
    result = locate(place, place / "corner.jpg", place / "corner.jpg", "--together", "--rerank", "pairwise")
    assert result.exit_code == 2 and "leave out --together" in result.stderr
