import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tiercel.errors import TiercelError
from tiercel.geo import Square, ZoomTree
from tiercel.search import LevelScores, Posterior, posterior

# No deadline: other work on the machine must not fail a test.
QUICK = settings(deadline=None, max_examples=40)

TREE = ZoomTree(Square(1000.0, 500.0, 80.0), 2, 3)  # 8 x 8 leaves of 10 m
CORNER = (960.0, 540.0)


def at(*cells: tuple[int, int, float]) -> Posterior:
    """A posterior with given (row, col, probability) and nothing elsewhere."""
    values = np.zeros(64)
    for row, col, probability in cells:
        values[row * 8 + col] = probability
    with np.errstate(divide="ignore"):
        return Posterior.from_scores(TREE, np.log(values))


@QUICK
@given(st.data())
def test_it_is_the_softmax_over_all_leaves_of_the_scores_along_their_paths(cases, data) -> None:
    case = data.draw(cases)
    totals = case.leaf_values(siblings=False)
    expected = np.exp(totals - totals.max())
    expected /= expected.sum()
    for policy in (case.policy, case.families):
        answer = posterior(policy)
        np.testing.assert_allclose(answer.probability, expected, atol=1e-6)
        assert answer.log_probability.dtype == np.float32
        assert np.exp(answer.log_probability.astype(np.float64)).sum() == pytest.approx(1, abs=1e-5)
        assert answer.probability.sum() == pytest.approx(1)
        np.testing.assert_array_equal(answer.probability > 0, np.isfinite(totals) & (expected > 0))


@QUICK
@given(st.data())
def test_a_policy_of_families_is_only_asked_where_something_is_covered(cases, data) -> None:
    case = data.draw(cases)
    policy = case.families
    posterior(policy)
    alive = [np.isfinite(case.levels[level]).sum() for level in range(1, case.tree.depth)]
    assert policy.families == 1 + sum(alive)


@QUICK
@given(st.data())
def test_the_marginal_of_a_parent_is_the_sum_of_its_children(cases, data) -> None:
    case = data.draw(cases)
    answer = posterior(case.policy)
    tree = case.tree
    np.testing.assert_array_equal(answer.marginal(tree.depth), answer.probability)
    assert answer.marginal(0) == pytest.approx(1)
    for level in range(tree.depth):
        rows, cols = tree.children(level, *tree.unflat(level, np.arange(tree.count(level))))
        children = answer.marginal(level + 1)[tree.flat(level + 1, rows, cols)]
        np.testing.assert_allclose(answer.marginal(level), children.sum(-1), atol=1e-12)


@QUICK
@given(st.data(), st.floats(0.1, 10))
def test_temperature_keeps_the_ranking_and_bends_the_odds(cases, data, temperature) -> None:
    case = data.draw(cases)
    answer = posterior(case.policy)
    bent = posterior(case.policy, temperature=temperature)
    np.testing.assert_allclose(bent.probability, answer.tempered(temperature).probability, atol=1e-5)
    assert answer.log_probability[bent.best] == pytest.approx(answer.log_probability[answer.best], abs=1e-5)
    (first, second), _ = at((0, 0, 0.8), (5, 5, 0.2)).tempered(temperature).top(2)
    odds = at((0, 0, 0.8), (5, 5, 0.2)).tempered(temperature).probability
    assert odds[first] / odds[second] == pytest.approx(4 ** (1 / temperature), rel=1e-4)


def test_the_top_leaves_come_in_order_and_runners_up_are_other_places() -> None:
    answer = at((2, 2, 0.4), (2, 3, 0.3), (3, 4, 0.15), (2, 5, 0.1), (7, 0, 0.05))
    leaves, probability = answer.top(3)
    assert leaves.tolist() == [18, 19, 28]
    np.testing.assert_allclose(probability, [0.4, 0.3, 0.15], rtol=1e-5)
    # The eight neighbours of (2, 2) go, (3, 4) stays and takes (2, 5) along.
    leaves, probability = answer.top(3, apart=1)
    assert leaves.tolist() == [18, 28, 56]
    np.testing.assert_allclose(probability, [0.4, 0.15, 0.05], rtol=1e-5)
    assert answer.top(9)[0].tolist() == [18, 19, 28, 21, 56]
    assert answer.top(9, apart=7)[0].tolist() == [18]
    assert answer.centre == (985.0, 515.0)
    assert answer.best == 18


@QUICK
@given(st.data(), st.integers(0, 3))
def test_runners_up_keep_their_distance_and_pass_over_only_what_is_near(cases, data, apart) -> None:
    answer = posterior(data.draw(cases).policy)
    tree = answer.tree
    leaves, _ = answer.top(6, apart=apart)
    row, col = tree.unflat(tree.depth, leaves)
    distance = np.maximum(abs(row[:, None] - row), abs(col[:, None] - col))
    assert (distance[np.triu_indices(len(leaves), 1)] > apart).all()
    ranked = answer.probability[leaves]
    assert (np.diff(ranked) <= 0).all()
    if len(leaves) == 6:
        rest = np.flatnonzero(answer.probability > ranked[-1])
        rows, cols = tree.unflat(tree.depth, rest)
        near = np.maximum(abs(rows[:, None] - row), abs(cols[:, None] - col)) <= apart
        assert near.any(1).all()


def test_the_radius_of_one_leaf_by_hand() -> None:
    # A square of side 10 spread evenly: a circle that stays inside holds pi r^2 / 100.
    answer = at((0, 0, 1.0))
    assert answer.radius(0.5) == pytest.approx(math.sqrt(50 / math.pi), abs=1e-6)
    assert answer.radius(1.0) == pytest.approx(math.hypot(5, 5))
    # From its own corner, a quarter of a circle.
    assert answer.radius(0.5, around=CORNER) == pytest.approx(math.sqrt(200 / math.pi), abs=1e-6)
    assert answer.radius(1.0, around=CORNER) == pytest.approx(math.hypot(10, 10))
    # From far away in the west it is cut as by a straight line.
    assert answer.radius(0.3, around=(960 - 1e5, 535.0)) == pytest.approx(1e5 + 3, abs=1e-2)


def test_the_radius_around_two_places_reaches_the_second_for_more_than_the_first_holds() -> None:
    answer = at((0, 0, 0.7), (0, 7, 0.3))  # 70 m apart
    assert answer.radius(0.69) < math.hypot(5, 5)
    assert 65 < answer.radius(0.75) < 70 < answer.radius(0.95) < math.hypot(75, 5)


@QUICK
@given(st.data(), st.lists(st.floats(1e-3, 1), min_size=2, max_size=5), st.floats(-150, 150), st.floats(-150, 150))
def test_the_radius_grows_with_the_share_holds_it_and_in_the_end_covers_all(cases, data, shares, x, y) -> None:
    answer = posterior(data.draw(cases).policy)
    tree = answer.tree
    around = data.draw(st.sampled_from([None, (tree.root.x + x, tree.root.y + y)]))
    radii = [answer.radius(share, around) for share in sorted(shares)]
    assert radii == sorted(radii)
    for share, radius in zip(sorted(shares), radii, strict=True):
        assert answer.mass_within(radius, around) == pytest.approx(share, abs=1e-6)
    centre = around or answer.centre
    everything = answer.radius(1.0, around)
    assert everything >= radii[-1]
    row, col = tree.unflat(tree.depth, np.flatnonzero(answer.probability))
    far = [np.hypot(*(np.array(tree.centre(tree.depth, row, col)) - np.array(centre)[:, None]))]
    assert everything >= np.max(far)
    assert answer.mass_within(everything, centre) == pytest.approx(1)


@QUICK
@given(st.floats(-30, 30), st.floats(-30, 30), st.floats(0.5, 60))
def test_the_mass_in_a_circle_is_the_share_of_points_in_it(dx, dy, radius) -> None:
    answer = at((0, 0, 0.5), (1, 1, 0.3), (3, 2, 0.2))
    around = (970 + dx, 530 + dy)
    points = (np.arange(200) + 0.5) / 20  # 200 x 200 a leaf
    mass = 0.0
    for row, col, probability in ((0, 0, 0.5), (1, 1, 0.3), (3, 2, 0.2)):
        x = CORNER[0] + 10 * col + points - around[0]
        y = CORNER[1] - 10 * row - points[:, None] - around[1]
        mass += probability * float((np.hypot(x, y) <= radius).mean())
    assert answer.mass_within(radius, around) == pytest.approx(mass, abs=4e-3)


def test_a_prior_multiplies_the_normal_distribution_in() -> None:
    flat = Posterior.from_scores(TREE, np.zeros(64))
    narrow = flat.with_prior(985.0, 515.0, 12.0)
    assert narrow.best == 18
    rng = np.random.default_rng(0)
    x, y = rng.normal(985, 12, 400_000), rng.normal(515, 12, 400_000)
    row, col = TREE.cell_at(x, y, 3)
    counts = np.bincount(TREE.flat(3, row, col)[row >= 0], minlength=64)
    np.testing.assert_allclose(narrow.probability, counts / counts.sum(), atol=2e-3)


def test_a_prior_overturns_a_distant_best_leaf_but_not_a_near_one() -> None:
    answer = at((2, 2, 0.9), (7, 7, 0.1))
    assert answer.with_prior(1035.0, 465.0, 10.0).best == 63
    assert answer.with_prior(1035.0, 465.0, 1000.0).best == 18


def test_a_prior_narrower_than_a_leaf_keeps_to_the_leaf_it_lies_in() -> None:
    flat = Posterior.from_scores(TREE, np.zeros(64))
    # 1 m inside the eastern edge of leaf 18 with a deviation of 0.5 m: two deviations, 97.7 %.
    narrow = flat.with_prior(989.0, 515.0, 0.5)
    assert narrow.probability[18] == pytest.approx(0.9772, abs=1e-4)
    assert narrow.probability[19] == pytest.approx(0.0228, abs=1e-4)


def test_a_prior_far_outside_still_tells_near_from_far_until_nothing_is_possible() -> None:
    flat = Posterior.from_scores(TREE, np.zeros(64))
    outside = flat.with_prior(960.0 - 250, 505.0, 10.0)  # 25 deviations west of the edge
    assert outside.centre[0] == 965.0
    assert flat.with_prior(1040.0 + 250, 505.0, 10.0).centre[0] == 1035.0
    with pytest.raises(TiercelError, match="too far"):
        flat.with_prior(960.0 - 10_000, 505.0, 10.0)


def test_senseless_arguments_are_refused() -> None:
    answer = at((0, 0, 1.0))
    for share in (0.0, -0.1, 1.1, math.nan):
        with pytest.raises(ValueError, match="share"):
            answer.radius(share)
    for temperature in (0.0, -1.0, math.nan, math.inf):
        with pytest.raises(ValueError, match="temperature"):
            answer.tempered(temperature)
    with pytest.raises(ValueError, match="deviation"):
        answer.with_prior(0.0, 0.0, 0.0)
    with pytest.raises(ValueError, match="64 leaves"):
        Posterior.from_scores(TREE, np.zeros(16))
    with pytest.raises(ValueError, match="no leaf is covered"):
        posterior(LevelScores(TREE, {1: np.full(4, -np.inf)}))


def test_what_is_restricted_keeps_its_proportions() -> None:
    tree = ZoomTree(Square(0.0, 0.0, 40.0), 2, 2)
    scores = np.random.default_rng(3).normal(size=16)
    scores[5] = -np.inf
    free = Posterior.from_scores(tree, scores)
    leaves = np.arange(16) < 7
    kept = free.restricted(leaves, "a part")
    expected = np.where(leaves, free.probability, 0)
    np.testing.assert_allclose(kept.probability, expected / expected.sum(), atol=1e-6)
    for nothing in (np.zeros(16, np.bool_), np.arange(16) == 5):
        with pytest.raises(
            TiercelError, match=r"The area a part holds no cell of the map; .*longitude before latitude"
        ):
            free.restricted(nothing, "a part")
