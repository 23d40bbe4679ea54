import itertools

import numpy as np
import pytest

from tiercel.errors import TiercelError
from tiercel.evaluation import bounding, pruning
from tiercel.evaluation.comparing import LANES, similarities
from tiercel.evaluation.ranking import Ranks, one_percent, rank_references


def naive_similarities(queries, references) -> np.ndarray:
    """(n, m): as documented, pair by pair: lanes of double precision, then rounded."""
    width = queries.shape[1]
    whole = width - width % LANES
    table = np.empty((len(queries), len(references)), np.float32)
    for i, query in enumerate(queries):
        products = query.astype(np.float64) * references.astype(np.float64)
        total = np.zeros(len(references))
        for k in range(whole, width):
            total += products[:, k]
        lanes = np.zeros((len(references), LANES))
        for first in range(0, whole, LANES):
            lanes += products[:, first : first + LANES]
        for lane in range(LANES):
            total += lanes[:, lane]
        table[i] = total
    return table


def naive(queries, references, positives, semi_positives, counted) -> Ranks:
    """One loop over the queries."""
    rank, best, hit = [], [], []
    for row, positive, masked in zip(naive_similarities(queries, references), positives, semi_positives, strict=True):
        higher = row > row[positive]
        rank.append(min(int(higher.sum()), counted))
        best.append(int(row.argmax()))
        higher[list(masked)] = False
        hit.append(not higher.any())
    return Ranks(np.array(rank), counted, np.array(best), np.array(hit))


def same(found: Ranks, expected: Ranks) -> bool:
    return bool(
        np.array_equal(found.rank, expected.rank)
        and np.array_equal(found.best, expected.best)
        and np.array_equal(found.hit, expected.hit)
    )


def embeddings(count, width, slope, rng, spread=1.0, centre=0.0) -> np.ndarray:
    """Unit vectors of a power law spectrum, turned at random, then squeezed together."""
    basis = np.linalg.qr(rng.standard_normal((width, width)))[0]
    vectors = rng.standard_normal((count, width)) * np.arange(1, width + 1) ** (-slope / 2) @ basis
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return (centre * basis[0] + spread * vectors).astype(np.float32)


def case(n, m, width, slope, noise, seed=0, **squeezed) -> tuple:
    """Queries near their positives, with duplicates and near duplicates of references, and semi-positives."""
    rng = np.random.default_rng(seed)
    both = embeddings(m + n, width, slope, rng, **squeezed)
    references, off = both[:m].copy(), both[m:]
    references[m // 2 : m // 2 + m // 10] = references[: m // 10]
    references[m // 4] = np.nextafter(references[m // 4 + 1], 2)
    positives = rng.integers(0, m, n)
    queries = references[positives] + rng.uniform(0, noise, (n, 1)).astype(np.float32) * off
    semi = [tuple(rng.integers(0, m, rng.integers(0, 4)).tolist()) for _ in range(n)]
    return queries, references, positives, semi


CASES = {
    "power law": dict(slope=1.0, noise=3.0),
    "flat": dict(slope=0.0, noise=6.0),
    "steep": dict(slope=3.0, noise=1.0),
    "all alike": dict(slope=1.0, noise=1.0, spread=1e-3, centre=1.0),
    "very long": dict(slope=0.5, noise=3.0, spread=300.0),
    "very short": dict(slope=0.5, noise=3.0, spread=1e-4),
}


@pytest.fixture
def pruned(monkeypatch) -> list[pruning.Plan]:
    """Makes even small problems worth a plan; the plans made."""
    plans, plan = [], pruning.Planner.plan
    monkeypatch.setattr(pruning, "SMALL_S", 0.0)
    monkeypatch.setattr(pruning.Planner, "plan", lambda self: plans.append(plan(self)) or plans[-1])
    return plans


@pytest.mark.parametrize("width", [32, 100, 384])
@pytest.mark.parametrize("name", CASES)
def test_pruned_ranks_are_those_of_the_loop(name, width, pruned) -> None:
    problem = case(80, 700, width, **CASES[name])
    for counted in (10, 700):
        assert same(rank_references(*problem, counted=counted), naive(*problem, counted=counted))
    assert len(pruned) == 2


@pytest.mark.parametrize("level", range(9))
def test_every_level_gives_the_same(level, pruned, monkeypatch) -> None:
    """Whatever the plan: all queries by 1, 1.5, ... eighths of the coded coordinates, by all codes, and plainly."""
    monkeypatch.setattr(pruning.Planner, "_axes", lambda self: [axes_of(self)])
    costs = pruning.Planner._costs
    monkeypatch.setattr(
        pruning.Planner, "_costs", lambda *given: np.where(np.arange(9)[:, None] == level, 0.0, costs(*given))
    )
    problem = case(80, 700, 256, **CASES["power law"])
    assert same(rank_references(*problem, counted=20), naive(*problem, counted=20))
    assert [len(chosen) for _, chosen in pruned[0].groups] == [80 if at == level else 0 for at in range(9)]


def axes_of(planner) -> bounding.Axes:
    problem = planner.problem
    return bounding.find_axes(problem.queries, problem.references, problem.centre, planner.workers)


def test_without_fast_whole_numbers(pruned, monkeypatch) -> None:
    monkeypatch.setattr(pruning, "arithmetic_of_codes", lambda *_: bounding.SINGLE)
    problem = case(80, 500, 256, **CASES["power law"])
    assert same(rank_references(*problem, counted=500), naive(*problem, counted=500))


def test_ties_are_not_above_the_positive_and_the_first_of_equals_is_best() -> None:
    references = np.eye(4, dtype=np.float32)[[0, 1, 1, 1, 2]]
    query = np.array([[0.0, 1.0, 0.5, 0.0]], np.float32)
    for positive in (1, 2, 3):
        ranks = rank_references(query, references, [positive])
        assert (ranks.rank[0], ranks.best[0], ranks.hit[0]) == (0, 1, True)
    assert rank_references(query, references, [4]).rank[0] == 3
    assert rank_references(query, references, [0]).rank[0] == 4


def test_a_sum_that_differs_by_less_than_single_precision_is_a_tie() -> None:
    references = np.array([[1.0, 0.0], [1.0, 1e-9]], np.float32)
    ranks = rank_references(np.array([[1.0, 1.0]], np.float32), references, [0])
    assert (ranks.rank[0], ranks.best[0]) == (0, 0)


def test_semi_positives_by_hand() -> None:
    """Similarities 5, 4, 3, 2, 1, 0; the positive is the fourth."""
    references = np.arange(5, -1, -1, dtype=np.float32)[:, None]
    query = np.ones((1, 1), np.float32)
    hits = {masked: bool(rank_references(query, references, [3], [masked]).hit[0]) for masked in
            [(), (0,), (0, 1), (0, 1, 2), (0, 0, 1, 2), (0, 1, 2, 3), (4, 5)]}  # fmt: skip
    assert [masked for masked, hit in hits.items() if hit] == [(0, 1, 2), (0, 0, 1, 2), (0, 1, 2, 3)]


def test_ranks_stop_where_counting_stops_but_hits_do_not_suffer() -> None:
    references = np.arange(50, dtype=np.float32)[::-1, None]
    ranks = rank_references(np.ones((2, 1), np.float32), references, [2, 40], [tuple(range(12)), ()], counted=1)
    assert ranks.counted == 13 and ranks.rank.tolist() == [2, 13] and ranks.hit.tolist() == [True, False]
    with pytest.raises(ValueError, match="counted to 13"):
        ranks.recall_at(14)


def test_recall_by_hand() -> None:
    ranks = Ranks(np.array([0, 0, 4, 5, 9]), 10, np.zeros(5, np.int64), np.array([True, True, True, False, False]))
    assert [ranks.recall_at(k).value for k in (1, 5, 6, 10)] == [40, 60, 80, 100]
    assert ranks.hit_rate().value == 60
    assert 0 <= ranks.recall_at(1).low < 40 < ranks.recall_at(1).high <= 100
    assert [one_percent(m) for m in (99, 100, 199, 90_618)] == [0, 1, 1, 906]


def test_counts_by_default_as_far_as_recall_at_one_percent_asks() -> None:
    rng = np.random.default_rng(0)
    for m, counted in ((50, 10), (1500, 15)):
        assert rank_references(rng.random((3, 4)), rng.random((m, 4)), [0, 1, 2]).counted == counted


def test_nothing_asked() -> None:
    ranks = rank_references(np.zeros((0, 8)), np.ones((3, 8)), np.zeros(0, int))
    assert ranks.rank.shape == ranks.best.shape == ranks.hit.shape == (0,)
    assert np.isnan(ranks.recall_at(1).value)


def test_vectors_of_zeros_and_a_single_reference() -> None:
    ranks = rank_references(np.zeros((2, 8)), np.zeros((3, 8)), [1, 2])
    assert ranks.rank.tolist() == [0, 0] and ranks.best.tolist() == [0, 0]
    assert rank_references(np.ones((1, 8)), np.ones((1, 8)), [0]).rank.tolist() == [0]


def test_the_same_whatever_the_threads(pruned) -> None:
    problem = case(700, 2500, 128, **CASES["power law"])
    one, two, three = (rank_references(*problem, threads=threads) for threads in (1, 2, 3))
    assert same(one, two) and same(one, three)


def test_tells_how_far_it_is() -> None:
    told = []
    rng = np.random.default_rng(0)
    rank_references(rng.random((3, 4)), rng.random((5000, 4)), [0, 1, 2], progress=lambda *now: told.append(now))
    assert told == [(2048, 5000), (4096, 5000), (5000, 5000)]


def test_torch_keeps_its_threads() -> None:
    import torch

    before = torch.get_num_threads()
    rank_references(np.ones((3, 4)), np.ones((5, 4)), [0, 1, 2], threads=2)
    assert torch.get_num_threads() == before


GOOD = np.ones((3, 4), np.float32)
NAN = np.where(np.arange(12).reshape(3, 4) == 5, np.nan, 1.0)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (dict(queries=np.ones((3, 5))), "5 numbers and the references' 4"),
        (dict(references=NAN), "reference 1 holds NaN"),
        (dict(queries=np.where(np.isnan(NAN), np.inf, 1)), "query 1 holds NaN or inf"),
        (dict(references=np.vstack([NAN, NAN])), "reference 1 and of 1 more"),
        (dict(references=np.ones(4)), "references are no matrix"),
        (dict(references=np.ones((0, 4))), "references are no matrix"),
        (dict(queries=[["a"]]), "queries are no matrix"),
        (dict(positives=[0, 1]), "give 3 positives"),
        (dict(positives=[0.0, 1.0, 2.0]), "give 3 positives"),
        (dict(positives=[0, 1, 3]), "positive of query 2 is 3"),
        (dict(positives=[0, -1, 2]), "positive of query 1 is -1"),
        (dict(semi_positives=[(0,)]), "semi-positives of 1"),
        (dict(semi_positives=[(), (1, 2), (0, 7)]), "semi-positive of query 2 is 7"),
    ],
)
def test_bad_input_is_one_sentence(given, words) -> None:
    with pytest.raises(TiercelError, match=words):
        rank_references(**dict(queries=GOOD, references=GOOD, positives=[0, 1, 2]) | given)


def test_a_similarity_is_a_float32_near_the_product() -> None:
    rng = np.random.default_rng(0)
    for width in (1, 31, 32, 33, 1024):
        queries, references = rng.standard_normal((2, 5, width)).astype(np.float32)
        out = np.empty(5, np.float32)
        similarities(queries, references, np.arange(5), out)
        assert np.array_equal(out, np.diag(naive_similarities(queries, references)))
        assert out == pytest.approx((queries.astype(float) * references).sum(1), rel=1e-6, abs=1e-6)


def test_bounds_hold(monkeypatch) -> None:
    """No similarity lies outside of what any level says about it."""
    queries, references, *_ = case(200, 300, 256, **CASES["power law"])
    centre = references.mean(0)
    exact = queries.astype(np.float64) @ (references - centre).T.astype(np.float64)
    with bounding.Workers(1) as workers:
        axes = bounding.find_axes(queries, references, centre, workers)
        for each in (axes, axes.first(axes.ends[2]), None):
            mine, theirs = bounding.code(queries, None, each, workers), bounding.code(references, centre, each, workers)
            ends = each.ends if each else (256,)
            assert len(mine.bounds) == len(ends)
            for end, q, r in zip(ends, mine.bounds, theirs.bounds, strict=True):
                products = mine.codes[:, :end].astype(np.float64) @ theirs.codes[:, :end].T
                middle = products * np.multiply.outer(q.step.astype(float), r.step)
                off = sum(np.multiply.outer(a.astype(float), b) for a, b in
                          ((q.size, r.error), (q.error, r.size), (q.rest, r.rest)))  # fmt: skip
                assert (np.abs(exact - middle) <= off).all()
    # They are of use, too: half of the coordinates, in whole numbers, leave little in doubt.
    assert np.median(off) < 0.05 * np.median(np.linalg.norm(queries, axis=1)) * np.median(
        np.linalg.norm(references, axis=1)
    )


def test_whole_numbers_multiply_exactly() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.integers(-127, 128, (2, 64, 96)).astype(np.int8)
    with bounding.Workers(1) as workers:
        for arithmetic in {bounding.SINGLE, bounding.arithmetic_of_codes(96, workers)}:
            out = workers.scratch(64, 64, arithmetic.kind)
            arithmetic.multiply(a, b, out)
            assert np.array_equal(out.numpy().astype(int), a.astype(int) @ b.astype(int).T)


def test_orders_of_queries_and_references_do_not_matter(pruned) -> None:
    queries, references, positives, semi = case(200, 600, 64, **CASES["flat"])
    ranks = rank_references(queries, references, positives, semi)
    order = np.random.default_rng(1).permutation(600)
    place = np.argsort(order)
    moved = rank_references(
        queries[::-1], references[order], place[positives[::-1]], [place[list(s)] for s in semi[::-1]]
    )
    assert np.array_equal(ranks.rank, moved.rank[::-1]) and np.array_equal(ranks.hit, moved.hit[::-1])
    pairs = zip(ranks.best, order[moved.best[::-1]], strict=True)
    assert all(np.array_equal(references[a], references[b]) for a, b in itertools.islice(pairs, None))
