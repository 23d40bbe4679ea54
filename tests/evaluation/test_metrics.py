import numpy as np
import pytest

from tiercel.evaluation.metrics import chance_within, heading_error, median, recall_within


def test_recall_by_hand() -> None:
    measured = recall_within([0.0, 50.0, 50.1, 400.0], 50.0)
    assert (measured.value, measured.n) == (50.0, 4)
    assert 0 <= measured.low < 50 < measured.high <= 100


def test_median_by_hand() -> None:
    measured = median([3.0, 1.0, 10.0])
    assert (measured.value, measured.n) == (3.0, 3)
    assert measured.low >= 1 and measured.high <= 10


def test_the_interval_narrows_with_more_queries() -> None:
    rng = np.random.default_rng(0)
    few, many = (recall_within(rng.uniform(0, 100, count), 50.0) for count in (20, 2000))
    assert many.high - many.low < 0.3 * (few.high - few.low)
    # Near the normal approximation: 2 * 1.96 * sqrt(p (1 - p) / n).
    assert many.high - many.low == pytest.approx(2 * 1.96 * 50 / 2000**0.5, rel=0.15)


def test_all_right_is_sure() -> None:
    measured = recall_within([1.0, 2.0], 50.0)
    assert (measured.value, measured.low, measured.high) == (100, 100, 100)


def test_nothing_asked() -> None:
    for measured in (recall_within([], 50.0), median([])):
        assert measured.n == 0 and np.isnan([measured.value, measured.low, measured.high]).all()


@pytest.mark.parametrize(
    ("answer", "truth", "error"),
    [
        (10, 350, 20),
        (350, 10, 20),
        (0, 180, 180),
        (180, 0, 180),
        (359.5, 0.5, 1),
        (90, 90, 0),
        (720, 1, 1),
        (-90, 270, 0),
    ],
)
def test_heading_errors_go_the_short_way_round(answer, truth, error) -> None:
    assert heading_error(answer, truth) == pytest.approx(error)


def test_chance_by_hand() -> None:
    """Four cells on a line, 100 m apart: from the first, two of them are within 100 m; from beyond the end, none."""
    cells = [0.0, 100.0, 200.0, 300.0]
    measured = chance_within([0.0, 1000.0, 150.0], [0.0, 0.0, 0.0], cells, [0.0] * 4, 100.0)
    assert measured.value == pytest.approx(100 * (2 / 4 + 0 + 2 / 4) / 3)
    assert measured.n == 3


def test_chance_on_a_grid_is_the_share_of_its_area() -> None:
    centres = np.arange(64) * 31.25 + 15.6
    x, y = (grid.ravel() for grid in np.meshgrid(centres, centres))
    measured = chance_within([1000.0], [1000.0], x, y, 200.0)
    assert measured.value == pytest.approx(100 * np.pi * 200**2 / 2000**2, rel=0.05)
