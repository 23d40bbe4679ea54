"""Every index finds what it should, from what it wrote to disk."""

from pathlib import Path

import numpy as np
import pytest

from tiercel.evaluation.index_methods import METHODS, RECALL, smallest
from tiercel.evaluation.index_vectors import Statistics, Vectors


@pytest.fixture(scope="module")
def vectors(tmp_path_factory: pytest.TempPathFactory) -> Vectors:
    made = Vectors(tmp_path_factory.mktemp("gallery"), 2000, Statistics(width=32), queries=40)
    made.write()
    return made


@pytest.mark.parametrize("name", METHODS)
def test_an_index_reaches_the_recall_one_query_at_a_time_and_many_at_once(
    vectors: Vectors, name: str, tmp_path: Path
) -> None:
    METHODS[name].build(vectors, tmp_path)
    opened = METHODS[name].open(tmp_path)
    opened.tune(vectors)
    found = opened.search(vectors.asked)
    assert found.shape == (40, 10) and found.dtype == np.int64
    exact = name in ("faiss_flat", "tiercel_exact")
    assert vectors.recall(found).mean() >= (1 if exact else RECALL)
    alone = np.concatenate([opened.search(query[None]) for query in vectors.asked])
    assert (np.sort(alone) == np.sort(found)).mean() > 0.99


def test_the_graph_looks_at_no_more_than_it_needs(vectors: Vectors, tmp_path: Path) -> None:
    METHODS["faiss_hnsw"].build(vectors, tmp_path)
    nodes = METHODS["faiss_hnsw"].open(tmp_path).tune(vectors)["ef_search"]
    assert 10 <= nodes < 200


@pytest.mark.parametrize(("least", "low", "high"), [(1, 1, 100), (7, 1, 100), (64, 10, 1000), (999, 10, 1000)])
def test_the_smallest_that_is_enough_is_found_to_a_twentieth(least: int, low: int, high: int) -> None:
    found = smallest(lambda number: number >= least, low, high)
    assert least <= found <= max(low, least + max(1, 0.06 * least))


def test_the_largest_is_taken_where_nothing_is_enough() -> None:
    assert smallest(lambda number: False, 10, 1000) == 1000
    assert smallest(lambda number: False, 10, 5) == 5
