"""Answers in metres and degrees, measured on a tiny map with photos that are planted in it."""

import numpy as np
import pytest

from tests.search.town import NORTH, WEST, planted, prepared
from tiercel.datasets import SimulatedSample
from tiercel.datasets.journal import read_journal
from tiercel.evaluation import metres
from tiercel.evaluation.metres import METHODS, RADII_M, Asked, answer_all, measure, metric_rows
from tiercel.locate import Analysis, Locator
from tiercel.photos.write import write_photo

PLACES = [(100.0, 70.0, 37.0), (210.9, 333.2, 291.0)]


@pytest.fixture(scope="module")
def locator() -> Locator:
    model, atlas = prepared()
    return Locator(atlas, model)


def asked(locator, calls) -> list[Asked]:
    """Queries whose photos know the ground by heart."""

    def analyse(east: float, south: float, heading: float) -> Analysis:
        calls.append((east, south))
        return Analysis(locator, planted(locator.atlas, locator.model, WEST + east, NORTH - south, heading, told=False))

    return [
        Asked(
            "photo_90", number, WEST + east, NORTH - south, heading, lambda *_, at=(east, south, heading): analyse(*at)
        )
        for number, (east, south, heading) in enumerate(PLACES)
    ]


def test_right_answers_are_right_to_the_metre_and_the_degree(locator, tmp_path) -> None:
    calls: list[object] = []
    found = list(answer_all(asked(locator, calls), tmp_path / "kept.jsonl"))
    rows = {row.name: row for row in metric_rows(found, (3,), "command")}
    assert len(calls) == len(PLACES) * len(METHODS)
    for method in ("match", "match_map"):
        assert rows[f"median_m/photo_90/unseen/{method}"].value < 2
        assert rows[f"heading_deg/photo_90/unseen/{method}"].value < 4
        assert [rows[f"r1_{radius}m/photo_90/unseen/{method}"].value for radius in RADII_M[1:]] == [100] * 4
        assert (rows[f"r1_5m/photo_90/unseen/{method}"].n, rows[f"r1_5m/photo_90/unseen/{method}"].seeds) == (2, (3,))
        assert rows[f"seconds/photo_90/unseen/{method}"].value > 0
    assert rows["r1_50m/photo_90/unseen/fusion"].value == 100
    assert 2 < rows["median_m/photo_90/unseen/fusion"].value < 23  # the centre of the right cell
    assert "heading_deg/photo_90/unseen/fusion" not in rows
    assert rows["inside_90/photo_90/unseen/match"].n == 2 and "inside_90/photo_90/unseen/match_map" not in rows


def test_what_was_answered_is_not_asked_again(locator, tmp_path) -> None:
    kept, calls = tmp_path / "kept.jsonl", []
    first = list(answer_all(asked(locator, calls)[:1], kept))
    assert len(list(read_journal(kept))) == len(METHODS)
    again = list(answer_all(asked(locator, calls), kept))
    assert again[: len(METHODS)] == first
    assert calls == [PLACES[0][:2]] * len(METHODS) + [PLACES[1][:2]] * len(METHODS)


def test_the_usual_queries_are_asked_with_and_without_north(locator, tmp_path, monkeypatch) -> None:
    samples = []
    for index, kind in enumerate(["panorama", "photo_90", "photo_90"]):
        wide = kind == "panorama"
        sample = SimulatedSample(
            tmp_path / f"{index}.jpg", kind, WEST + 90, NORTH - 90, 45.0, 15.0, 20.0, 360.0 if wide else 90.0, 0.0, 1.6
        )
        pixels = np.random.default_rng(index).integers(0, 256, (64, 128 if wide else 80, 3), dtype=np.uint8)
        write_photo(sample.file, pixels, heading=20.0, field_of_view=sample.field_of_view, panorama=wide)
        samples.append(sample)
    monkeypatch.setattr(metres, "load_model", lambda name: locator.model)
    monkeypatch.setattr(metres, "prepare", lambda *_: (locator, samples))
    rows = {row.name: row for row in measure("tiny", seeds=(0,), photos=1, work=tmp_path, report=lambda line: None)}
    for query in ("panorama_north", "panorama", "photo_90_north", "photo_90"):
        assert {rows[f"r1_50m/{query}/unseen/{method}"].n for method in METHODS} == {1}
    entries = list(read_journal(next(tmp_path.glob("metres-0-*.jsonl"))))
    told = [one["heading_error_deg"] for one in entries if one["query"].endswith("north") and one["method"] == "match"]
    assert told == pytest.approx([0.0, 0.0], abs=0.1)
