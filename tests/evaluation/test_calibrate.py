"""Calibration on a tiny map: the numbers that make the truth likeliest are found and kept."""

import dataclasses
import shutil
import sys

import numpy as np
import pytest

from tests.models.tiny import photo_of_scene
from tests.search.town import NORTH, WEST, prepared
from tiercel.datasets import SimulatedSample
from tiercel.evaluation.calibrate import (
    LEAST_LOG,
    MATCH_WEIGHTS,
    TEMPERATURES,
    ZOOM_WEIGHTS,
    Sheet,
    _first_stage,
    _log_of_truth,
    calibrate,
    save_calibration,
)
from tiercel.locate import Locator
from tiercel.models import Calibration, load_model, save_model
from tiercel.photos.write import write_photo
from tiercel.training.splits import split_of

MODULE = sys.modules[calibrate.__module__]


def sheets(sure, count=40) -> list[Sheet]:
    """Retrieval that is right but `sure` times too sure of itself, beside zoom scores that know nothing."""
    tree, rng = prepared()[1].tree, np.random.default_rng(0)
    leaves, made = tree.count(tree.depth), []
    for _ in range(count):
        logits = rng.normal(0, 2, leaves)
        truth = int(rng.choice(leaves, p=np.exp(logits) / np.exp(logits).sum()))
        made.append(Sheet(truth, tuple(logits * sure / t for t in TEMPERATURES), rng.normal(0, 3, leaves)))
    return made


@pytest.mark.parametrize("sure", [0.7, 1.4])
def test_the_temperature_undoes_what_retrieval_is_too_sure_of(sure) -> None:
    lines: list[str] = []
    temperature, weight = _first_stage(sheets(sure, 150), prepared()[1].tree, lines.append)
    assert temperature == pytest.approx(sure, rel=0.25)
    assert weight <= 0.05  # noise deserves no weight
    assert len(lines) == 1


def test_zoom_scores_that_know_get_weight() -> None:
    tree = prepared()[1].tree
    knowing = [dataclasses.replace(s, zoom=np.where(np.arange(len(s.zoom)) == s.truth, 6.0, 0.0)) for s in sheets(1.0)]
    assert _first_stage(knowing, tree, str)[1] == max(ZOOM_WEIGHTS)


def test_one_hopeless_photo_does_not_decide() -> None:
    tree = prepared()[1].tree
    scores = np.zeros(tree.count(tree.depth))
    scores[3] = 1e6
    assert _log_of_truth(tree, scores, 4) == LEAST_LOG
    assert _log_of_truth(tree, scores, 3) == pytest.approx(0)


@pytest.fixture
def checkpoint(tmp_path):  # noqa: ANN201
    save_model(prepared()[0], tmp_path / "model", "a card")
    return tmp_path / "model"


def test_calibration_is_kept_and_changes_no_weight(checkpoint) -> None:
    before = load_model(checkpoint, "cpu").fingerprint
    wanted = Calibration(retrieval_temperature=1.2, zoom_weight=0.1, match_weight=0.4)
    save_calibration(checkpoint, wanted)
    after = load_model(checkpoint, "cpu")
    assert after.config.calibration == wanted and after.fingerprint == before


def test_calibrating_a_checkpoint(checkpoint, tmp_path, monkeypatch) -> None:
    model, atlas = prepared()
    seen: list[int] = []
    file = tmp_path / "photo.jpg"
    write_photo(file, photo_of_scene(80.0, 90, 160, 120), latitude=45.0, longitude=15.0, heading=80.0,
                field_of_view=90.0, panorama=False)  # fmt: skip
    sample = SimulatedSample(file, "photo_90", WEST + 100, NORTH - 100, 45.0, 15.0, 80.0, 90.0, 0.0, 1.6)

    def prepare(loaded, protocol, seed, work, report):
        seen.append(seed)
        return Locator(atlas, model), [sample]

    monkeypatch.setattr(MODULE, "prepare", prepare)
    found = calibrate(checkpoint, cities=2, region_cities=3, photos=1, work=tmp_path / "work", report=str)
    assert {split_of(seed) for seed in seen} == {"validation"} and len(set(seen)) == 3
    assert found.retrieval_temperature in TEMPERATURES and found.zoom_weight in ZOOM_WEIGHTS
    assert found.match_weight in MATCH_WEIGHTS
    assert load_model(checkpoint, "cpu").config.calibration == found
    shutil.rmtree(checkpoint)
