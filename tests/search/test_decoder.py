import dataclasses
import itertools

import numpy as np
import pytest
import torch

from tests.models.small_decoder import SMALL, small_net
from tiercel.geo import Square, ZoomTree
from tiercel.models.decoder import ZoomDecoder
from tiercel.search import LevelScores, WeightedSum, beam, best_first, greedy, posterior
from tiercel.search import decoder as module
from tiercel.search.decoder import DecoderPolicy, DecoderSquares

TREE = ZoomTree(Square(0.0, 0.0, 800.0), 2, 3)


def squares(covered=None, config=SMALL, seed=0) -> DecoderSquares:
    rng = np.random.default_rng(seed)
    tree = ZoomTree(TREE.root, config.grid, config.depth)
    tokens = [rng.standard_normal((tree.count(n), config.width)).astype(np.float32) for n in range(config.depth)]
    return DecoderSquares(small_net(seed, config).decoder, tree, tokens, covered)


def photo(seed=0, width=24) -> np.ndarray:
    return np.random.default_rng(100 + seed).standard_normal(width).astype(np.float32)


def holes() -> list[np.ndarray]:
    """The south-east quarter is not covered, and neither is every fifth leaf."""
    row, col = TREE.unflat(3, np.arange(64))
    leaves = ~((row >= 4) & (col >= 4)) & (np.arange(64) % 5 > 0)
    levels = [leaves]
    for level in (2, 1):
        below = levels[0].reshape(2**level, 2, 2**level, 2)
        levels.insert(0, below.any((1, 3)).ravel())
    return levels


def along(some: DecoderSquares, token, actions, net: ZoomDecoder) -> torch.Tensor:
    """Logits (depth, ways) of the published full sequence along picks."""
    tree = some.tree
    cells = [int(tree.flat(n, *tree.from_path(np.asarray(actions[:n], np.int64)))) for n in range(tree.depth)]
    seen = torch.stack([some.tokens[n][cell] for n, cell in enumerate(cells)])
    with torch.inference_mode():
        return net(torch.from_numpy(token)[None], seen[None], torch.tensor([list(actions)]))[0]


def published_loop(some: DecoderSquares, token, net: ZoomDecoder) -> list[int]:
    """Pick by pick, the whole sequence at each."""
    actions: list[int] = []
    for step in range(some.tree.depth):
        logits = along(some, token, [*actions, *[0] * (some.tree.depth - step)], net)[step]
        actions.append(int(logits.argmax()))
    return actions


@pytest.mark.parametrize("logits", [True, False])
def test_scores_equal_the_full_sequence_in_whatever_order_they_are_asked_for(logits) -> None:
    config = dataclasses.replace(SMALL, depth=4, grid=3)
    some, net, rng = squares(config=config), small_net(0, config).decoder, np.random.default_rng(7)
    policy = some.policy(photo(), logits=logits)
    for _ in range(40):
        level = int(rng.integers(4))
        paths = rng.integers(9, size=(int(rng.integers(1, 6)), 4))
        found = policy.child_scores(level, *some.tree.from_path(paths[:, :level]))
        assert found.shape == (len(paths), 9) and found.dtype == np.float32
        for path, scores in zip(paths, found, strict=True):
            expected = along(some, photo(), path, net)[level]
            expected = expected if logits else expected.log_softmax(0)
            np.testing.assert_allclose(scores, expected.numpy(), atol=1e-5, rtol=0)


def test_whole_levels_equal_families(monkeypatch) -> None:
    monkeypatch.setattr(module, "AT_ONCE", 5)
    some = squares()
    whole, single = some.policy(photo()), some.policy(photo())
    for level in (3, 1, 2):
        scores = whole.node_scores(level)
        assert scores.shape == (TREE.count(level),)
        parents = np.random.default_rng(level).permutation(TREE.count(level - 1))
        rows, cols = TREE.unflat(level - 1, parents)
        for parent, row, col in zip(parents, rows, cols, strict=True):
            family = single.child_scores(level - 1, np.array([row]), np.array([col]))[0]
            children = TREE.flat(level, *TREE.children(level - 1, row, col))
            np.testing.assert_allclose(scores[children], family, atol=1e-5, rtol=0, err_msg=str(parent))
    assert whole.expanded == single.expanded == 1 + 4 + 16


def test_greedy_picks_are_those_of_the_published_loop() -> None:
    some, net = squares(), small_net().decoder
    found = [greedy(some.policy(photo(seed))).actions[0].tolist() for seed in range(30)]
    assert found == [published_loop(some, photo(seed), net) for seed in range(30)]
    assert len({tuple(path) for path in found}) > 5


def test_greedy_computes_one_square_a_level() -> None:
    policy = squares().policy(photo())
    greedy(policy)
    assert policy.expanded == 3


@pytest.mark.parametrize("covered", [None, holes()], ids=["all", "holes"])
def test_every_search_agrees_with_brute_force(covered) -> None:
    some, net = squares(covered), small_net().decoder
    for seed in range(5):
        expected = np.full(64, -np.inf)
        for path in itertools.product(range(4), repeat=3):
            leaf = int(TREE.flat(3, *TREE.from_path(np.array(path))))
            total = 0.0
            for level, logits in enumerate(along(some, photo(seed), path, net)):
                children = TREE.flat(level + 1, *TREE.children(level, *TREE.from_path(np.array(path[:level], int))))
                alive = np.ones(4, bool) if covered is None else covered[level][children]
                total += np.where(alive, logits - np.logaddexp.reduce(logits.numpy()[alive]), -np.inf)[path[level]]
            expected[leaf] = total
        order = np.argsort(-expected)
        exact = best_first(some.policy(photo(seed)), 4)
        assert exact.leaves.tolist() == order[:4].tolist()
        np.testing.assert_allclose(exact.log_probability, expected[order[:4]], atol=1e-4)
        assert beam(some.policy(photo(seed)), 64).leaves[:4].tolist() == order[:4].tolist()
        answer = posterior(some.policy(photo(seed)))
        np.testing.assert_allclose(answer.log_probability, expected, atol=1e-4)


def test_logits_summed_are_another_posterior_and_the_same_greedy() -> None:
    some = squares()
    assert greedy(some.policy(photo(), logits=True)).leaves == greedy(some.policy(photo())).leaves
    raw, normal = posterior(some.policy(photo(), logits=True)), posterior(some.policy(photo()))
    assert abs(raw.probability - normal.probability).max() > 0.01


def test_a_lonely_question_is_answered_with_its_likeliest_neighbours_the_more_the_oftener() -> None:
    config = dataclasses.replace(SMALL, grid=4)
    policy = squares(config=config).policy(photo())
    rows, cols = policy.tree.unflat(1, np.arange(16))
    computed = []
    for row, col in zip(rows, cols, strict=True):
        policy.child_scores(1, np.array([row]), np.array([col]))
        computed.append(policy.expanded)
    assert computed[0] == 2  # the root and the one
    assert sorted(set(computed)) == [2, 4, 8, 16, 17]
    assert policy.expanded == 17


def test_it_is_a_term_like_any_other() -> None:
    policy = squares().policy(photo())
    leaf = 37
    scores = np.zeros(64)
    scores[leaf] = 1e3
    assert posterior(WeightedSum([(policy, 1.0), (LevelScores(TREE, {3: scores}), 1.0)])).best == leaf


def test_a_tree_of_another_depth_is_refused() -> None:
    with pytest.raises(ValueError, match="a decoder of 3 picks among 4 cannot walk"):
        DecoderSquares(small_net().decoder, ZoomTree(TREE.root, 2, 2), [])


def test_policies_share_nothing() -> None:
    some = squares()
    one, other = some.policy(photo(1)), some.policy(photo(2))
    assert isinstance(one, DecoderPolicy)
    first = one.node_scores(3)
    other.node_scores(3)
    assert np.array_equal(first, one.node_scores(3))
    assert not np.allclose(first, other.node_scores(3))
