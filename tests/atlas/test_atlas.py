import json
import re

import numpy as np
import pytest

from tiercel.atlas import Atlas, build
from tiercel.errors import TiercelError
from tiercel.geo import Frame, Square


@pytest.fixture
def atlas(fake_map, fake_model, tmp_path) -> Atlas:
    return build(fake_map(), fake_model(), tmp_path / "atlas")


def test_an_atlas_tells_what_it_was_built_from(atlas, fake_map) -> None:
    again = Atlas.open(str(atlas.folder))
    assert again.frame == Frame("EPSG:32633")
    assert again.map_name == "plain"
    assert again.map_source == "plain.tif"
    assert again.tree == atlas.tree
    assert again.manifest.model.name == "mean colour"
    assert again.manifest.map.fingerprint == fake_map().fingerprint()


def test_coverage_is_known_at_every_level(atlas) -> None:
    assert atlas.covered(0).tolist() == [True]
    for level in range(atlas.tree.depth):
        rows, cols = atlas.tree.children(level, *atlas.tree.unflat(level, np.arange(atlas.tree.count(level))))
        children = atlas.covered(level + 1)[atlas.tree.flat(level + 1, rows, cols)]
        np.testing.assert_array_equal(atlas.covered(level), children.any(-1))
    np.testing.assert_array_equal(np.flatnonzero(atlas.covered(3)), np.sort(atlas.leaf_index))


def test_arrays_are_read_once(atlas) -> None:
    assert atlas.keys is atlas.keys
    assert atlas.zoom_keys(3) is atlas.zoom_keys(3)
    assert atlas.covered(2) is atlas.covered(2)


def test_the_overview_shows_the_tree_and_any_square_of_it(atlas, fake_map) -> None:
    basemap, root = fake_map(), atlas.tree.root
    rgb, covered = atlas.overview(40)
    assert rgb.shape == (40, 40, 3)
    assert rgb.dtype == np.uint8
    expected, inside = basemap.read(root, 40)
    np.testing.assert_array_equal(covered, inside)
    np.testing.assert_allclose(rgb.astype(float), expected, atol=2)
    # A square across the western edge, finer than the overview.
    square = Square(root.west + 2, root.y, 30.0)
    rgb, covered = atlas.read(square, 60)
    expected, inside = basemap.read(square, 60)
    both = covered & inside
    assert (covered != inside).mean() < 0.05
    assert both.mean() > 0.4
    np.testing.assert_allclose(rgb[both].astype(float), expected[both], atol=8)
    assert (rgb[~covered] == 0).all()
    # And one far from the map.
    rgb, covered = atlas.read(Square(root.x + 1000, root.y, 30.0), 8)
    assert not covered.any()
    assert not rgb.any()


def test_it_opens_only_for_its_own_model(atlas, fake_model) -> None:
    Atlas.open(atlas.folder, fake_model())
    other = fake_model(fingerprint="g" * 16)
    with pytest.raises(TiercelError, match=r"atlas was built for model mean colour \(f{12}\), not for .*; locate with"):
        Atlas.open(atlas.folder, other)
    with pytest.raises(TiercelError, match="was built for model"):
        atlas.check_model(other)


def test_a_folder_that_is_none_is_told_apart_from_one_that_is_missing(tmp_path) -> None:
    with pytest.raises(TiercelError, match=r"There is no atlas at .*nowhere; make one with `tiercel build MAP -o"):
        Atlas.open(tmp_path / "nowhere")
    with pytest.raises(TiercelError, match="is not an atlas"):
        Atlas.open(tmp_path)
    (tmp_path / "file").write_text("text")
    with pytest.raises(TiercelError, match="is not an atlas"):
        Atlas.open(tmp_path / "file")
    for text in ("", "{", "[]", "3", "{}", '"format"'):
        (tmp_path / "atlas.json").write_text(text)
        with pytest.raises(TiercelError, match="is not an atlas"):
            Atlas.open(tmp_path)


def test_an_older_format_is_refused(atlas) -> None:
    path = atlas.folder / "atlas.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "format": 0}))
    with pytest.raises(TiercelError, match="format 0 and this version reads 1; build it again with --overwrite"):
        Atlas.open(atlas.folder)


def test_a_manifest_that_lacks_something_is_damaged(atlas) -> None:
    path = atlas.folder / "atlas.json"
    content = json.loads(path.read_text())
    del content["tree"]["depth"]
    path.write_text(json.dumps(content))
    with pytest.raises(TiercelError, match=r"atlas\.json is damaged"):
        Atlas.open(atlas.folder)


@pytest.mark.parametrize(
    "lost",
    ["overview.png", "leaves.lance/data/*", "zoom_2.lance/data/*", "zoom_3.lance/_versions/*.manifest"],
)
def test_an_atlas_with_a_file_missing_or_cut_short_is_refused_and_can_be_built_again(
    atlas, fake_map, fake_model, lost
) -> None:
    path = next(iter(atlas.folder.glob(lost)))
    content = path.read_bytes()
    message = re.escape(f"{atlas.folder} is incomplete or damaged; build it again with --overwrite.")
    if path.suffix == ".lance":
        path.write_bytes(content[: len(content) // 2])
        with pytest.raises(TiercelError, match=message):
            Atlas.open(atlas.folder)
    path.unlink()
    with pytest.raises(TiercelError, match=message):
        Atlas.open(atlas.folder)
    with pytest.raises(TiercelError, match=message):
        build(fake_map(), fake_model(), atlas.folder)
    model = fake_model()
    again = build(fake_map(), model, atlas.folder, overwrite=True)
    assert len(again.keys) == 48


def test_a_table_that_is_lost_after_opening_is_told_in_a_sentence(atlas) -> None:
    for path in atlas.folder.glob("*.lance/data/*"):
        path.write_bytes(b"x" * path.stat().st_size)
    again = Atlas.open(atlas.folder)  # sizes are right
    for read in (lambda: again.keys, lambda: again.leaf_index, lambda: again.zoom_keys(3)):
        with pytest.raises(TiercelError, match="incomplete or damaged"):
            read()


def test_an_overview_that_is_no_picture_is_told_in_a_sentence(atlas) -> None:
    (atlas.folder / "overview.png").write_text("no picture")
    with pytest.raises(TiercelError, match="incomplete or damaged"):
        Atlas.open(atlas.folder).overview(10)
