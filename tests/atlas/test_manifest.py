import pytest
from hypothesis import given
from hypothesis import strategies as st

from tiercel.atlas.manifest import Manifest, fit_tree, tree_of
from tiercel.errors import TiercelError
from tiercel.geo import Square, ZoomTree


def test_a_map_of_exactly_two_kilometres_gets_exactly_that_root() -> None:
    tree = fit_tree((500_000.0, 4_000_000.0, 502_000.0, 4_002_000.0), 31.25, 4)
    assert tree == ZoomTree(Square(501_000.0, 4_001_000.0, 2000.0), 4, 3)
    # Not less so for what reprojection leaves.
    assert fit_tree((0.0, 0.0, 2000.0 + 1e-6, 2000.0), 31.25, 4).depth == 3
    assert fit_tree((0.0, 0.0, 2000.0 - 1e-6, 2000.0), 31.25, 4).depth == 3


@pytest.mark.parametrize(
    ("width", "height", "depth"), [(10, 10, 1), (125, 20, 1), (20, 130, 2), (500, 500, 2), (2001, 900, 4), (8000, 1, 4)]
)
def test_the_longer_side_decides(width, height, depth) -> None:
    assert fit_tree((0.0, 0.0, float(width), float(height)), 31.25, 4).depth == depth


@given(
    st.floats(-1e6, 1e6), st.floats(-1e7, 1e7), st.floats(1, 1e5), st.floats(1, 1e5),
    st.sampled_from([10.0, 31.25]), st.integers(2, 5),
)  # fmt: skip
def test_the_tree_covers_the_map_and_no_smaller_one_would(west, south, width, height, leaf, branching) -> None:
    tree = fit_tree((west, south, west + width, south + height), leaf, branching)
    assert tree.side(tree.depth) == pytest.approx(leaf)
    slack = leaf * 0.006
    assert tree.root.west <= west + slack
    assert tree.root.east >= west + width - slack
    assert tree.root.south <= south + slack
    assert tree.root.north >= south + height - slack
    assert tree.depth == 1 or leaf * branching ** (tree.depth - 1) < max(width, height)


def test_a_root_that_is_given() -> None:
    root = Square(505_000.0, 5_005_000.0, 10_000.0)
    assert tree_of(root, 39.0625, 4) == ZoomTree(root, 4, 4)
    with pytest.raises(TiercelError, match=r"A square of 10000 m .* give cells of 39\.0625 m"):
        tree_of(root, 31.25, 4)


def test_a_manifest_comes_back_as_it_was_written(fake_map, fake_model, tmp_path) -> None:
    manifest = Manifest.of(fake_map(), fake_model())
    manifest.write(tmp_path)
    assert Manifest.read(tmp_path) == manifest


def test_names_make_no_difference_but_contents_do(fake_map, fake_model) -> None:
    manifest = Manifest.of(fake_map(), fake_model())
    renamed, basemap = fake_model(), fake_map()
    renamed.name, basemap.name, basemap.source = "other name", "moved", "elsewhere/plain.tif"
    assert manifest.differences(Manifest.of(basemap, renamed)) == []
    assert manifest.differences(Manifest.of(fake_map(content="b"), fake_model())) == ["map"]
    assert manifest.differences(Manifest.of(fake_map(), fake_model(fingerprint="x"))) == ["model"]
    assert manifest.differences(Manifest.of(fake_map(), fake_model(zoom_width=7))) == ["model"]
    assert manifest.differences(Manifest.of(fake_map(), fake_model(branching=3))) == ["tree"]
