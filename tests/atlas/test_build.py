import errno
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import lance
import numpy as np
import pytest
import torch
from lance.fragment import LanceFragment

from tiercel.atlas import Atlas, build
from tiercel.errors import TiercelError
from tiercel.geo import Square, ZoomTree
from tiercel.maps import open_map
from tiercel.models import Model, ModelConfig


def same(one: Atlas, other: Atlas) -> None:
    """Fails unless two atlases hold the same, in the same order."""
    assert one.manifest == other.manifest
    for name in ("leaf_index", "covered_share", "keys", "bias", "match"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
    for level in one.zoom_levels:
        np.testing.assert_array_equal(one.zoom_keys(level), other.zoom_keys(level))
    for left, right in zip(one.overview(64), other.overview(64), strict=True):
        np.testing.assert_array_equal(left, right)


def expected_colour(atlas, basemap, x, y) -> np.ndarray:
    """Mean red and green of ground around points, but for rounding down to whole numbers."""
    return np.stack([3 * (x - basemap.west) - 0.5, 3 * (basemap.north - y) - 0.5], -1)


def test_every_feature_lands_on_its_leaf(fake_map, fake_model, tmp_path) -> None:
    basemap, model = fake_map(), fake_model()
    atlas = build(basemap, model, tmp_path / "atlas")
    tree = atlas.tree
    assert tree == ZoomTree(Square(500_037.5, 4_999_970.0, 80.0), 2, 3)
    # Rows 0 and 7 lie outside the map; the outer columns are covered by three quarters.
    row, col = tree.unflat(3, atlas.leaf_index)
    assert set(row.tolist()) == set(range(1, 7))
    assert len(atlas.leaf_index) == 6 * 8
    np.testing.assert_allclose(atlas.covered_share, np.where((col == 0) | (col == 7), 0.75, 1), atol=1e-6)

    assert atlas.keys.shape == (48, 4, 3, 4)
    assert atlas.keys.dtype == np.float16
    assert atlas.keys.flags.c_contiguous
    whole = (col > 0) & (col < 7)
    x, y = tree.centre(3, row, col)
    for position, (south, east) in enumerate([(-1, -1), (-1, 1), (1, -1), (1, 1)]):
        expected = expected_colour(atlas, basemap, x + east * 2.5, y - south * 2.5)
        for heading in range(3):
            np.testing.assert_allclose(atlas.keys[whole, position, heading, :2], expected[whole], atol=0.6)
            assert (atlas.keys[:, position, heading, 3] == heading).all()
        np.testing.assert_allclose(atlas.bias[whole, position], expected[whole, 0], atol=0.6)
    assert atlas.match.shape == (48, 5, 5, 3)
    for r in range(5):
        for c in range(5):
            expected = expected_colour(atlas, basemap, x + 2 * (c - 2), y - 2 * (r - 2))
            np.testing.assert_allclose(atlas.match[whole, r, c, :2], expected[whole], atol=0.6)


def test_zoom_keys_come_from_the_top_and_carry_the_key_of_their_square(fake_map, fake_model, tmp_path) -> None:
    basemap, model = fake_map(), fake_model()
    atlas = build(basemap, model, tmp_path / "atlas")
    tree = atlas.tree
    # The tree has three picks and the model was trained for two: the first has no keys.
    assert atlas.zoom_levels == (2, 3)
    with pytest.raises(ValueError, match="level 1 has no zoom keys"):
        atlas.zoom_keys(1)
    for level, from_leaf in ((2, 2), (3, 1)):
        keys = atlas.zoom_keys(level)
        assert keys.shape == (tree.count(level), 6)
        assert keys.dtype == np.float16
        np.testing.assert_array_equal(np.isnan(keys).any(-1), ~atlas.covered(level))
        covered = np.flatnonzero(atlas.covered(level))
        row, col = tree.unflat(level, covered)
        assert (keys[covered, 3] == from_leaf).all()
        x, y = tree.centre(level, row, col)
        half = tree.side(level) / 2
        west, south, east, north = basemap.bounds
        whole = (x - half > west) & (x + half < east) & (y - half > south) & (y + half < north)
        assert whole.sum() >= 4
        np.testing.assert_allclose(keys[covered[whole], :2], expected_colour(atlas, basemap, x, y)[whole], atol=1.0)
    parent = tree.flat(2, *tree.parent(3, row, col))
    np.testing.assert_array_equal(atlas.zoom_keys(3)[covered, 4:], atlas.zoom_keys(2)[parent, :2])
    assert (atlas.zoom_keys(2)[atlas.covered(2), 4:] == -1).all()


def test_what_is_read_is_the_block_with_its_margin_and_the_square_with_its(fake_map, fake_model, tmp_path) -> None:
    basemap, model = fake_map(), fake_model()
    atlas = build(basemap, model, tmp_path / "atlas")
    root = atlas.tree.root
    # 2 x 2 blocks of 4 leaves with a leaf of margin, 20 px a leaf; the first is the north-western.
    assert basemap.reads[0] == (Square(root.west + 20, root.north - 20, 60.0), 120)
    assert [square.side for square, _ in basemap.reads].count(60.0) == 4
    # 2 x 2 squares of 40 m and 8 x 4 or so of 20 m, with an eighth on each side.
    assert next(read for read in basemap.reads if read[0].side == 50.0) == (
        Square(root.west + 20, root.north - 20, 50.0),
        40,
    )
    assert [square.side for square, _ in basemap.reads].count(25.0) == atlas.covered(2).sum()
    assert max(model.squares) <= 16


def test_a_tree_shallower_than_the_model_uses_its_lower_levels(fake_map, fake_model, tmp_path) -> None:
    atlas = build(fake_map(18.0, 18.0), fake_model(zoom_levels=3), tmp_path / "atlas")
    assert atlas.tree.depth == 1
    assert atlas.zoom_levels == (1,)
    # The only block is larger than the tree.
    assert sorted(atlas.leaf_index.tolist()) == [0, 1, 2, 3]
    assert (atlas.zoom_keys(1)[:, 3] == 1).all()
    assert (atlas.zoom_keys(1)[:, 4] == -1).all()


def test_levels_that_are_left_to_retrieval_have_no_zoom_keys(fake_map, fake_model, tmp_path) -> None:
    steps = []
    model = fake_model(zoom_levels=3, zoom_lowest=2)
    atlas = build(fake_map(), model, tmp_path / "atlas", progress=lambda done, total: steps.append((done, total)))
    assert atlas.zoom_levels == (1, 2)
    assert (atlas.zoom_keys(1)[atlas.covered(1), 3] == 3).all()
    assert not list((tmp_path / "atlas").glob("zoom_3*"))
    assert steps[-1][0] == steps[-1][1] == len(steps)


def test_a_tree_with_a_given_root(fake_map, fake_model, tmp_path) -> None:
    root = Square(fake_map().bounds[0] + 40.0, fake_map().bounds[3] - 40.0, 40.0)
    atlas = build(fake_map(), fake_model(), tmp_path / "atlas", root=root)
    assert atlas.tree == ZoomTree(root, 2, 2)


def test_blocks_that_do_not_divide_the_tree_reach_beyond_it(fake_map, fake_model, tmp_path) -> None:
    basemap = fake_map(85.0, 85.0)
    atlas = build(basemap, fake_model(branching=3, zoom_pixels=60), tmp_path / "atlas")
    assert atlas.tree.cells_per_side(2) == 9
    assert sorted(atlas.leaf_index.tolist()) == list(range(81))
    row, col = atlas.tree.unflat(2, atlas.leaf_index)
    whole = (row > 0) & (row < 8) & (col > 0) & (col < 8)
    x, y = atlas.tree.centre(2, row, col)
    means = atlas.match.mean((1, 2), dtype=np.float64)[..., :2]
    np.testing.assert_allclose(means[whole], expected_colour(atlas, basemap, x, y)[whole], atol=0.6)


def test_holes_in_the_coverage_are_left_out(fake_map, fake_model, tmp_path) -> None:
    # The north-western block without its margin, and less than half of one leaf further south.
    model = fake_model()
    basemap = fake_map(80.0, 80.0, holes=[(0, 0, 40, 40), (0, 40, 4, 50), (10, 40, 16, 50)])
    atlas = build(basemap, model, tmp_path / "atlas")
    expected = np.ones((8, 8), np.bool_)
    expected[:4, :4] = False
    expected[4, 1] = False  # 6 of its 10 m are missing; its western neighbour lacks 4
    np.testing.assert_array_equal(atlas.covered(3).reshape(8, 8), expected)
    np.testing.assert_array_equal(atlas.covered(1).reshape(2, 2), [[False, True], [True, True]])
    assert atlas.covered(0).all()
    assert model.blocks == 3
    rows = atlas.rows(np.arange(64))
    np.testing.assert_array_equal(rows >= 0, expected.ravel())
    np.testing.assert_array_equal(atlas.leaf_index[rows[rows >= 0]], np.flatnonzero(expected))
    share = np.zeros(64)
    share[atlas.leaf_index] = atlas.covered_share
    assert share.reshape(8, 8)[4, 0] == pytest.approx(0.6)


def test_a_model_without_some_heads_leaves_their_features_out(fake_map, fake_model, tmp_path) -> None:
    atlas = build(fake_map(), fake_model(heads=("match",)), tmp_path / "atlas")
    assert atlas.match.shape == (48, 5, 5, 3)
    assert atlas.zoom_levels == ()
    for name in ("keys", "bias"):
        with pytest.raises(TiercelError, match=f"no {name}: its model has only these heads: match"):
            getattr(atlas, name)


def test_progress_counts_up_to_all(fake_map, fake_model, tmp_path) -> None:
    seen = []
    build(fake_map(), fake_model(), tmp_path / "atlas", progress=lambda done, total: seen.append((done, total)))
    # 4 blocks, then 4 squares and 16 squares in pieces of 16.
    assert seen == [(n, 6) for n in range(1, 7)]


def test_a_map_without_coverage_is_refused_and_leaves_nothing(fake_map, fake_model, tmp_path) -> None:
    with pytest.raises(TiercelError, match=r"The map plain covers no place"):
        build(fake_map(holes=[(0, 0, 75, 60)]), fake_model(), tmp_path / "atlas")
    assert list(tmp_path.iterdir()) == []


def test_only_the_atlas_is_left_when_all_is_done(fake_map, fake_model, tmp_path) -> None:
    build(fake_map(), fake_model(), tmp_path / "deep" / "atlas")
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["atlas"]
    names = sorted(path.name for path in (tmp_path / "deep" / "atlas").iterdir())
    assert names == ["atlas.json", "leaves.lance", "overview.png", "zoom_2.lance", "zoom_3.lance"]
    assert lance.dataset(str(tmp_path / "deep" / "atlas" / "leaves.lance")).version == 1


def test_an_atlas_that_is_there_already_is_left_as_it_is(fake_map, fake_model, tmp_path) -> None:
    build(fake_map(), fake_model(), tmp_path / "atlas")
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "atlas").rglob("*")}
    model = fake_model()
    for overwrite in (False, True):
        build(fake_map(), model, tmp_path / "atlas", overwrite=overwrite)
    assert model.blocks == 0
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "atlas").rglob("*")} == before


@pytest.mark.parametrize(
    ("what", "other_map", "other_model"),
    [
        ("another map;", {"content": "b"}, {}),
        ("another model;", {}, {"fingerprint": "g" * 16}),
        ("another map and tree;", {"width": 200.0}, {}),
    ],
)
def test_an_atlas_of_something_else_is_kept_unless_it_may_be_overwritten(
    fake_map, fake_model, tmp_path, what, other_map, other_model
) -> None:
    first = build(fake_map(), fake_model(), tmp_path / "atlas")
    first_keys = first.keys.copy()
    with pytest.raises(TiercelError, match=f"{tmp_path / 'atlas'} is an atlas of {what} .*-o, .*--overwrite"):
        build(fake_map(**other_map), fake_model(**other_model), tmp_path / "atlas")
    np.testing.assert_array_equal(Atlas.open(tmp_path / "atlas", fake_model()).keys, first_keys)
    model = fake_model(**other_model)
    build(fake_map(**other_map), model, tmp_path / "atlas", overwrite=True)
    assert model.blocks > 0
    assert Atlas.open(tmp_path / "atlas", model).manifest.map.fingerprint == fake_map(**other_map).fingerprint()
    assert [path.name for path in tmp_path.iterdir()] == ["atlas"]


def test_an_atlas_stays_until_what_overwrites_it_is_complete(fake_map, fake_model, tmp_path) -> None:
    build(fake_map(), fake_model(), tmp_path / "atlas")
    with pytest.raises(RuntimeError):
        build(fake_map(content="b"), Failing(fake_model(), 1), tmp_path / "atlas", overwrite=True)
    assert Atlas.open(tmp_path / "atlas", fake_model()).manifest.map.fingerprint.startswith("a")


@pytest.mark.parametrize("overwrite", [False, True])
def test_what_is_no_atlas_is_never_touched(fake_map, fake_model, tmp_path, overwrite) -> None:
    for place in ("holiday", "work.partial"):
        (tmp_path / place).mkdir()
        (tmp_path / place / "photo.jpg").write_text("precious")
        with pytest.raises(TiercelError, match=f"{tmp_path / place} is .*-o"):
            build(fake_map(), fake_model(), tmp_path / place.removesuffix(".partial"), overwrite=overwrite)
        assert (tmp_path / place / "photo.jpg").read_text() == "precious"
    (tmp_path / "file").write_text("precious")
    with pytest.raises(TiercelError, match="is not an atlas"):
        build(fake_map(), fake_model(), tmp_path / "file", overwrite=overwrite)
    with pytest.raises(TiercelError, match="cannot be written"):
        build(fake_map(), fake_model(), tmp_path / "file" / "atlas", overwrite=overwrite)
    assert (tmp_path / "file").read_text() == "precious"


def test_an_empty_folder_is_a_good_place(fake_map, fake_model, tmp_path) -> None:
    (tmp_path / "atlas").mkdir()
    build(fake_map(), fake_model(), tmp_path / "atlas")
    assert [path.name for path in tmp_path.iterdir()] == ["atlas"]


class Failing:
    """A model that fails after some calls; what it failed at is told by `error`."""

    def __init__(self, model, calls, error=None) -> None:
        self.model, self.left, self.error = model, calls, error or RuntimeError("no more")
        self.name, self.fingerprint, self.config = model.name, model.fingerprint, model.config

    def _call(self, method, *arguments: object) -> object:
        if not self.left:
            raise self.error
        self.left -= 1
        return method(*arguments)

    def encode_block(self, *arguments: object) -> object:
        return self._call(self.model.encode_block, *arguments)

    def encode_children(self, *arguments: object) -> object:
        return self._call(self.model.encode_children, *arguments)


@pytest.mark.parametrize("calls", range(6))
def test_a_build_that_fails_anywhere_goes_on_and_ends_the_same(fake_map, fake_model, tmp_path, calls) -> None:
    whole = build(fake_map(), fake_model(), tmp_path / "whole")
    with pytest.raises(RuntimeError, match="no more"):
        build(fake_map(), Failing(fake_model(), calls), tmp_path / "atlas")
    assert not (tmp_path / "atlas").exists()
    model = fake_model()
    again = build(fake_map(), model, tmp_path / "atlas")
    assert model.blocks + len(model.squares) == 6 - calls
    same(whole, again)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["atlas", "whole"]


def test_a_data_file_that_was_cut_short_by_a_kill_is_not_taken_up(fake_map, fake_model, tmp_path) -> None:
    whole = build(fake_map(), fake_model(), tmp_path / "whole")
    with pytest.raises(RuntimeError):
        build(fake_map(), Failing(fake_model(), 2), tmp_path / "atlas")
    partial = tmp_path / "atlas.partial"
    stray = partial / "leaves.lance" / "data" / "1010.lance"
    stray.write_bytes(b"half")
    (partial / "pieces" / "leaves" / "000000002.json.tmp").write_text("{")
    same(whole, build(fake_map(), fake_model(), tmp_path / "atlas"))
    assert not list((tmp_path / "atlas").rglob("1010.lance"))


@pytest.mark.parametrize("moment", ["rmtree", "replace"])
def test_a_build_killed_in_its_last_steps_is_finished_without_the_model(
    fake_map, fake_model, tmp_path, moment, monkeypatch
) -> None:
    whole = build(fake_map(), fake_model(), tmp_path / "whole")
    replace = os.replace

    def killed(*_arguments: object, **_options) -> None:
        raise RuntimeError("killed")

    with monkeypatch.context() as patch:
        if moment == "rmtree":
            patch.setattr(shutil, "rmtree", killed)
        else:
            patch.setattr(os, "replace", lambda one, other: killed() if Path(one).is_dir() else replace(one, other))
        with pytest.raises(RuntimeError, match="killed"):
            build(fake_map(), fake_model(), tmp_path / "atlas")
    model = fake_model()
    same(whole, build(fake_map(), model, tmp_path / "atlas"))
    assert model.blocks + len(model.squares) == 0


@pytest.mark.parametrize("other", ["map", "format"])
def test_what_a_killed_build_of_something_else_left_is_started_over(fake_map, fake_model, tmp_path, other) -> None:
    with pytest.raises(RuntimeError):
        build(fake_map(content="b" if other == "map" else "a"), Failing(fake_model(), 3), tmp_path / "atlas")
    if other == "format":
        manifest = tmp_path / "atlas.partial" / "atlas.json"
        manifest.write_text(manifest.read_text().replace('"format": 1', '"format": 0'))
    model = fake_model()
    build(fake_map(), model, tmp_path / "atlas")
    assert model.blocks == 4


def test_ctrl_c_says_how_to_go_on(fake_map, fake_model, tmp_path) -> None:
    with pytest.raises(KeyboardInterrupt, match="run the same command again") as raised:
        build(fake_map(), Failing(fake_model(), 3, KeyboardInterrupt()), tmp_path / "atlas")
    assert str(tmp_path / "atlas.partial") in str(raised.value)
    model = fake_model()
    build(fake_map(), model, tmp_path / "atlas")
    assert model.blocks == 1


@pytest.mark.parametrize("where", ["note", "data", "commit"])
def test_a_full_disk_is_told_in_a_sentence_and_the_build_goes_on_later(
    fake_map, fake_model, tmp_path, where, monkeypatch
) -> None:
    calls = []

    def full_after(function, count, error):
        def wrapper(*arguments: object, **options):
            calls.append(1)
            if len(calls) > count:
                raise error
            return function(*arguments, **options)

        return wrapper

    # As Lance words it, without an error number.
    worded = OSError("LanceError(IO): No space left on device (os error 28), rust/lance-file/src/writer.rs:190:9")
    with monkeypatch.context() as patch:
        if where == "note":
            patch.setattr(Path, "write_bytes", full_after(Path.write_bytes, 2, OSError(errno.ENOSPC, "full")))
        elif where == "data":
            patch.setattr(LanceFragment, "create", full_after(LanceFragment.create, 2, worded))
        else:
            patch.setattr(lance.LanceDataset, "commit", full_after(lance.LanceDataset.commit, 1, worded))
        with pytest.raises(TiercelError, match="The disk is full; free some space and run the same command again"):
            build(fake_map(), fake_model(), tmp_path / "atlas")
    assert not (tmp_path / "atlas").exists()
    same(build(fake_map(), fake_model(), tmp_path / "atlas"), build(fake_map(), fake_model(), tmp_path / "whole"))


def test_the_disk_is_full_before_anything_is_written(fake_map, fake_model, tmp_path, monkeypatch) -> None:
    def full(*_arguments: object, **_options) -> None:
        raise OSError(errno.ENOSPC, "full")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_text", full)
        with pytest.raises(TiercelError, match="The disk is full"):
            build(fake_map(), fake_model(), tmp_path / "atlas")
    build(fake_map(), fake_model(), tmp_path / "atlas")


SCRIPT = """
import runpy, signal, sys, time
# A suite started in the background inherits that Ctrl-C is ignored; the process under test must not.
signal.signal(signal.SIGINT, signal.default_int_handler)
fakes = runpy.run_path(sys.argv[1])
from tiercel.atlas import build

class Slow(fakes["FakeModel"]):
    def encode_block(self, *arguments: object):
        if self.blocks == 2:
            print("third block", flush=True)
            time.sleep(60)
        return super().encode_block(*arguments)

try:
    build(fakes["FakeMap"](), Slow(), sys.argv[2])
except KeyboardInterrupt as stop:
    print(stop, flush=True)
    sys.exit(130)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="sends POSIX signals")
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_a_process_killed_in_the_middle_is_taken_up_by_the_next(fake_map, fake_model, tmp_path, number) -> None:
    fakes = Path(__file__).with_name("conftest.py")
    process = subprocess.Popen(
        [sys.executable, "-c", SCRIPT, str(fakes), str(tmp_path / "atlas")], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    with process:
        assert process.stdout.readline() == "third block\n"
        assert not (tmp_path / "atlas").exists()
        os.kill(process.pid, number)
        rest = process.stdout.read()
    if number == signal.SIGINT:
        assert process.returncode == 130
        assert rest.startswith("Stopped; run the same command again")
    assert not (tmp_path / "atlas").exists()
    model = fake_model()
    resumed = build(fake_map(), model, tmp_path / "atlas")
    assert model.blocks == 2
    same(resumed, build(fake_map(), fake_model(), tmp_path / "whole"))


def test_a_network_fits_in(fake_map, tmp_path) -> None:
    torch.manual_seed(0)
    model = Model(ModelConfig(block_leaves=4, headings=8, ranges_m=(0.0, 9.0, 24.0)))
    atlas = build(fake_map(120.0, 60.0), model, tmp_path / "atlas")
    assert atlas.tree.depth == 1
    # Rows 1 and 2 of 4 are covered by 28.75 m of their 31.25 m.
    assert sorted(atlas.leaf_index.tolist()) == list(range(4, 12))
    assert atlas.keys.shape == (8, 16, 8, 16)
    assert atlas.match.shape == (8, 16, 16, 16)
    for values in (atlas.keys, atlas.bias, atlas.match, atlas.zoom_keys(1)[atlas.covered(1)]):
        assert np.isfinite(values).all()
    assert len(np.unique(atlas.keys[:, 0, 0, 0])) > 1


DATA = Path(__file__).parents[2].parent / "shared" / "data"


@pytest.mark.skipif(not DATA.is_dir(), reason="the real maps are not there")
@pytest.mark.parametrize("name", ["dc/dc-anacostia.tif", "brig/brig.mbtiles"])
def test_real_maps_with_gaps(fake_model, tmp_path, name) -> None:
    model = fake_model(leaf_m=125.0, branching=4, block_leaves=16, pixels_per_leaf=10)
    with open_map(DATA / name) as basemap:
        atlas = build(basemap, model, tmp_path / "atlas")
        depth = atlas.tree.depth
        assert 0 < len(atlas.leaf_index) < atlas.tree.count(depth)
        assert (atlas.covered_share >= 0.5).all()
        # Spot checks against the map itself, leaf by leaf.
        whole = np.flatnonzero(atlas.covered_share == 1)
        for row in whole[:: max(1, len(whole) // 10)]:
            cell = atlas.tree.unflat(depth, atlas.leaf_index[row])
            rgb, covered = basemap.read(atlas.tree.square(depth, int(cell[0]), int(cell[1])), 10)
            assert covered.all()
            np.testing.assert_allclose(atlas.keys[row, :, 0, :3].mean(0), rgb.mean((0, 1)), atol=3)
        missing = np.flatnonzero(~atlas.covered(depth))
        shares = [
            basemap.read(atlas.tree.square(depth, int(r), int(c)), 10)[1].mean()
            for r, c in zip(*atlas.tree.unflat(depth, missing[:: max(1, len(missing) // 20)]), strict=True)
        ]
        assert max(shares) < 0.6
