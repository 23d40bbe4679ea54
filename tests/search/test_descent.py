from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tiercel.geo import Square, ZoomTree
from tiercel.search import BottomUp, LevelScores, beam, best_first, greedy, posterior, zoom_steps
from tiercel.search.descent import sibling_log_probability

# No deadline: other work on the machine must not fail a test.
QUICK = settings(deadline=None, max_examples=40)


@QUICK
@given(st.data())
def test_best_first_and_a_full_beam_find_what_brute_force_finds(cases, data) -> None:
    case = data.draw(cases)
    truth = case.leaf_values(siblings=True)
    k = data.draw(st.integers(1, 20))
    found = best_first(case.families, k)
    everything = beam(case.families, len(truth))
    assert len(found.leaves) == min(k, np.isfinite(truth).sum())
    assert len(everything.leaves) == np.isfinite(truth).sum()
    expected = np.sort(truth)[::-1][: len(found.leaves)]
    np.testing.assert_allclose(found.log_probability, expected, atol=1e-6)
    np.testing.assert_allclose(truth[found.leaves], expected, atol=1e-6)
    np.testing.assert_array_equal(everything.leaves[: len(found.leaves)], found.leaves)
    np.testing.assert_array_equal(everything.log_probability[: len(found.leaves)], found.log_probability)
    assert len(set(found.leaves.tolist())) == len(found.leaves)


@QUICK
@given(st.data(), st.floats(0.0, 300.0))
def test_best_first_lists_every_leaf_in_the_order_of_brute_force_ties_included(cases, data, loud) -> None:
    case = data.draw(cases)
    tree, scores = case.tree, case.levels
    # From equal scores everywhere (0) to probabilities that underflow a float (300).
    scores = {n: np.where(np.isneginf(level), level, loud * level.clip(-99)) for n, level in scores.items()}
    policy = LevelScores(tree, scores)
    everything: list[tuple[float, tuple[int, ...]]] = [(0.0, ())]
    for level in range(tree.depth):
        deeper = []
        for total, path in everything:
            family = sibling_log_probability(policy, level, *tree.from_path([path]))[0]
            deeper += [(total - family[action], (*path, action)) for action in np.flatnonzero(np.isfinite(family))]
        everything = deeper
    everything.sort()
    found = best_first(policy, len(everything))
    assert [tuple(actions) for actions in found.actions] == [path for _, path in everything]
    np.testing.assert_array_equal(found.log_probability, [-cost for cost, _ in everything])
    k = data.draw(st.integers(1, len(everything)))
    np.testing.assert_array_equal(best_first(policy, k).leaves, found.leaves[:k])


@QUICK
@given(st.data())
def test_what_is_set_aside_holds_all_that_is_missing(cases, data) -> None:
    case = data.draw(cases)
    probability = np.exp(case.leaf_values(siblings=True))
    for found in (best_first(case.families, 3), beam(case.families, 3), greedy(case.families)):
        # All leaves together hold one: every family was normalised over its covered cells.
        assert probability.sum() == pytest.approx(1)
        assert found.unexpanded == pytest.approx(1 - probability[found.leaves].sum(), abs=1e-9)


@QUICK
@given(st.data())
def test_greedy_picks_the_best_child_at_every_level(cases, data) -> None:
    case = data.draw(cases)
    row = col = 0
    for level in range(case.tree.depth):
        rows, cols = case.tree.children(level, row, col)
        scores = case.levels[level + 1][case.tree.flat(level + 1, rows, cols)]
        row, col = int(rows[scores.argmax()]), int(cols[scores.argmax()])
    found = greedy(case.families)
    assert found.leaves.tolist() == [case.tree.flat(case.tree.depth, row, col)]
    assert found.leaves.tolist() == beam(case.families, 1).leaves.tolist()
    assert found.expanded == case.tree.depth


@QUICK
@given(st.data())
def test_best_first_expands_no_cell_worse_than_its_last_leaf(cases, data) -> None:
    case = data.draw(cases)
    policy = case.families
    found = best_first(policy, 2)
    assert found.expanded == policy.families
    log_probability = case.leaf_values(siblings=True)
    worth = sum(
        int((marginal >= np.exp(found.log_probability[-1]) * (1 - 1e-9)).sum())
        for marginal in _cell_probabilities(case, log_probability)
    )
    assert found.expanded <= worth


def _cell_probabilities(case, log_probability):
    """Probability of reaching each inner cell, level by level: what its leaves hold together."""
    n = case.tree.cells_per_side(case.tree.depth)
    grid = np.exp(log_probability).reshape(n, n)
    for level in range(case.tree.depth):
        m = case.tree.cells_per_side(level)
        yield grid.reshape(m, n // m, m, n // m).sum((1, 3))


def test_label_bias_by_hand(label_bias) -> None:
    # Sibling softmax over the squares (2, 0, 0, 1.5): the north-west has e^2 / (e^2 + 2 + e^1.5) = 0.5327 and the
    # south-east 0.3231. Inside, the north-west leaf at -3 against three at -9 has 1 / (1 + 3 e^-6) = 0.9926, and the
    # south-east leaf at 6 against 5, -9, -9 has 0.7311. So the wrong one wins, 0.5288 to 0.2362.
    for found in (greedy(label_bias.policy), beam(label_bias.policy, 16), best_first(label_bias.policy, 2)):
        assert found.leaves[0] == 0
        assert np.exp(found.log_probability[0]) == pytest.approx(0.5288, abs=1e-4)
    assert best_first(label_bias.policy, 2).leaves.tolist() == [0, 15]
    assert np.exp(best_first(label_bias.policy, 2).log_probability[1]) == pytest.approx(0.2362, abs=1e-4)
    # Raw scores add up to -1 for the wrong leaf and to 7.5 for the right one.
    assert posterior(label_bias.policy).best == 15
    # And once inner cells gather what their leaves know, even greedy zooming is right.
    fused = posterior(label_bias.policy).log_probability
    assert greedy(BottomUp(label_bias.tree, fused)).leaves.tolist() == [15]


@QUICK
@given(st.data())
def test_actions_and_steps_lead_to_the_leaf(cases, data) -> None:
    case = data.draw(cases)
    found = best_first(case.families, 3)
    for rank, (leaf, actions) in enumerate(zip(found.leaves, found.actions, strict=True)):
        assert case.tree.flat(case.tree.depth, *case.tree.from_path(actions)) == leaf
        steps = found.steps(rank)
        assert steps[0] == case.tree.root
        assert len(steps) == case.tree.depth + 1
        row, col = case.tree.unflat(case.tree.depth, leaf)
        assert steps[-1] == case.tree.square(case.tree.depth, int(row), int(col))
        for outer, inner in pairwise(steps):
            assert outer.contains(inner.x, inner.y)
            assert inner.side == pytest.approx(outer.side / case.tree.branching)
        assert steps == zoom_steps(case.tree, int(leaf))


def test_equal_leaves_come_in_the_order_of_their_paths() -> None:
    tree = ZoomTree(Square(0.0, 0.0, 1.0), 2, 2)
    policy = LevelScores(tree, {})
    by_path = [0, 1, 4, 5, 2, 3, 6, 7, 8, 9, 12, 13, 10, 11, 14, 15]
    assert best_first(policy, 16).leaves.tolist() == by_path
    assert beam(policy, 16).leaves.tolist() == by_path
    assert beam(policy, 5).leaves.tolist() == best_first(policy, 5).leaves.tolist()


def test_a_policy_that_leads_into_an_empty_square_is_refused_by_greedy_and_passed_by_best_first(cases) -> None:
    class Careless:
        tree = ZoomTree(Square(0.0, 0.0, 1.0), 2, 2)

        def child_scores(self, level, row, col):
            # The first square looks best and has no covered child.
            scores = np.tile(np.array([3, 1, 0, 0], np.float32), (len(row), 1))
            if level == 1:
                scores[(row == 0) & (col == 0)] = -np.inf
            return scores

        def node_scores(self, level):
            return None

    with pytest.raises(ValueError, match="no covered leaf"):
        greedy(Careless())
    found = best_first(Careless(), 1)
    assert Careless.tree.path(2, *Careless.tree.unflat(2, found.leaves)).tolist() == [[1, 0]]


def test_nothing_covered_and_senseless_sizes_are_refused() -> None:
    tree = ZoomTree(Square(0.0, 0.0, 1.0), 2, 1)
    empty = LevelScores(tree, {1: np.full(4, -np.inf)})
    for search in (greedy, lambda policy: beam(policy, 4), lambda policy: best_first(policy, 1)):
        with pytest.raises(ValueError, match="no covered leaf"):
            search(empty)
    with pytest.raises(ValueError, match="width of 1"):
        beam(empty, 0)
    with pytest.raises(ValueError, match="1 leaf or more"):
        best_first(empty, 0)


def test_a_score_that_is_no_number_is_refused() -> None:
    class Broken:
        tree = ZoomTree(Square(0.0, 0.0, 1.0), 2, 1)

        def child_scores(self, level, row, col):
            return np.array([[0, np.nan, 0, 0]], np.float32)

        def node_scores(self, level):
            return None

    for search in (greedy, posterior, lambda policy: best_first(policy, 1)):
        with pytest.raises(ValueError, match="NaN"):
            search(Broken())
