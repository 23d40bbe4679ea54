"""Ranks at the best heading, against comparing every pair in double precision."""

import numpy as np
import pytest

from tiercel.evaluation import headings
from tiercel.evaluation.headings import exact_similarities, rank_at_best_heading, top_references
from tiercel.evaluation.ranking import rank_references


def unit(rng, *shape: int) -> np.ndarray:
    drawn = rng.standard_normal(shape)
    return (drawn / np.linalg.norm(drawn, axis=-1, keepdims=True)).astype(np.float32)


@pytest.fixture
def asked() -> tuple[np.ndarray, np.ndarray, np.ndarray, list[tuple[int, ...]]]:
    """Tiles of which some are there twice, and photos of them at one of 5 headings."""
    rng = np.random.default_rng(3)
    references = unit(rng, 90, 12)
    references[40:60] = references[:20]
    positives = rng.integers(0, 90, 70)
    queries = unit(rng, 70, 5, 12)
    queries[np.arange(70), rng.integers(0, 5, 70)] = references[positives] + 1.1 * unit(rng, 70, 12)
    best = np.einsum("nhd,md->nhm", queries, references).max(1).argmax(1)
    # Of every third photo the tile that is found is a semi-positive.
    semi = [(int(best[at]), 5) if at % 3 == 0 and best[at] != positives[at] else () for at in range(70)]
    return queries, references, positives, semi


def by_hand(queries, references, positives, semi) -> tuple[list[int], list[bool]]:
    ranks, hits = [], []
    for query, positive, masked in zip(queries.astype(np.float64), positives, semi, strict=True):
        similar = (references.astype(np.float64) @ query.T).max(1).astype(np.float32)
        greater = similar > similar[positive]
        ranks.append(int(greater.sum()))
        greater[list(masked)] = False
        hits.append(not greater.any())
    return ranks, hits


@pytest.mark.parametrize("products", [1 << 25, 700])
def test_ranks_and_hits_are_those_of_comparing_every_pair(asked, products, monkeypatch) -> None:
    monkeypatch.setattr(headings, "_PRODUCTS", products)
    monkeypatch.setattr(headings, "_REFERENCES", 32)
    done = []
    found = rank_at_best_heading(*asked, progress=lambda some, whole: done.append((some, whole)))
    ranks, hits = by_hand(*asked)
    assert found.rank.tolist() == ranks and found.hit.tolist() == hits
    assert 0 < sum(rank == 0 for rank in ranks) < 70 and sum(hits) > sum(rank == 0 for rank in ranks)
    assert done[-1] == (70, 70)
    similar = np.einsum("nhd,md->nhm", asked[0], asked[1]).max(1)
    assert similar[np.arange(70), found.best] == pytest.approx(similar.max(1), abs=1e-6)


def test_a_tile_that_is_there_twice_is_above_neither_of_both(asked) -> None:
    queries, references, _, _ = asked
    queries = np.stack([references[:20], references[:20]], 1)
    for positives in (np.arange(20), np.arange(40, 60)):
        assert (rank_at_best_heading(queries, references, positives, [()] * 20).rank == 0).all()


def test_one_heading_is_ranked_as_ever(asked) -> None:
    queries, references, positives, semi = asked
    one = rank_at_best_heading(queries[:, :1], references, positives, semi)
    other = rank_references(queries[:, 0], references, positives, semi)
    assert (one.rank == other.rank).all() and (one.hit == other.hit).all() and one.counted == other.counted


def test_the_best_come_first(asked) -> None:
    queries, references, _, _ = asked
    tiles, scores = top_references(queries, references, 4)
    similar = np.einsum("nhd,md->nhm", queries, references).max(1)
    np.testing.assert_allclose(scores, -np.sort(-similar, axis=1)[:, :4], atol=1e-6)
    np.testing.assert_allclose(np.take_along_axis(similar, tiles, 1), scores, atol=1e-6)
    assert top_references(queries, references[:3], 9)[0].shape == (70, 3)


def test_sums_are_those_of_double_precision(asked) -> None:
    queries, references, _, _ = asked
    pairs = np.arange(70), np.arange(70) % 90
    found = exact_similarities(queries, references, *pairs)
    expected = np.einsum("nhd,nd->nh", queries.astype(np.float64), references[pairs[1]].astype(np.float64)).max(1)
    assert found.dtype == np.float32 and (found == expected.astype(np.float32)).all()
    assert exact_similarities(queries, references, [], []).shape == (0,)
