import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tiercel.geo import Square, ZoomTree
from tiercel.search import BottomUp, LevelScores, Tempered, WeightedSum, best_first, bottom_up, greedy, posterior

# No deadline: other work on the machine must not fail a test.
QUICK = settings(deadline=None, max_examples=40)

TREE = ZoomTree(Square(0.0, 0.0, 16.0), 2, 2)


@QUICK
@given(st.data())
def test_whole_levels_and_families_agree(cases, data) -> None:
    case = data.draw(cases)
    policy = case.policy
    for level in range(case.tree.depth):
        row, col = case.tree.unflat(level, np.arange(case.tree.count(level)))
        np.testing.assert_array_equal(policy.child_scores(level, row, col), case.families.child_scores(level, row, col))
        np.testing.assert_array_equal(policy.node_scores(level + 1), case.levels[level + 1])
        assert policy.node_scores(level + 1).dtype == np.float32


def test_levels_left_out_score_zero_where_a_leaf_is_covered() -> None:
    leaves = np.full(16, -np.inf)
    leaves[10] = 4.0  # row 2, col 2: in the south-eastern square
    policy = LevelScores(TREE, {2: leaves})
    assert policy.node_scores(1).tolist() == [-np.inf, -np.inf, -np.inf, 0.0]
    assert greedy(policy).leaves.tolist() == [10]


@pytest.mark.parametrize(
    ("scores", "message"),
    [
        ({0: [0.0]}, "level 0"),
        ({3: np.zeros(64)}, "level 3"),
        ({1: np.zeros(5)}, "4 cells"),
        ({1: [0, 0, np.nan, 0]}, "NaN"),
        ({1: [0, 0, np.inf, 0]}, "infinity"),
    ],
)
def test_scores_that_do_not_fit_the_tree_are_refused(scores, message) -> None:
    with pytest.raises(ValueError, match=message):
        LevelScores(TREE, scores)


def test_bottom_up_by_hand() -> None:
    # Leaves 0, 1, 4 and 5 are the north-western square: probabilities 1 + 2 + 3 + 4 = 10 of 16 in all.
    weights = np.zeros(16)
    weights[[0, 1, 4, 5]] = [1, 2, 3, 4]
    weights[15] = 6
    with np.errstate(divide="ignore"):
        gathered = bottom_up(TREE, np.log(weights))
        policy = BottomUp(TREE, np.log(weights))
    np.testing.assert_allclose(np.exp(gathered[1]), [10, 0, 0, 6])
    np.testing.assert_allclose(np.exp(gathered[0]), [16])
    np.testing.assert_allclose(np.exp(policy.node_scores(1)), [10 / 16, 0, 0, 6 / 16], rtol=1e-6)
    assert best_first(policy, 1).leaves.tolist() == [15]
    assert greedy(policy).leaves.tolist() == [5]


@QUICK
@given(st.data())
def test_over_bottom_up_every_exact_search_gives_the_softmax_of_the_leaves(cases, data) -> None:
    case = data.draw(cases)
    leaf_scores = case.levels[case.tree.depth]
    policy = BottomUp(case.tree, leaf_scores)
    expected = leaf_scores - np.log(np.exp(leaf_scores.astype(np.float64)).sum())
    np.testing.assert_allclose(posterior(policy).log_probability, expected, atol=1e-4)
    found = best_first(policy, 5)
    np.testing.assert_allclose(found.log_probability, np.sort(expected)[::-1][: len(found.leaves)], atol=1e-4)


def test_bottom_up_refuses_the_wrong_number_of_leaves() -> None:
    with pytest.raises(ValueError, match="16 leaves"):
        bottom_up(TREE, np.zeros(4))


@QUICK
@given(st.data())
def test_a_weighted_sum_adds(cases, data) -> None:
    case = data.draw(cases)
    weights = data.draw(st.tuples(st.floats(-2, 2, width=32), st.floats(0, 2, width=32)))
    both = WeightedSum([(case.policy, weights[0]), (BottomUp(case.tree, case.levels[case.tree.depth]), weights[1])])
    for level in range(1, case.tree.depth + 1):
        covered = np.isfinite(case.levels[level])
        scores = both.node_scores(level)
        np.testing.assert_array_equal(np.isneginf(scores), ~covered)
        other = BottomUp(case.tree, case.levels[case.tree.depth]).node_scores(level)[covered]
        np.testing.assert_allclose(
            scores[covered], weights[0] * case.levels[level][covered] + weights[1] * other, rtol=1e-5, atol=1e-5
        )
        row, col = case.tree.unflat(level - 1, np.arange(case.tree.count(level - 1)))
        rows, cols = case.tree.children(level - 1, row, col)
        np.testing.assert_array_equal(both.child_scores(level - 1, row, col), scores[case.tree.flat(level, rows, cols)])


def test_a_weighted_sum_knows_a_level_only_if_all_its_policies_do(label_bias) -> None:
    mixed = WeightedSum([(label_bias.policy, 1.0), (label_bias.families, 2.0)])
    assert mixed.node_scores(1) is None
    alone = WeightedSum([(label_bias.policy, 3.0)])
    np.testing.assert_allclose(posterior(mixed).log_probability, posterior(alone).log_probability, atol=1e-5)


def test_a_weighted_sum_refuses_nothing_and_different_trees() -> None:
    with pytest.raises(ValueError, match="at least one"):
        WeightedSum([])
    with pytest.raises(ValueError, match="different trees"):
        WeightedSum([(LevelScores(TREE, {}), 1.0), (LevelScores(ZoomTree(TREE.root, 2, 3), {}), 1.0)])


@QUICK
@given(st.data())
def test_temperatures_divide_level_by_level_and_change_no_greedy_pick(cases, data) -> None:
    case = data.draw(cases)
    temperatures = data.draw(st.lists(st.floats(0.1, 10), max_size=4))
    depth = case.tree.depth
    whole, families = Tempered(case.policy, temperatures), Tempered(case.families, temperatures)
    for level in range(1, depth + 1):
        expected = case.levels[level] / np.float32([*temperatures, 1, 1, 1, 1][depth - level])
        np.testing.assert_allclose(whole.node_scores(level), expected, rtol=1e-6)
        assert whole.node_scores(level).dtype == np.float32
        assert families.node_scores(level) is None
        row, col = case.tree.unflat(level - 1, np.arange(case.tree.count(level - 1)))
        np.testing.assert_array_equal(
            whole.child_scores(level - 1, row, col), families.child_scores(level - 1, row, col)
        )
    assert greedy(whole).leaves.tolist() == greedy(case.policy).leaves.tolist()


def test_temperatures_are_positive(label_bias) -> None:
    for senseless in ((0.0,), (1.0, -1.0), (np.inf,), (np.nan,)):
        with pytest.raises(ValueError, match="positive"):
            Tempered(label_bias.policy, senseless)
