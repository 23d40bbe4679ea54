"""Answers to planted photos, and to photos of nothing in particular, on a tiny map."""

import dataclasses
import json

import numpy as np
import pytest

from tests.models.tiny import photo_of_scene
from tests.search.town import LEAF, NORTH, WEST, planted, prepared
from tiercel.datasets import SimulatedSample
from tiercel.evaluation.answering import Answered, answer_all, answers, distinct, kept_file
from tiercel.evaluation.methods import RANKED
from tiercel.evaluation.protocol import OPPOSITE, QUERIES
from tiercel.evaluation.reliability import judge
from tiercel.locate import Analysis, Locator
from tiercel.photos.write import write_photo
from tiercel.search.match import Matches


@pytest.fixture(scope="module")
def locator() -> Locator:
    model, atlas = prepared()
    return Locator(atlas, model)


def sample_at(file, kind, east, south, heading) -> SimulatedSample:
    field = 360.0 if kind == "panorama" else 90.0
    return SimulatedSample(file, kind, WEST + east, NORTH - south, 45.0, 15.0, heading, field, 0.0, 1.6)


@pytest.fixture(scope="module")
def spot(tmp_path_factory) -> list[SimulatedSample]:
    folder, shots = tmp_path_factory.mktemp("photos"), []
    for heading in (20.0, 195.0):
        sample = sample_at(folder / f"{heading:g}.jpg", "photo_90", 100.0, 70.0, heading)
        write_photo(sample.file, photo_of_scene(heading, 90, 160, 120), heading=heading, field_of_view=90)
        shots.append(sample)
    return shots


@pytest.mark.parametrize("heading", [0.0, 123.75, 348.75])
def test_answers_to_a_planted_photo(locator, heading) -> None:
    x, y = WEST + 210.0, NORTH - 140.0
    photo = planted(locator.atlas, locator.model, x, y, heading, told=False)
    found = answers(Analysis(locator, photo), sample_at("p.jpg", "photo_90", 210.0, 140.0, heading))
    assert found["retrieval"].error_m < 31.25 * 0.71
    assert found["retrieval"].heading_error_deg < 0.1
    assert found["match"].error_m < 3
    assert found["match"].heading_error_deg < 4
    assert np.isnan(found["global"].heading_error_deg)
    assert found["match"].inside_90 is True and found["greedy"].inside_50 is None
    off = answers(Analysis(locator, photo), sample_at("p.jpg", "photo_90", 310.0, 140.0, heading + 90))
    assert off["match"].error_m == pytest.approx(100, abs=3)
    assert off["match"].heading_error_deg == pytest.approx(90, abs=4)
    assert off["match"].inside_90 is False


def test_the_heading_is_told_only_where_the_query_says_so(locator, spot, tmp_path) -> None:
    told, untold = (next(answer_all(locator, [spot[:1]], query, tmp_path / "kept.jsonl")) for query in QUERIES[2:])
    assert told.answers["match"].heading_error_deg < 0.01
    assert untold.answers["match"].heading_error_deg > 0.01
    assert told.seconds > 0


def test_the_turn_is_told_only_where_the_query_says_so(locator, spot, tmp_path, monkeypatch) -> None:
    given, analyse = [], locator.analyse_together

    def analyse_together(photos, turns=None) -> Analysis:
        given.append(([photo.heading for photo in photos], turns))
        return analyse(photos, turns)

    monkeypatch.setattr(locator, "analyse_together", analyse_together)
    found = [next(answer_all(locator, [spot], query, tmp_path / "kept.jsonl")) for query in OPPOSITE]
    assert given == [([None, None], None), ([None, None], [175.0])]
    for one in found:
        assert list(one.answers) == ["retrieval", "fusion", "match"]
        assert np.isnan(one.answers["fusion"].heading_error_deg)
        assert 0 <= one.answers["match"].heading_error_deg <= 180
        assert one.answers["match"].inside_90 is not None and set(one.judged.masses) == {"match", "match_uncalibrated"}


def test_ranked_answers_lie_in_leaves_of_their_own(locator) -> None:
    photo = planted(locator.atlas, locator.model, WEST + 210.0, NORTH - 140.0, 348.75, told=False)
    analysis, truth = Analysis(locator, photo), sample_at("p.jpg", "photo_90", 210.0, 140.0, 348.75)
    found = answers(analysis, truth)
    assert {len(found[method].errors_m) for method in ("global", "retrieval", "fusion", "sweep")} == {RANKED}
    assert len(found["greedy"].errors_m) == 1
    x, y = locator.atlas.tree.centre(2, *locator.atlas.tree.unflat(2, analysis.first.top(3)[0]))
    assert found["fusion"].errors_m[:3] == pytest.approx(np.hypot(x - truth.x, y - truth.y))
    # A second match that comes to lie in the leaf of the first is no answer of its own.
    places = np.array([100.0, 101.0, 300.0, 99.0, 420.0])
    at = Matches(np.arange(5), np.zeros(5), WEST + places, NORTH - np.full(5, 3 * LEAF + 1), np.zeros(5))
    assert distinct(analysis, at).tolist() == [0, 2, 4]


def test_what_was_kept_is_read_as_it_was(locator, spot, tmp_path) -> None:
    analysis = Analysis(locator, planted(locator.atlas, locator.model, WEST + 210.0, NORTH - 140.0, 10.0, told=True))
    truth = sample_at("p.jpg", "photo_90", 210.0, 140.0, 10.0)
    one = Answered(answers(analysis, truth), 0.25, judge(analysis, truth.x, truth.y))
    again = Answered.from_dict(json.loads(json.dumps(dataclasses.asdict(one))))
    assert repr(again) == repr(one)


def test_answers_of_another_calibration_lie_elsewhere(locator, tmp_path) -> None:
    config = locator.model.config
    other = dataclasses.replace(config, calibration=dataclasses.replace(config.calibration, effort=7))
    files = set()
    for settings in (config, other, config):
        locator.model.config = settings
        files.add(kept_file(tmp_path, "city-0", locator.model))
    assert len(files) == 2
