"""Calibration on a tiny map: the numbers that make the truth likeliest are found and kept."""

import dataclasses
import shutil
import sys
from types import SimpleNamespace

import numpy as np
import pytest

from tests.models.tiny import photo_of_scene
from tests.search.town import NORTH, WEST, planted, prepared
from tiercel.datasets import SimulatedSample
from tiercel.evaluation.calibrate import (
    LEAST_LOG,
    MATCH_WEIGHTS,
    TEMPERATURES,
    ZOOM_WEIGHTS,
    _first_scores,
    _first_stage,
    _fit_weights,
    calibrate,
    save_calibration,
)
from tiercel.geo import Square, ZoomTree
from tiercel.locate import Locator
from tiercel.models import Calibration, Model, load_model, save_model
from tiercel.photos.write import write_photo
from tiercel.search.policies import Retriever
from tiercel.training.splits import split_of

MODULE = sys.modules[calibrate.__module__]


def drawn(temperature: float, count: int, monkeypatch):  # noqa: ANN201
    """Queries whose truth retrieval is `temperature` times too sure of, beside zoom scores that know nothing."""
    model, atlas = prepared()
    locator, rng, asked = Locator(atlas, model), np.random.default_rng(0), []
    for _ in range(count):
        photo = planted(atlas, model, WEST + 100, NORTH - 70, 10.0, told=True)
        loud = temperature * rng.standard_normal(photo.retrieval.shape).astype(np.float32)
        noise = tuple(3 * rng.standard_normal((1, 8)).astype(np.float32) for _ in range(3))
        photo = dataclasses.replace(photo, retrieval=loud, zoom=noise)
        right = Retriever(atlas).scores(photo, temperature).leaf_scores.astype(np.float64)
        share = np.exp(right - np.logaddexp.reduce(right))
        asked.append((locator, photo, int(rng.choice(len(share), p=share / share.sum()))))
    monkeypatch.setattr(Model, "encode_photos", lambda self, photos: photos)
    return asked


@pytest.mark.parametrize("sure", [0.7, 1.4])
def test_the_temperature_undoes_what_retrieval_is_too_sure_of(sure, monkeypatch) -> None:
    lines: list[str] = []
    temperature, weight = _first_stage(drawn(sure, 60, monkeypatch), lines.append)
    assert temperature == pytest.approx(sure, rel=0.25)
    assert weight <= 0.1  # noise deserves no weight
    assert len(lines) == 1


def test_zoom_scores_that_know_get_weight(monkeypatch) -> None:
    """Queries made of the keys on the way to the truth: the head's word deserves all the weight there is."""
    asked = []
    for locator, photo, truth in drawn(1.0, 5, monkeypatch):
        tree, atlas = locator.atlas.tree, locator.atlas
        parent = int(tree.flat(1, *tree.parent(2, *tree.unflat(2, truth))))
        keys = [atlas.zoom_keys(level)[cell].astype(np.float32) for level, cell in ((2, truth), (1, parent))]
        zoom = tuple(np.append(200 * key[:-1], 0.0).astype(np.float32)[None] for key in keys)
        asked.append((locator, dataclasses.replace(photo, zoom=zoom), truth))
    assert _first_stage(asked, str)[1] == max(ZOOM_WEIGHTS)


def test_one_hopeless_photo_does_not_decide(monkeypatch) -> None:
    locator, photo, _ = drawn(1.0, 1, monkeypatch)[0]
    sure = dataclasses.replace(photo, retrieval=1e4 * photo.retrieval, zoom=())
    best = int(Retriever(locator.atlas).scores(sure).leaf_scores.argmax())
    other = int(locator.atlas.leaf_index[locator.atlas.leaf_index != best][0])
    assert _first_scores(locator, sure, other) == pytest.approx(LEAST_LOG)
    assert _first_scores(locator, sure, best) == pytest.approx(0, abs=1e-3)


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


def test_each_truth_is_a_leaf_of_its_own_map(checkpoint, monkeypatch) -> None:
    """Maps of different cities lie apart: a place on one is nowhere on another."""
    seen: list[int] = []
    monkeypatch.setattr(MODULE, "_first_stage", lambda asked, report: seen.extend(t for _, _, t in asked) or (1.0, 0.5))
    monkeypatch.setattr(MODULE, "_final_weights", lambda folder, before, *_: before)
    asked = []
    for south in (0.0, 20_000.0):
        tree = ZoomTree(Square(1000.0, south + 1000.0, 2000.0))
        sample = SimulatedSample(checkpoint, "photo_90", 990.0, south + 10.0, 45.0, 15.0, 0.0, 90.0, 0.0, 1.6)
        asked.append((SimpleNamespace(atlas=SimpleNamespace(tree=tree)), None, sample))
    _fit_weights(checkpoint, asked, str)
    assert seen == [63 * 64 + 31] * 2
