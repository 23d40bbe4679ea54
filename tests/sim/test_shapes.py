"""Convex polygons."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tiercel.sim.shapes import (
    area,
    centroid,
    clip,
    ellipse,
    extent,
    inset,
    largest_scale,
    longest_edge,
    rectangle,
    split,
)

SQUARE = [(0.0, 0.0), (4.0, 0.0), (4.0, 2.0), (0.0, 2.0)]
angles = st.floats(0.0, math.tau)


def test_area_and_centroid_of_a_rectangle() -> None:
    assert area(SQUARE) == pytest.approx(8.0)
    assert area(SQUARE[::-1]) == pytest.approx(-8.0)
    assert centroid(SQUARE) == pytest.approx((2.0, 1.0))
    assert longest_edge(SQUARE) in (0, 2)


@given(angle=angles, offset=st.floats(-0.9, 0.9))
def test_the_two_sides_of_a_cut_make_up_the_whole(angle: float, offset: float) -> None:
    nx, ny = math.cos(angle), math.sin(angle)
    limit = nx * 2.0 + ny * 1.0 + offset
    pieces = split(SQUARE, [10, 11, 12, 13], nx, ny, limit, 99)
    assert pieces is not None
    low, low_labels, high, high_labels, ends = pieces
    assert area(low) + area(high) == pytest.approx(8.0)
    assert area(low) == pytest.approx(area(clip(SQUARE, nx, ny, limit)))
    assert low_labels.count(99) == 1
    assert high_labels.count(99) == 1
    assert len(low_labels) == len(low)
    assert {label for _, label in ends} <= {10, 11, 12, 13}
    for (x, y), _ in ends:
        assert nx * x + ny * y == pytest.approx(limit)


def test_a_line_outside_cuts_nothing() -> None:
    assert split(SQUARE, [0] * 4, 1.0, 0.0, 5.0, 1) is None
    assert clip(SQUARE, 1.0, 0.0, -1.0) == []


def test_inset_moves_each_edge_by_its_own_distance() -> None:
    x0, x1, y0, y1 = extent(inset(SQUARE, [0.5, 1.0, 0.0, 0.25]), 1.0, 0.0)
    assert (x0, x1, y0, y1) == pytest.approx((0.25, 3.0, 0.5, 2.0))
    assert inset(SQUARE, [1.1] * 4) == []


@given(angle=angles)
def test_a_scaled_rectangle_just_fits(angle: float) -> None:
    ax, ay = math.cos(angle), math.sin(angle)
    scale = largest_scale(SQUARE, 2.0, 1.0, ax, ay, 1.0, 0.5)
    for share, inside in ((0.999, True), (1.001, False)):
        corners = rectangle(2.0, 1.0, ax, ay, scale * share, 0.5 * scale * share)
        assert all(0.0 <= x <= 4.0 and 0.0 <= y <= 2.0 for x, y in corners) is inside
    assert largest_scale(SQUARE, 9.0, 1.0, ax, ay, 1.0, 0.5) < 0.0


def test_ellipses_and_rectangles_are_counter_clockwise() -> None:
    assert area(ellipse(1.0, 2.0, 0.6, 0.8, 3.0, 2.0, 64)) == pytest.approx(math.pi * 6.0, rel=0.01)
    assert area(rectangle(1.0, 2.0, 0.6, 0.8, 3.0, 2.0)) == pytest.approx(24.0)
