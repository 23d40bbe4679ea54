from typing import Any

import numpy as np
import pytest

from tiercel.atlas import Atlas, build
from tiercel.atlas.gallery import GalleryPlan, cell_grids, unpack
from tiercel.atlas.tables import gallery_columns, gallery_table, read_column
from tiercel.errors import TiercelError
from tiercel.geo import Square
from tiercel.models.config import EmbeddingConfig

WIDTH = 9


def embedding_model(fake_model, tile_m=20.0, **changes) -> Any:
    """Leaves of 10 m, tiles of 20 m at half a metre a pixel or so."""
    sizes = EmbeddingConfig(width=WIDTH, tile_pixels=64, tile_m=tile_m)
    return fake_model(heads=("embedding",), embedding=sizes, **changes)


def table(atlas: Atlas) -> dict[str, np.ndarray]:
    path = gallery_table(atlas.folder)
    return {name: read_column(path, name, column) for name, column in gallery_columns(WIDTH).items()}


def colour(basemap, x, y) -> np.ndarray:
    """Mean red and green of ground around points, but for rounding down to whole numbers, over 255."""
    return np.stack([3 * (x - basemap.west) - 0.5, 3 * (basemap.north - y) - 0.5], -1) / 255


def test_at_scale_and_stride_1_the_cells_are_the_leaves(fake_map, fake_model, tmp_path) -> None:
    basemap, model = fake_map(), embedding_model(fake_model)
    atlas = build(basemap, model, tmp_path / "atlas")
    rows, tree = table(atlas), atlas.tree
    assert model.blocks == 0  # which make features that it has no head for
    assert model.tiles == len(atlas.leaf_index) == len(rows["cell"]) == 48
    order = np.argsort(rows["cell"])
    x, y = tree.centre(3, *tree.unflat(3, np.sort(atlas.leaf_index)))
    np.testing.assert_array_equal(rows["x"][order], x)
    np.testing.assert_array_equal(rows["y"][order], y)
    assert (rows["side"] == 10).all()
    share = np.zeros(64)
    share[atlas.leaf_index] = atlas.covered_share
    np.testing.assert_allclose(rows["covered"][order], share[np.sort(atlas.leaf_index)], atol=0.04)
    _, row, col = unpack(rows["cell"])
    np.testing.assert_array_equal(tree.flat(3, row, col), tree.flat(3, *tree.cell_at(rows["x"], rows["y"], 3)))


@pytest.mark.parametrize("tile_m", [20.0, 22.7])
def test_overlapping_cells_of_several_scales_show_the_ground_around_their_centres(
    fake_map, fake_model, tmp_path, tile_m
) -> None:
    """Tiles of 20 m lie whole pixels apart, those of 22.7 m do not."""
    basemap, model = fake_map(80.0, 80.0), embedding_model(fake_model, tile_m)
    atlas = build(basemap, model, tmp_path / "atlas", gallery=GalleryPlan((1.0, 2.0), 0.5))
    rows = table(atlas)
    scale, _, _ = unpack(rows["cell"])
    for number, (side, count) in enumerate([(10.0, 16), (20.0, 8)]):
        these = scale == number
        assert (rows["side"][these] == side).all()
        # At the corners of the map, 9 of 16 parts of a cell are covered.
        assert these.sum() == count**2
        along = np.unique(rows["x"][these]) - basemap.west
        np.testing.assert_allclose(along, (np.arange(count) + 0.5) * side / 2)
        reach = tile_m * side / 20
        inside = these & (abs(rows["x"] - basemap.west - 40) + reach < 40)
        inside &= abs(basemap.north - 40 - rows["y"]) + reach < 40
        assert inside.sum() > 8
        x, y, found = rows["x"][inside], rows["y"][inside], rows["embedding"][inside].astype(float)
        np.testing.assert_allclose(found[:, 0:2], colour(basemap, x, y), atol=0.005)
        np.testing.assert_allclose(found[:, 3:5], colour(basemap, x, y), atol=0.005)
        np.testing.assert_allclose(found[:, 6:8], colour(basemap, x - reach / 2, y + reach / 2), atol=0.005)
    reads = [square.side for square, pixels in basemap.reads if pixels >= 64]
    blocks = [side for side in reads if side > 50]
    assert (len(blocks), len(reads)) == ((2, 2) if tile_m == 20.0 else (0, 256 + 64))


def test_a_block_is_cut_as_a_tile_is_read(fake_map, fake_model, tmp_path) -> None:
    basemap = fake_map(75.0, 60.0, holes=[(10, 10, 33, 21)])
    model = embedding_model(fake_model)
    rows = table(build(basemap, model, tmp_path / "atlas", gallery=GalleryPlan((2.0,), 0.25)))
    for row in range(0, len(rows["cell"]), 7):
        rgb, covered = basemap.read(Square(rows["x"][row], rows["y"][row], 40.0), 64)
        # Rounding may tip a pixel on the very edge of the map.
        np.testing.assert_allclose(rows["embedding"][row], model.encode_tiles(rgb[None], covered[None])[0], atol=0.03)
        assert rows["covered"][row] == pytest.approx(covered[16:48, 16:48].mean(), abs=0.07)
    assert (rows["covered"] >= 0.5).all() and (rows["covered"] < 1).any()


def test_more_blocks_than_one(fake_map, fake_model, tmp_path, monkeypatch) -> None:
    whole = table(
        build(fake_map(), embedding_model(fake_model), tmp_path / "one", gallery=GalleryPlan((1.0, 3.0), 0.5))
    )
    monkeypatch.setattr("tiercel.atlas.gallery.BLOCK_CELLS", 5)
    monkeypatch.setattr("tiercel.atlas.gallery.TILES_AT_ONCE", 7)
    seen = []
    model = embedding_model(fake_model)
    atlas = build(
        fake_map(), model, tmp_path / "more", gallery=GalleryPlan((1.0, 3.0), 0.5),
        progress=lambda done, total: seen.append((done, total)),
    )  # fmt: skip
    assert seen[-1][0] == seen[-1][1] == len(seen) > 10
    cut = table(atlas)
    one, other = np.argsort(whole["cell"]), np.argsort(cut["cell"])
    for name, values in whole.items():
        np.testing.assert_allclose(cut[name][other].astype(float), values[one].astype(float), atol=0.01)
    assert len(np.unique(cut["cell"])) == len(cut["cell"])


class Stops(Exception):  # noqa: N818
    """Not a mistake."""


def test_a_build_that_was_killed_goes_on(fake_map, fake_model, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("tiercel.atlas.gallery.BLOCK_CELLS", 4)
    plan = GalleryPlan((1.0, 2.0), 0.5)
    whole = table(build(fake_map(), embedding_model(fake_model), tmp_path / "whole", gallery=plan))
    first, encode = embedding_model(fake_model), type(embedding_model(fake_model)).encode_tiles

    def encode_some(pixels, covered) -> np.ndarray:
        if first.tiles > 40:
            raise Stops
        return encode(first, pixels, covered)

    first.encode_tiles = encode_some
    with pytest.raises(Stops):
        build(fake_map(), first, tmp_path / "atlas", gallery=plan)
    assert not (tmp_path / "atlas").exists()
    second = embedding_model(fake_model)
    resumed = table(build(fake_map(), second, tmp_path / "atlas", gallery=plan))
    assert first.tiles + second.tiles == len(whole["cell"])
    for name, values in whole.items():
        np.testing.assert_array_equal(resumed[name], values)


def test_another_plan_is_another_atlas(fake_map, fake_model, tmp_path) -> None:
    build(fake_map(), embedding_model(fake_model), tmp_path / "atlas")
    again = embedding_model(fake_model)
    build(fake_map(), again, tmp_path / "atlas", gallery=GalleryPlan())
    assert again.tiles == 0
    with pytest.raises(TiercelError, match=r"is an atlas of another gallery; .*--overwrite"):
        build(fake_map(), again, tmp_path / "atlas", gallery=GalleryPlan(stride=0.5))
    build(fake_map(), again, tmp_path / "atlas", gallery=GalleryPlan(stride=0.5), overwrite=True)
    assert again.tiles > 48


def test_embeddings_that_are_no_numbers_are_refused(fake_map, fake_model, tmp_path) -> None:
    model = embedding_model(fake_model)
    model.encode_tiles = lambda pixels, covered: np.full((len(pixels), WIDTH), np.nan, np.float32)
    with pytest.raises(TiercelError, match="Model mean colour makes embeddings that are no numbers"):
        build(fake_map(), model, tmp_path / "atlas")
    assert not (tmp_path / "atlas").exists()


def test_a_model_without_embeddings_has_no_gallery(fake_map, fake_model, tmp_path) -> None:
    with pytest.raises(TiercelError, match=r"makes no embeddings .* leave them out, .*\(it has: match\)"):
        build(fake_map(), fake_model(heads=("match",)), tmp_path / "atlas", gallery=GalleryPlan())
    atlas = build(fake_map(), fake_model(heads=("match",)), tmp_path / "atlas")
    assert atlas.manifest.gallery is None
    assert not gallery_table(atlas.folder).exists()


def test_a_gallery_stands_beside_the_other_heads(fake_map, fake_model, tmp_path) -> None:
    sizes = EmbeddingConfig(width=WIDTH, tile_pixels=64, tile_m=20.0)
    model = fake_model(heads=("retrieval", "zoom", "match", "embedding"), embedding=sizes)
    atlas = build(fake_map(), model, tmp_path / "atlas")
    assert len(table(atlas)["cell"]) == len(atlas.keys) == 48


@pytest.mark.parametrize("stride", [0.0, -1.0, 1.5, float("nan")])
def test_strides_that_leave_gaps(stride) -> None:
    with pytest.raises(TiercelError, match=r"A stride of .* give 1, 0.5 or 0.25"):
        GalleryPlan(stride=stride)


@pytest.mark.parametrize("scales", [(), (1.0, 1.0), (0.0,), (-1.0, 2.0), (float("inf"),), tuple(range(1, 20))])
def test_scales_that_are_none(scales) -> None:
    with pytest.raises(TiercelError, match=r"Scales .* are not 1 to 8 different positive numbers"):
        GalleryPlan(tuple(float(scale) for scale in scales))


def test_numbers_of_cells_hold_their_scale_row_and_column(fake_map, fake_model, tmp_path) -> None:
    atlas = build(fake_map(), embedding_model(fake_model), tmp_path / "atlas", gallery=GalleryPlan((1.0, 3.0)))
    grid = cell_grids(atlas.manifest.gallery, 10.0)[1]
    rows, cols = np.array([-3, 0, 12_345_678]), np.array([5, -1, -12_345_678])
    scale, row, col = unpack(grid.cell(rows, cols))
    assert scale.tolist() == [1, 1, 1]
    np.testing.assert_array_equal((row, col), (rows, cols))
