"""Errors, recalls and chance."""

from __future__ import annotations

import numpy as np
import pytest

from tiercel.demo.results import Located, chance, methods, recalls


def test_an_error_is_the_distance_to_the_truth(four: list[Located]) -> None:
    assert [one.error_m for one in four] == pytest.approx([0, 30, 45, 500])
    assert [one.greedy_error_m for one in four] == pytest.approx([45, 900, 900, 900])


def test_recall_counts_answers_at_most_so_far_off() -> None:
    assert recalls([0, 40, 50.1, 99, 101]) == pytest.approx([40, 40, 80])


def test_chance_is_the_share_of_cells_near_the_truth(four: list[Located]) -> None:
    tree = four[0].fix.tree
    cells = tree.centre(3, *tree.unflat(3, np.arange(tree.count(3))))
    # Around a corner where four cells meet, their centres lie 22 m off, those of the next eight 49 m.
    assert chance(four, cells) == pytest.approx([100 * count / 4096 for count in (4, 12, 32)])


def test_methods_stand_beside_each_other_with_the_best_informed_first(four: list[Located]) -> None:
    rows = methods(four, (np.array([501_000.0]), np.array([5_201_000.0])))
    assert list(rows.values()) == [[50, 75, 75], [0, 25, 25], [100, 100, 100]]
    assert next(iter(rows)).startswith("posterior")
