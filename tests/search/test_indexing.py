import json

import numpy as np
import pytest

from tests.atlas.conftest import FakeMap, FakeModel
from tests.atlas.test_append import District
from tests.atlas.test_gallery import embedding_model
from tests.search.test_gallery import WIDTH, stretch, unit, write_gallery
from tiercel.atlas import Atlas, GalleryPlan, append, build
from tiercel.errors import TiercelError
from tiercel.search import gallery as module
from tiercel.search.gallery import Gallery
from tiercel.search.indexing import build_index, index_atlas

CELLS = 3000


@pytest.fixture(scope="module")
def indexed(tmp_path_factory) -> Gallery:
    """A gallery in several fragments, with its index."""
    folder = tmp_path_factory.mktemp("indexed")
    write_gallery(folder / "gallery.lance", embeddings(), pieces=7)
    bare = Gallery(folder / "gallery.lance", WIDTH)
    record = build_index(bare)
    assert record.cells == CELLS and record.recall >= 0.99
    return Gallery(bare.table, WIDTH, record.version, record)


def embeddings() -> np.ndarray:
    return unit(np.random.default_rng(0), CELLS)


def photos(count=100) -> np.ndarray:
    rng = np.random.default_rng(1)
    near = embeddings()[rng.integers(CELLS, size=count)] + 0.15 * rng.normal(size=(count, WIDTH))
    return (near / np.linalg.norm(near, axis=1, keepdims=True)).astype(np.float32)


def test_the_index_finds_what_an_exact_search_does(indexed) -> None:
    found, exact = indexed.search(photos(), 10, exact=False), indexed.search(photos(), 10, exact=True)
    assert (found.cells[:, :, None] == exact.cells[:, None, :]).any(1).mean() >= 0.99
    same = found.cells == exact.cells
    # Scores are those of an exact search.
    np.testing.assert_allclose(found.scores[same], exact.scores[same], atol=2e-6)
    assert (np.diff(found.scores) <= 0).all()
    assert same[:, 0].all()


def test_more_neighbours_than_it_was_tuned_for(indexed) -> None:
    found, exact = indexed.search(photos(20), 100, exact=False), indexed.search(photos(20), 100, exact=True)
    assert (found.cells[:, :, None] == exact.cells[:, None, :]).any(1).mean() >= 0.98


@pytest.mark.parametrize("last", [1010, 1400, 2900])
def test_an_area_needs_no_other_index(indexed, last) -> None:
    area = stretch(1000, last)
    found = indexed.search(photos(), 10, within=area, exact=False)
    exact = indexed.search(photos(), 10, within=area, exact=True)
    assert ((found.cells >= 1000) & (found.cells <= last)).all()
    assert (found.cells[:, :, None] == exact.cells[:, None, :]).any(1).mean() >= 0.99


def test_fewer_cells_in_the_area_than_were_asked_for(indexed) -> None:
    found = indexed.search(photos(3), 10, within=stretch(50, 53), exact=False)
    assert [sorted(row) for row in found.cells[:, :4].tolist()] == [[50, 51, 52, 53]] * 3
    assert (found.cells[:, 4:] == -1).all() and np.isneginf(found.scores[:, 4:]).all()


def test_beyond_a_million_cells_it_is_used_by_itself(indexed, monkeypatch) -> None:
    monkeypatch.setattr(module, "EXACT_CELLS", 1000)
    gallery = Gallery(indexed.table, WIDTH, indexed.version, indexed.index)
    monkeypatch.setattr(gallery, "_compare_all", None)
    np.testing.assert_array_equal(gallery.search(photos(), 10).cells, indexed.search(photos(), 10, exact=False).cells)
    gallery = Gallery(indexed.table, WIDTH, indexed.version, indexed.index)
    area = stretch(500, 600)
    np.testing.assert_array_equal(
        gallery.search(photos(), 10, within=area).cells, indexed.search(photos(), 10, within=area, exact=True).cells
    )


def test_an_index_of_other_cells_is_not_used(indexed) -> None:
    for stale in ({"cells": CELLS - 1}, {"version": indexed.version - 1}):
        record = indexed.index.model_copy(update=stale)
        gallery = Gallery(indexed.table, WIDTH, indexed.version, record)
        with pytest.raises(TiercelError, match=r"The index of .* is older than its cells .* `tiercel index "):
            gallery.search(photos(1), 1, exact=False)


def test_embeddings_that_are_no_numbers_are_not_indexed(tmp_path) -> None:
    broken = unit(np.random.default_rng(2), 400)
    broken[77, 3] = np.nan
    write_gallery(tmp_path / "gallery.lance", broken)
    with pytest.raises(TiercelError, match="holds embeddings that are no numbers"):
        build_index(Gallery(tmp_path / "gallery.lance", WIDTH))
    assert Gallery(tmp_path / "gallery.lance", WIDTH).version == 1


def test_an_atlas_with_its_index(tmp_path) -> None:
    whole, model = FakeMap(160.0, 80.0), embedding_model(FakeModel)
    west, east = District(whole, "west", (0, 0, 80, 80)), District(whole, "east", (80, 0, 160, 80))
    build(west, model, tmp_path / "atlas", gallery=GalleryPlan(stride=0.5))
    steps = []
    record = index_atlas(tmp_path / "atlas", steps=lambda what: steps.append(what) or (lambda _done, _total: None))
    assert len(steps) == 2
    atlas = Atlas.open(tmp_path / "atlas")
    assert atlas.manifest.index == record and record.cells == 256
    queries = Gallery.of(atlas).vectors(np.array([3, 100, 255]))
    found, exact = (Gallery.of(atlas).search(queries, 5, exact=way) for way in (False, True))
    np.testing.assert_allclose(found.scores, exact.scores, atol=1e-6)
    # Appending a district leaves it behind.
    both = append(east, model, tmp_path / "atlas")
    gallery = Gallery.of(both)
    assert len(gallery) == 512
    with pytest.raises(
        TiercelError, match=r"is older than its cells \(it holds 256 of 512\); make it anew with `tierc"
    ):
        gallery.search(queries, 1, exact=False)
    assert (gallery.search(queries, 5).scores >= exact.scores).all()
    assert index_atlas(tmp_path / "atlas").cells == 512
    gallery = Gallery.of(Atlas.open(tmp_path / "atlas"))
    np.testing.assert_allclose(
        gallery.search(queries, 5, exact=False).scores, gallery.search(queries, 5).scores, atol=1e-6
    )
    assert "cells" in json.loads((tmp_path / "atlas" / "atlas.json").read_text())["index"]


def test_an_index_that_was_broken_off_is_built_again(tmp_path, monkeypatch) -> None:
    build(FakeMap(80.0, 80.0), embedding_model(FakeModel), tmp_path / "atlas")

    def stop(*_arguments: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("tiercel.search.indexing._recalls", stop)
        with pytest.raises(KeyboardInterrupt):
            index_atlas(tmp_path / "atlas")
    between = Atlas.open(tmp_path / "atlas")
    assert between.manifest.index is None and len(Gallery.of(between)) == 64
    assert index_atlas(tmp_path / "atlas").cells == 64


def test_an_atlas_without_a_gallery(tmp_path) -> None:
    build(FakeMap(), FakeModel(heads=("match",)), tmp_path / "atlas")
    with pytest.raises(TiercelError, match="atlas has no gallery: its model has only these heads: match"):
        index_atlas(tmp_path / "atlas")
