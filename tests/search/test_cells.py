import numpy as np
import pytest

from tiercel.atlas.gallery import CellGrid
from tiercel.geo import Square, ZoomTree
from tiercel.search.cells import LeafShares, ScaleCells, leaf_shares

TREE = ZoomTree(Square(50.0, 950.0, 100.0), 10, 1)  # 10 x 10 leaves of 10 m, from (0, 1000)


def grid(scale, stride, number=0) -> CellGrid:
    return CellGrid(number, scale, 10 * scale, 10 * scale * stride, 0.0, 1000.0)


def numbers(one, root=TREE.root, holes=()) -> np.ndarray:
    """Numbers of all cells of a grid but for some, shuffled."""
    whole = one.span(root)
    row, col = np.mgrid[whole.row : whole.row + whole.rows, whole.col : whole.col + whole.cols].reshape(2, -1)
    kept = [place for place in zip(row.tolist(), col.tolist(), strict=True) if place not in holes]
    return np.random.default_rng(0).permutation(one.cell(*np.array(kept).T))


def shares_of(one, leaf, holes=()) -> dict[tuple, float]:
    """Row and column of each cell that bears on a leaf, and its share."""
    stored = numbers(one, holes=holes)
    found: LeafShares = leaf_shares(ScaleCells(one, stored), TREE, np.arange(100))
    from tiercel.atlas.gallery import unpack

    _, row, col = unpack(stored)
    places = [(int(row[r]), int(col[r])) for r in found.rows[leaf]]
    return {place: float(share) for place, share in zip(places, found.shares[leaf], strict=True) if share}


@pytest.mark.parametrize(
    ("scale", "stride", "leaf", "expected"),
    [
        (1.0, 1.0, 37, {(3, 7): 1.0}),
        (1.0, 0.5, 37, {(6, 14): 0.25, (6, 15): 0.25, (7, 14): 0.25, (7, 15): 0.25}),
        (2.0, 0.5, 37, {(3, 7): 1.0}),
        (2.0, 1.0, 37, {(1, 3): 1.0}),
        # Cells of 15 m: leaf 7 spans 70 to 80, cell 4 60 to 75, cell 5 75 to 90; row 3 30 to 40, cell 2 30 to 45.
        (1.5, 1.0, 37, {(2, 4): 0.5, (2, 5): 0.5}),
        (3.0, 0.25, 0, {(0, 0): 0.5625, (0, 1): 0.1875, (1, 0): 0.1875, (1, 1): 0.0625}),
    ],
)
def test_each_cell_bears_by_the_ground_nearest_to_it(scale, stride, leaf, expected) -> None:
    assert shares_of(grid(scale, stride), leaf) == pytest.approx(expected)


def test_what_is_not_stored_leaves_its_share_to_the_others() -> None:
    found = shares_of(grid(1.0, 0.5), 37, holes={(6, 14), (7, 15)})
    assert found == pytest.approx({(6, 15): 0.5, (7, 14): 0.5})


def test_a_leaf_without_a_cell_takes_the_nearest() -> None:
    assert shares_of(grid(2.0, 1.0), 37, holes={(1, 3)}) in ({(1, 4): 1.0}, {(2, 3): 1.0})
    around = {(row, col) for row in range(0, 7) for col in range(4, 10)}
    assert shares_of(grid(1.0, 1.0), 37, holes=around) == {(3, 3): 1.0}


def test_nothing_bears_on_a_leaf_far_from_all_cells() -> None:
    everything_near = {(row, col) for row in range(10) for col in range(10) if row + col < 12}
    found = shares_of(grid(1.0, 1.0), 0, holes=everything_near)
    assert found == {}


def test_shares_sum_to_one_wherever_anything_is() -> None:
    rng = np.random.default_rng(1)
    for scale, stride in ((1.0, 1.0), (1.0, 0.3), (2.5, 0.7), (4.0, 1.0)):
        one = grid(scale, stride)
        stored = rng.permutation(numbers(one))[: max(1, len(numbers(one)) // 2)]
        found = leaf_shares(ScaleCells(one, stored), TREE, np.arange(100))
        np.testing.assert_allclose(found.shares.sum(1), 1, atol=1e-5)
        assert (found.rows >= 0).all() and (found.rows < len(stored)).all()


def test_cells_are_found_by_place() -> None:
    one = grid(1.0, 0.5, number=1)
    stored = np.concatenate([numbers(grid(1.0, 1.0)), numbers(one, holes={(3, 3)})])
    cells = ScaleCells(one, stored)
    rows = cells.at(np.array([0, 19, 3, 5]), np.array([0, 19, 3, 30]))
    assert rows[:2].tolist() == [int(np.flatnonzero(stored == one.cell(*place))[0]) for place in ((0, 0), (19, 19))]
    assert rows[2:].tolist() == [-1, -1]
    east, north, rows = cells.around(Square(15.0, 985.0, 10.0))
    there = rows >= 0
    assert east.shape == north.shape == there.shape
    assert {7.5, 12.5, 17.5, 22.5} <= set(np.unique(east).tolist())
    assert not there[(east == 17.5) & (north == 982.5)].any() and there.sum() == there.size - 1


def test_a_scale_of_which_nothing_is_stored() -> None:
    cells = ScaleCells(grid(4.0, 1.0, number=1), numbers(grid(1.0, 1.0)))
    assert not leaf_shares(cells, TREE, np.arange(100)).shares.any()
