import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import lance
import numpy as np
import pytest

from tests.atlas.test_gallery import embedding_model
from tiercel.atlas import Atlas, GalleryPlan, append, build
from tiercel.atlas.tables import gallery_columns, gallery_table, read_column
from tiercel.errors import TiercelError
from tiercel.geo import Square, ZoomTree
from tiercel.models.config import EmbeddingConfig

#: Room for 160 m, the north-western corner of which is that of the first map.
ROOT = Square(500_080.0, 4_999_920.0, 160.0)


class District:
    """A part of a larger map, `fake_map`, as a map of its own: (west, north, east, south) in metres from its corner."""

    def __init__(self, whole, name, part) -> None:
        west, north, east, south = part
        self.whole, self.part, self.name, self.source, self.resolution = whole, part, name, f"{name}.tif", 2.0
        self.frame = whole.frame
        self.bounds = (whole.west + west, whole.north - south, whole.west + east, whole.north - north)

    def fingerprint(self) -> str:
        return f"{self.name} {self.part}"

    def read(self, square, pixels) -> tuple[np.ndarray, np.ndarray]:
        rgb, covered = self.whole.read(square, pixels)
        x, y = np.meshgrid(*square.pixel_centres(pixels))
        west, south, east, north = self.bounds
        covered = covered & (x >= west) & (x < east) & (y > south) & (y <= north)
        return rgb * covered[..., None].astype(np.uint8), covered


@pytest.fixture
def whole(fake_map) -> Any:
    """160 m of map."""
    return fake_map(160.0, 160.0)


@pytest.fixture
def west(whole) -> District:
    return District(whole, "west", (0, 0, 80, 80))


@pytest.fixture
def east(whole) -> District:
    """It overlaps the west by two columns of leaves."""
    return District(whole, "east", (60, 0, 140, 80))


def every_head(fake_model) -> Any:
    sizes = EmbeddingConfig(width=9, tile_pixels=64, tile_m=20.0)
    return fake_model(heads=("retrieval", "zoom", "match", "embedding"), embedding=sizes)


def cells(atlas) -> dict[int, tuple]:
    """Number of each cell of the gallery to its row."""
    table, version = gallery_table(atlas.folder), atlas.versions["gallery"]
    columns = {name: read_column(table, name, column, version) for name, column in gallery_columns(9).items()}
    rows = zip(columns["x"], columns["y"], columns["side"], map(tuple, columns["embedding"].tolist()), strict=True)
    return dict(zip(columns["cell"].tolist(), rows, strict=True))


def test_only_what_is_new_is_encoded_and_what_was_there_stays(west, east, fake_model, tmp_path) -> None:
    plan = GalleryPlan((1.0, 2.0), 0.5)
    first = build(west, every_head(fake_model), tmp_path / "atlas", root=ROOT, gallery=plan)
    before, keys, leaves = cells(first), first.keys, first.leaf_index
    zoom = {level: first.zoom_keys(level) for level in first.zoom_levels}
    alone = build(east, every_head(fake_model), tmp_path / "east", root=ROOT, gallery=plan)
    model = every_head(fake_model)
    both = append(east, model, tmp_path / "atlas")
    assert [record.name for record in both.manifest.districts] == ["east"] and both.map_name == "west"
    # Leaves: 8 columns are the west's, 6 of the east's 8 are new.
    assert len(both.leaf_index) == 64 + 48
    np.testing.assert_array_equal(both.leaf_index[:64], leaves)
    np.testing.assert_array_equal(both.keys[:64], keys)
    np.testing.assert_array_equal(both.keys[64:], alone.keys[alone.rows(both.leaf_index[64:])])
    np.testing.assert_array_equal(both.match[64:], alone.match[alone.rows(both.leaf_index[64:])])
    for level, old in zoom.items():
        new = both.zoom_keys(level)
        stored = ~np.isnan(old[:, 0])
        np.testing.assert_array_equal(new[stored], old[stored])
        np.testing.assert_array_equal(~np.isnan(new[:, 0]), both.covered(level))
        if level == min(zoom):
            added = both.covered(level) & ~stored
            np.testing.assert_array_equal(new[added], alone.zoom_keys(level)[added])
    after, other = cells(both), cells(alone)
    assert list(after)[: len(before)] == list(before)
    assert set(after) == set(before) | set(other)
    for cell, row in after.items():
        assert row == (before[cell] if cell in before else other[cell])
    assert model.tiles == len(after) - len(before)
    # The picture shows both.
    rgb, covered = both.overview(40)
    expected, inside = east.whole.read(ROOT, 40)
    np.testing.assert_array_equal(covered, inside & (np.arange(40) < 35) & (np.arange(40) < 20)[:, None])
    np.testing.assert_allclose(rgb[covered].astype(float), expected[covered], atol=4)


def test_an_atlas_appended_to_is_as_one_built_at_once(whole, west, fake_model, tmp_path) -> None:
    """Where districts do not overlap and no cell sees beyond its district, that is."""
    plan = GalleryPlan((1.0,), 1.0)
    model = embedding_model(fake_model, tile_m=10.0)
    far = District(whole, "far", (80, 80, 160, 160))
    build(west, model, tmp_path / "parts", root=ROOT, gallery=plan)
    parts = append(far, model, tmp_path / "parts")
    once = build(whole, model, tmp_path / "once", root=ROOT, gallery=plan)
    expected = cells(once)
    found = cells(parts)
    assert len(found) == 128 and all(expected[cell] == row for cell, row in found.items())
    assert set(parts.leaf_index) < set(once.leaf_index)


def test_a_map_that_is_there_already_changes_nothing(west, east, fake_model, tmp_path) -> None:
    build(west, every_head(fake_model), tmp_path / "atlas", root=ROOT)
    append(east, every_head(fake_model), tmp_path / "atlas")
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "atlas").rglob("*")}
    model = every_head(fake_model)
    for basemap in (west, east):
        atlas = append(basemap, model, tmp_path / "atlas")
    assert len(atlas.manifest.districts) == 1
    assert model.blocks == model.tiles == 0
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "atlas").rglob("*")} == before


def test_nothing_but_the_atlas_is_left(west, east, whole, fake_model, tmp_path) -> None:
    build(west, every_head(fake_model), tmp_path / "atlas", root=ROOT)
    append(east, every_head(fake_model), tmp_path / "atlas")
    append(District(whole, "south", (0, 80, 160, 160)), every_head(fake_model), tmp_path / "atlas")
    assert [path.name for path in tmp_path.iterdir()] == ["atlas"]
    assert not (tmp_path / "atlas" / "pieces").exists()
    assert {path.name for path in (tmp_path / "atlas").glob("overview*")} == {"overview-1.png", "overview-2.png"}
    # The version that one who has the atlas open may read, and the one to read.
    for table in (tmp_path / "atlas").glob("*.lance"):
        assert len(lance.dataset(str(table)).versions()) == 2


def test_one_who_has_the_atlas_open_still_reads_it_as_it_was(west, east, fake_model, tmp_path) -> None:
    build(west, every_head(fake_model), tmp_path / "atlas", root=ROOT)
    reader = Atlas.open(tmp_path / "atlas")
    append(east, every_head(fake_model), tmp_path / "atlas")
    assert len(reader.leaf_index) == len(reader.keys) == 64
    assert len(cells(reader)) == 64
    assert reader.overview(8)[1].sum() == 16


class Stops(Exception):  # noqa: N818
    """Not a mistake."""


@pytest.mark.parametrize("where", ["leaves", "gallery", "between tables", "at the very end"])
def test_a_killed_append_leaves_the_atlas_as_it_was_and_goes_on(
    west, east, whole, fake_model, tmp_path, monkeypatch, where
) -> None:
    monkeypatch.setattr("tiercel.atlas.gallery.BLOCK_CELLS", 4)
    plan = GalleryPlan((1.0, 2.0), 0.5)
    build(west, every_head(fake_model), tmp_path / "atlas", root=ROOT, gallery=plan)
    build(west, every_head(fake_model), tmp_path / "whole", root=ROOT, gallery=plan)
    expected = append(east, every_head(fake_model), tmp_path / "whole")
    model = every_head(fake_model)

    def stop(*_arguments: object, **_options: object) -> None:
        raise Stops

    with monkeypatch.context() as patch:
        if where == "leaves":
            encode = model.encode_block
            model.encode_block = lambda *given: stop() if model.blocks else encode(*given)
        elif where == "gallery":
            encode_tiles = model.encode_tiles
            model.encode_tiles = lambda *given: stop() if model.tiles > 40 else encode_tiles(*given)
        elif where == "between tables":
            patch.setattr("tiercel.atlas.encode._encode_gallery", stop)
        else:
            patch.setattr("tiercel.atlas.overview.to_png", stop)
        with pytest.raises(Stops):
            append(east, model, tmp_path / "atlas")
    between = Atlas.open(tmp_path / "atlas", model)
    assert len(between.leaf_index) == 64 and not between.manifest.districts
    if where == "leaves":  # Another map comes in between: nothing of the first is left.
        append(District(whole, "south", (0, 80, 80, 160)), every_head(fake_model), tmp_path / "atlas")
        both = append(east, every_head(fake_model), tmp_path / "atlas")
        assert len(both.leaf_index) == 64 + 64 + 48
        return
    resumed = every_head(fake_model)
    atlas = append(east, resumed, tmp_path / "atlas")
    assert resumed.tiles < expected.manifest.gallery.width * 1000
    if where in ("between tables", "at the very end"):
        assert resumed.blocks == 0
    assert cells(atlas) == cells(expected)
    np.testing.assert_array_equal(atlas.leaf_index, expected.leaf_index)
    np.testing.assert_array_equal(atlas.keys, expected.keys)
    for level in atlas.zoom_levels:
        np.testing.assert_array_equal(atlas.zoom_keys(level), expected.zoom_keys(level))


SCRIPT = """
import runpy, signal, sys, time
signal.signal(signal.SIGINT, signal.default_int_handler)
fakes = runpy.run_path(sys.argv[1])
from tiercel.atlas import append

class Slow(fakes["FakeModel"]):
    def encode_block(self, *arguments: object):
        print("a block", flush=True)
        time.sleep(60)

try:
    append(fakes["FakeMap"](content="b"), Slow(), sys.argv[2])
except KeyboardInterrupt as stop:
    print(stop, flush=True)
    sys.exit(130)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="sends POSIX signals")
def test_ctrl_c_says_how_to_go_on(fake_map, fake_model, tmp_path) -> None:
    build(fake_map(30.0, 30.0), fake_model(), tmp_path / "atlas", root=Square(500_040.0, 4_999_960.0, 80.0))
    fakes = Path(__file__).with_name("conftest.py")
    command = [sys.executable, "-c", SCRIPT, str(fakes), str(tmp_path / "atlas")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "a block\n"
        os.kill(process.pid, signal.SIGINT)
        rest = process.stdout.read()
    assert process.returncode == 130 and rest.startswith("Stopped; run the same command again to go on")
    assert len(Atlas.open(tmp_path / "atlas").leaf_index) == 9


def test_an_atlas_that_names_no_versions_can_be_appended_to(west, east, fake_model, tmp_path) -> None:
    atlas = build(west, every_head(fake_model), tmp_path / "atlas", root=ROOT)
    path = atlas.folder / "atlas.json"
    content = json.loads(path.read_text())
    del content["versions"]
    path.write_text(json.dumps(content))
    assert Atlas.open(tmp_path / "atlas").versions == {}
    assert len(append(east, every_head(fake_model), tmp_path / "atlas").leaf_index) == 112


def test_with_embeddings_alone_the_tree_grows_towards_the_district(whole, west, fake_model, tmp_path) -> None:
    plan = GalleryPlan((1.0, 2.0), 0.5)
    first = build(west, embedding_model(fake_model), tmp_path / "atlas", gallery=plan)
    assert first.tree == ZoomTree(Square(500_040.0, 4_999_960.0, 80.0), 2, 3)
    before = cells(first)
    x, y = first.tree.centre(3, *first.tree.unflat(3, first.leaf_index))
    both = append(District(whole, "far", (90, 100, 160, 160)), embedding_model(fake_model), tmp_path / "atlas")
    assert both.tree == ZoomTree(Square(500_080.0, 4_999_920.0, 160.0), 2, 4)
    assert len(both.leaf_index) == 64 + 7 * 6 == both.covered(4).sum()
    new_x, new_y = both.tree.centre(4, *both.tree.unflat(4, both.leaf_index))
    old = {(float(a), float(b)) for a, b in zip(x, y, strict=True)}
    assert old < {(float(a), float(b)) for a, b in zip(new_x, new_y, strict=True)}
    after = cells(both)
    assert {cell: after[cell] for cell in before} == before
    assert both.overview(32)[1].sum() == 16 * 16 + 14 * 12


@pytest.mark.parametrize(("corner", "centre"), [("north west", (-1, 1)), ("south east", (1, -1)), ("far east", (3, 0))])
def test_the_tree_grows_to_any_side(fake_map, fake_model, tmp_path, corner, centre) -> None:
    model = embedding_model(fake_model)
    first = build(fake_map(80.0, 80.0), model, tmp_path / "atlas")
    moved = fake_map(40.0, 40.0, content="b")
    east, north = {"north west": (-60, 60), "south east": (90, -90), "far east": (200, 0)}[corner]
    moved.west, moved.north = moved.west + east, moved.north + north
    moved.bounds = (moved.west, moved.north - 40, moved.west + 40, moved.north)
    both = append(moved, model, tmp_path / "atlas")
    assert len(both.leaf_index) == 64 + 16
    assert (both.tree.root.x > first.tree.root.x) == (centre[0] > 0)
    west, south, right, top = moved.bounds
    assert both.tree.root.west <= west and both.tree.root.east >= right
    assert both.tree.root.south <= south and both.tree.root.north >= top


def test_no_room_for_a_district(west, whole, fake_model, tmp_path) -> None:
    build(west, every_head(fake_model), tmp_path / "atlas")
    before = (tmp_path / "atlas" / "atlas.json").read_text()
    far = District(whole, "far", (90, 100, 160, 160))
    with pytest.raises(
        TiercelError, match=r"far reaches beyond the 0.08 km .* --around 45.15\d*,15.00\d*,0.2, then app"
    ):
        append(far, every_head(fake_model), tmp_path / "atlas")
    assert (tmp_path / "atlas" / "atlas.json").read_text() == before
    distant = fake_map_at(west, 50_000.0)
    with pytest.raises(TiercelError, match="reaches beyond"):
        append(distant, every_head(fake_model), tmp_path / "atlas")
    build(west, embedding_model(fake_model), tmp_path / "grows")
    with pytest.raises(TiercelError, match=r"distant reaches beyond the 0\.08 km"):
        append(distant, embedding_model(fake_model), tmp_path / "grows")


def fake_map_at(district, away) -> District:
    """A district far to the east."""
    return District(district.whole, "distant", (away, 0, away + 80, 80))


def test_districts_that_add_nothing(west, whole, fake_model, tmp_path) -> None:
    build(west, every_head(fake_model), tmp_path / "atlas", root=ROOT)
    whole.holes = [(80, 80, 160, 160)]
    inside, empty = District(whole, "inside", (10, 10, 50, 50)), District(whole, "empty", (80, 80, 160, 160))
    for basemap in (inside, empty):
        with pytest.raises(
            TiercelError, match=f"The map {basemap.name} adds no cell to .*atlas: what it covers is the"
        ):
            append(basemap, every_head(fake_model), tmp_path / "atlas")
    build(west, embedding_model(fake_model), tmp_path / "grows")
    with pytest.raises(TiercelError, match="The map empty adds no cell to"):
        append(District(whole, "empty", (80, 80, 160, 160)), embedding_model(fake_model), tmp_path / "grows")
    assert Atlas.open(tmp_path / "grows").tree.depth == 3
    atlas = Atlas.open(tmp_path / "atlas")
    assert len(atlas.leaf_index) == 64 and not atlas.manifest.districts
    assert not (tmp_path / "atlas" / "pieces").exists()


def test_another_model_and_no_atlas(west, east, fake_model, tmp_path) -> None:
    with pytest.raises(TiercelError, match="There is no atlas at"):
        append(east, every_head(fake_model), tmp_path / "atlas")
    build(west, every_head(fake_model), tmp_path / "atlas", root=ROOT)
    with pytest.raises(TiercelError, match="was built for model mean colour"):
        append(east, fake_model(fingerprint="g" * 16), tmp_path / "atlas")
