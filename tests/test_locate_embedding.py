"""Locating by the embeddings of cells, and within an area by every kind of model."""

import dataclasses
import functools
from collections.abc import Callable

import numpy as np
import pytest

from tests.models.tiny import panorama_of_scene, photo_of_scene
from tests.search.town import LEAF, NORTH, SIDE, WEST, Town, planted, prepared, town_model
from tiercel.atlas import Atlas, GalleryPlan, build
from tiercel.errors import TiercelError
from tiercel.geo import Area
from tiercel.locate import Analysis, EmbeddingAnalysis, Locator, Prior
from tiercel.models import Model
from tiercel.models.config import Calibration, EmbeddingConfig
from tiercel.photos import Photo
from tiercel.photos.metadata import Known
from tiercel.search.together import surplus

SIZES = EmbeddingConfig(width=16, tile_pixels=64, tile_m=62.5)
X, Y = WEST + 145.0, NORTH - 207.0
LOUD = 100.0


@functools.cache
def model() -> Model:
    return town_model(heads=("embedding",), embedding=SIZES)


@pytest.fixture(scope="module")
def atlas(tmp_path_factory) -> Atlas:
    return build(Town(), model(), tmp_path_factory.mktemp("town") / "atlas", gallery=GalleryPlan(stride=0.5))


def photo(heading=None, panorama=False) -> Photo:
    field = 360.0 if panorama else 75.0
    pixels = panorama_of_scene(0) if panorama else photo_of_scene(0, field)
    return Photo.from_array(pixels, panorama=panorama, field_of_view=field, heading=heading)


def box(west, south, east, north) -> Area:
    """A rectangle in metres east and north of the town's south-western corner."""
    x, y = np.array([west, east, east, west]) + WEST, np.array([south, south, north, north]) + NORTH - SIDE
    return Area("a box", ((np.stack([x, y], -1).astype(float),),))


def peculiar(locator) -> tuple[float, float, np.ndarray]:
    """The place in the town that is most unlike all others, and what is like it and like nothing else."""
    gallery = locator.gallery.gallery
    cells = gallery.vectors(np.arange(len(gallery))).astype(float)
    white = np.linalg.solve(cells.T @ cells, cells.T).T
    most = int((cells * white).sum(1).argmax())
    return float(gallery.x[most]), float(gallery.y[most]), LOUD * white[most] / (cells[most] @ white[most])


def find(locator, heading=None, **given) -> EmbeddingAnalysis:
    """An analysis of a photo that looks, at the second of its headings, like the ground at `peculiar`."""
    found = locator.analyse(photo(heading), **given)
    assert isinstance(found, EmbeddingAnalysis)
    vectors = np.random.default_rng(0).normal(size=found.photo.embedding.shape)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    vectors[min(1, len(vectors) - 1)] = peculiar(locator)[2]
    found.photo = dataclasses.replace(found.photo, embedding=vectors.astype(np.float32))
    return found


def test_a_planted_truth_is_found_with_its_heading(atlas) -> None:
    locator = Locator(atlas, model())
    found = find(locator)
    fix = locator.fix(found, "planted.jpg")
    x, y, _ = peculiar(locator)
    assert np.hypot(fix.x - x, fix.y - y) < 0.75 * LEAF / 2  # cells are half a leaf apart
    assert fix.heading == pytest.approx(float(found.photo.headings_deg[1]), abs=0.01)
    assert 0 < fix.radius_50_m <= fix.radius_90_m
    assert [one.rank for one in fix.candidates] == list(range(1, len(fix.candidates) + 1))
    assert np.nansum(fix.heat) == pytest.approx(1, abs=1e-4)
    assert found.retrieval.best == found.first.best == found.final.best == found.matches.leaves[0]
    true = atlas.tree.flat(2, *atlas.tree.cell_at(x, y, 2))
    assert found.final.best == true
    assert found.zoom_levels == 0
    assert find(locator, heading=200.0).matches.heading[0] == pytest.approx(200.0, abs=1.0)


def test_what_is_known_of_the_photo(atlas) -> None:
    locator = Locator(atlas, model())
    for heading, panorama, kind in (
        (None, False, "photo"), (10.0, False, "photo_north"), (None, True, "panorama"), (10.0, True, "panorama_north"),
    ):  # fmt: skip
        assert locator.analyse(photo(heading, panorama)).kind == kind


def test_a_temperature_divides_the_scores_of_leaves(atlas) -> None:
    locator = Locator(atlas, model())
    plain, tempered = find(locator), find(locator)
    tempered.calibration = Calibration(retrieval_temperature=2.0)
    expected = plain.retrieval.tempered(2.0)
    np.testing.assert_allclose(tempered.retrieval.log_probability, expected.log_probability, atol=1e-3)


def test_a_prior_narrows(atlas) -> None:
    locator = Locator(atlas, model())
    x, y = WEST + 400, NORTH - 90
    latitude, longitude = (float(v) for v in atlas.frame.to_wgs84(x, y))
    moved = find(locator, prior=Prior(latitude, longitude, 5.0)).first.centre
    assert np.hypot(moved[0] - x, moved[1] - y) < 30


def polar() -> tuple[Locator, Callable[..., Analysis]]:
    """The town by its polar keys, zooming and the match, and an analysis of a photo planted in it."""
    network, prepared_atlas = prepared()
    locator = Locator(prepared_atlas, network)
    features = planted(prepared_atlas, network, x=X, y=Y, heading=303.75, told=False)
    quiet = dataclasses.replace(features, retrieval=0.003 * features.retrieval)
    return locator, lambda within: Analysis(locator, quiet, None, within)


def embedding(atlas) -> tuple[Locator, Callable[..., Analysis]]:
    locator = Locator(atlas, model())
    return locator, lambda within: find(locator, within=within)


@pytest.mark.parametrize("kind", ["polar", "embedding"])
def test_an_area_holds_the_whole_answer(atlas, kind) -> None:
    locator, analysis = polar() if kind == "polar" else embedding(atlas)
    tree = locator.atlas.tree
    free = analysis(None)
    for corner in ((20, 320, 90, 380), (0, 0, 500, 500), (300, 300, 480, 480)):
        area = box(*corner)
        inside = area.cells(tree, 2)
        found = analysis(area)
        for answer in (found.first, found.final):
            assert answer.probability[~inside].sum() == 0
            assert np.isneginf(answer.log_probability[~inside]).all()
            assert answer.probability.sum() == pytest.approx(1)
        kept = free.first.probability * inside
        np.testing.assert_allclose(found.first.probability, kept / kept.sum(), atol=1e-5)
        assert inside[found.matches.leaves].all()
        fix = locator.fix(found, "photo")
        assert inside[tree.flat(2, fix.candidates[0].row, fix.candidates[0].col)]


@pytest.mark.parametrize("kind", ["polar", "embedding"])
def test_an_area_beside_the_map(atlas, kind) -> None:
    _, analysis = polar() if kind == "polar" else embedding(atlas)
    for corner in ((900, 900, 950, 950), (450, 20, 480, 50)):  # beside the map, and where it is not covered
        with pytest.raises(TiercelError, match=r"The area a box holds no cell of the map; .* or make it larger"):
            _ = analysis(box(*corner)).first


def test_a_model_with_both_heads_locates_by_the_finer_one_and_keeps_the_gallery(tmp_path) -> None:
    network = town_model(heads=("retrieval", "embedding"), embedding=SIZES)
    both = build(Town(), network, tmp_path / "atlas")
    locator = Locator(both, network)
    found = locator.analyse(photo())
    assert type(found) is Analysis
    assert found.retrieval.probability.sum() == pytest.approx(1)
    scores = locator.gallery.scores(found.photo)
    assert (np.isfinite(scores.leaf_scores) == both.covered(2)).all()


def test_photos_from_one_spot_are_located_by_the_embeddings_of_all(atlas) -> None:
    locator = Locator(atlas, model())
    photos = [photo(), photo(panorama=True)]
    found = locator.analyse_together(photos)
    alone = sum(locator.analyse(one).first.log_probability.astype(float) for one in photos)
    expected = np.exp((alone - alone.max()) / surplus(2))
    assert found.final.probability == pytest.approx(expected / expected.sum(), abs=1e-5)
    (turned,) = locator.analyse_together(photos, [90.0]).parts  # cell by cell and heading by heading
    bins = np.arange(model().config.headings) * model().config.bin_deg
    added = 0.0
    for one, to in zip(photos, (0.0, 90.0), strict=True):
        told = [dataclasses.replace(one, heading=Known(float(turn + to) % 360, "given")) for turn in bins]
        added = added + np.concatenate([locator.analyse(one).scores.logits for one in told])
    assert turned.scores.logits == pytest.approx(added, abs=5e-3)
    (other,) = locator.analyse_together(photos, [0.0]).parts
    assert np.abs(other.scores.logits - added).max() > 0.05
    for turns in (None, [90.0]):
        fix = locator.fix(locator.analyse_together(photos, turns), "photo")
        assert fix.tree.root.contains(fix.x, fix.y) and fix.heading is not None
