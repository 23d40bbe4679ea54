import mmap

import numpy as np
import pytest

from tiercel.evaluation import metrics_speed
from tiercel.evaluation.metrics_speed import (
    KINDS,
    VIGOR,
    Size,
    measure,
    share_that_fits,
    simulate_embeddings,
    usual_evaluation,
)
from tiercel.evaluation.results import read_rows, write_rows

SMALL = Size("small", 240, 700, 64)


@pytest.fixture(scope="module")
def rows(tmp_path_factory) -> dict:
    path = tmp_path_factory.mktemp("results") / "metrics_speed.json"
    write_rows(path, measure(SMALL, KINDS[:1], share=4))
    return {row.name: row for row in read_rows(path)}


def test_every_number_has_a_row_that_says_what_the_loop_ran_on(rows) -> None:
    loop = "loop_on_one_in_4"
    expected = {
        f"{name}/tiercel" for name in ("seconds", "extra_memory_gb", "r1", "r5", "r10", "r1_percent", "hit_rate")
    }
    expected |= {f"{name}/tiercel_over_{loop}" for name in ("speedup_over_loop", "speedup_over_products")}
    expected |= {f"{name}/{loop}" for name in ("seconds", "seconds_of_products", "extra_memory_gb")}
    expected |= {f"different_ranks/tiercel_and_{loop}"}
    assert {name.replace("/typical/small/", "/") for name in rows} == expected
    assert rows[f"seconds/typical/small/{loop}"].n == 60
    assert rows["seconds/typical/small/tiercel"].n == 240
    assert all(row.value > 0 for name, row in rows.items() if "seconds" in name or "speedup" in name)


def test_ranks_are_those_of_the_loop(rows) -> None:
    assert rows["different_ranks/typical/small/tiercel_and_loop_on_one_in_4"].value == 0
    assert rows["extra_memory_gb/typical/small/tiercel"].value < 0.5


def test_the_loop_on_all_is_called_the_loop() -> None:
    names = {row.name for row in measure(Size("tiny", 20, 100, 16), KINDS[1:2], share=1)}
    assert {"speedup_over_loop/flat/tiny/tiercel", "seconds/flat/tiny/loop"} <= names


def test_the_usual_evaluation_by_hand() -> None:
    data = simulate_embeddings(SMALL, KINDS[0])
    found = usual_evaluation(data, step=100)
    similarity = data.queries @ data.references.T
    truth = similarity[np.arange(240), data.positives]
    assert np.array_equal(found.rank, (similarity > truth[:, None]).sum(1))
    similarity[np.arange(240)[:, None], data.semi_positives] = -2
    assert np.array_equal(found.hit, ~(similarity > truth[:, None]).any(1))


def test_the_loop_takes_the_share_whose_matrix_fits() -> None:
    assert [share_that_fits(VIGOR, int(gb * 1e9)) for gb in (24, 20, 8, 2)] == [1, 2, 4, 16]


def test_simulated_embeddings_are_unit_vectors_with_semi_positives_close_by() -> None:
    for kind in KINDS:
        data = simulate_embeddings(Size("wide", 200, 3000, 256), kind)
        for rows in (data.queries, data.references):
            assert np.linalg.norm(rows, axis=1) == pytest.approx(1, abs=1e-5)
        assert data.semi_positives.shape == (200, 3) and (data.semi_positives != data.positives[:, None]).all()
        assert data.semi_positives.min() >= 0 and data.semi_positives.max() < 3000
        near = np.einsum("nd,nsd->ns", data.queries, data.references[data.semi_positives])
        assert near.mean() > 1.5 * (data.queries @ data.references.T).std()
        ranks = data.rank()
        assert 0.1 < (ranks.rank == 0).mean() < ranks.hit.mean() < 1


def test_simulated_spectra_fall_as_they_should() -> None:
    """So many lookalikes that scenes are all there is; they need be many more than there are numbers."""
    slopes = []
    for kind in KINDS:
        rows = simulate_embeddings(Size("many", 1, 24_000, 32), kind).references
        variances = np.linalg.eigvalsh(rows.T @ rows)[::-1]
        slopes.append(-np.polyfit(np.log(np.arange(1, 33)), np.log(variances), 1)[0])
    assert slopes == pytest.approx([kind.slope for kind in KINDS], abs=0.2)


def test_memory_is_what_the_kernel_says() -> None:
    before, size = metrics_speed._memory("VmRSS"), 40_000_000
    # Fresh pages, which no allocator has at hand from before.
    with mmap.mmap(-1, size) as held:
        for _ in range(40):
            held.write(b"1" * 1_000_000)
        assert metrics_speed._memory("VmRSS") - before > 0.7 * size
