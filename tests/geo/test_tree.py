import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tiercel.geo import Square, ZoomTree

roots = st.builds(Square, st.floats(-1e6, 1e6), st.floats(-1e7, 1e7), st.floats(10.0, 5e4))
trees = st.builds(ZoomTree, roots, st.integers(2, 4), st.integers(1, 3))


def all_cells(tree: ZoomTree, level: int) -> tuple[np.ndarray, np.ndarray]:
    return tree.unflat(level, np.arange(tree.count(level)))


def test_numbers_of_the_two_kilometre_city() -> None:
    tree = ZoomTree(Square(0.0, 0.0, 2000.0))
    assert [tree.side(level) for level in range(4)] == [2000.0, 500.0, 125.0, 31.25]
    assert [tree.count(level) for level in range(4)] == [1, 16, 256, 4096]


def test_row_zero_is_north_and_col_zero_west() -> None:
    tree = ZoomTree(Square(0.0, 0.0, 16.0), 4, 2)
    assert tree.square(1, 0, 3) == Square(6.0, 6.0, 4.0)
    row, col = tree.cell_at([-7.9, 7.9, -7.9], [7.9, 7.9, -7.9], 1)
    assert row.tolist() == [0, 0, 3] and col.tolist() == [0, 3, 0]


def test_path_of_a_known_cell() -> None:
    tree = ZoomTree(Square(0.0, 0.0, 64.0), 4, 3)
    row, col = tree.from_path([7, 6, 0])
    assert (int(row), int(col)) == (1 * 16 + 1 * 4, 3 * 16 + 2 * 4)
    assert tree.path(3, row, col).tolist() == [7, 6, 0]


def test_corner_cell_has_three_neighbours() -> None:
    tree = ZoomTree(Square(0.0, 0.0, 4.0), 2, 2)
    row, col, inside = tree.neighbours(2, 0, 0)
    assert inside.tolist() == [False, False, False, False, True, False, True, True]
    assert row[inside].tolist() == [0, 1, 1] and col[inside].tolist() == [1, 0, 1]
    assert (row[~inside] == -1).all() and (col[~inside] == -1).all()


@given(trees, st.data())
def test_centre_of_a_cell_lies_in_it(tree: ZoomTree, data: st.DataObject) -> None:
    level = data.draw(st.integers(0, tree.depth))
    row, col = all_cells(tree, level)
    assert np.array_equal(tree.cell_at(*tree.centre(level, row, col), level), (row, col))


@given(trees, st.data())
def test_square_and_centre_agree(tree: ZoomTree, data: st.DataObject) -> None:
    level = data.draw(st.integers(0, tree.depth))
    row, col = (data.draw(st.integers(0, tree.cells_per_side(level) - 1)) for _ in range(2))
    square = tree.square(level, row, col)
    x, y = tree.centre(level, row, col)
    assert (square.x, square.y, square.side) == (float(x), float(y), tree.side(level))


@given(trees, st.data())
def test_paths_round_trip(tree: ZoomTree, data: st.DataObject) -> None:
    level = data.draw(st.integers(0, tree.depth))
    row, col = all_cells(tree, level)
    actions = tree.path(level, row, col)
    assert actions.shape == (tree.count(level), level)
    assert ((actions >= 0) & (actions < tree.branching**2)).all()
    back = tree.from_path(actions)
    assert np.array_equal(back[0], row) and np.array_equal(back[1], col)


@given(trees, st.data())
def test_following_the_path_through_the_children_arrives(tree: ZoomTree, data: st.DataObject) -> None:
    level = data.draw(st.integers(1, tree.depth))
    actions = data.draw(st.lists(st.integers(0, tree.branching**2 - 1), min_size=level, max_size=level))
    row, col = np.int64(0), np.int64(0)
    for step, action in enumerate(actions):
        rows, cols = tree.children(step, row, col)
        row, col = rows[action], cols[action]
    assert (int(row), int(col)) == tuple(int(v) for v in tree.from_path(actions))


@given(trees, st.data())
def test_children_have_their_parent_and_tile_the_level(tree: ZoomTree, data: st.DataObject) -> None:
    level = data.draw(st.integers(0, tree.depth - 1))
    row, col = all_cells(tree, level)
    rows, cols = tree.children(level, row, col)
    up = tree.parent(level + 1, rows, cols)
    assert (up[0] == row[:, None]).all() and (up[1] == col[:, None]).all()
    assert np.array_equal(np.sort(tree.flat(level + 1, rows, cols).ravel()), np.arange(tree.count(level + 1)))


@given(trees, st.floats(-0.1, 1.1), st.floats(-0.1, 1.1))
def test_a_point_is_in_the_parent_of_its_cell(tree: ZoomTree, u: float, v: float) -> None:
    x, y = tree.root.west + u * tree.root.side, tree.root.south + v * tree.root.side
    row, col = tree.cell_at(x, y, tree.depth)
    if tree.root.contains(x, y):
        grown = tree.square(tree.depth, int(row), int(col)).expanded(1e-6 * tree.root.side)
        assert grown.contains(x, y)
    else:
        assert row == col == -1


@given(trees, st.data())
def test_flat_round_trip_and_outside(tree: ZoomTree, data: st.DataObject) -> None:
    level = data.draw(st.integers(0, tree.depth))
    index = np.arange(-1, tree.count(level))
    row, col = tree.unflat(level, index)
    assert row[0] == col[0] == -1
    assert np.array_equal(tree.flat(level, row, col), index)


@given(trees, st.data())
def test_neighbours_are_mutual(tree: ZoomTree, data: st.DataObject) -> None:
    level = data.draw(st.integers(0, tree.depth))
    row, col = all_cells(tree, level)
    rows, cols, inside = tree.neighbours(level, row, col)
    here = np.broadcast_to(tree.flat(level, row, col)[:, None], inside.shape)[inside]
    there = tree.flat(level, rows, cols)[inside]
    pairs = here * tree.count(level) + there
    assert np.array_equal(np.sort(pairs), np.sort(there * tree.count(level) + here))
    side = tree.cells_per_side(level)
    assert len(np.unique(pairs)) == 4 * side * (side - 1) + 4 * (side - 1) ** 2


def test_shapes_follow_the_input() -> None:
    tree = ZoomTree(Square(0.0, 0.0, 4.0), 2, 2)
    rows = np.zeros((3, 5), np.int64)
    assert tree.path(2, rows, rows).shape == (3, 5, 2)
    assert tree.children(1, rows, rows)[0].shape == (3, 5, 4)
    assert tree.neighbours(2, rows, rows)[2].shape == (3, 5, 8)


def test_levels_that_do_not_exist_are_refused() -> None:
    tree = ZoomTree(Square(0.0, 0.0, 4.0), 2, 2)
    for call in (lambda: tree.side(3), lambda: tree.children(2, 0, 0), lambda: tree.parent(0, 0, 0)):
        with pytest.raises(ValueError, match="levels 0 to 2"):
            call()
    with pytest.raises(ValueError, match="branching of 2"):
        ZoomTree(Square(0.0, 0.0, 4.0), 1)
