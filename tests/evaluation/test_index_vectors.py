"""Made-up embeddings have the statistics that are asked for, and recall is counted against an exact search."""

from pathlib import Path

import numpy as np
import pytest

from tiercel.evaluation import index_vectors
from tiercel.evaluation.index_vectors import CITY, ISOTROPIC, NEIGHBOURS, Statistics, Vectors

CELLS = 3000


@pytest.fixture(scope="module")
def city(tmp_path_factory: pytest.TempPathFactory) -> Vectors:
    vectors = Vectors(tmp_path_factory.mktemp("city"), CELLS, Statistics(width=64), queries=50)
    vectors.write()
    return vectors


def all_of(vectors: Vectors) -> np.ndarray:
    return np.concatenate(list(vectors.chunks(700)))


def test_as_many_unit_vectors_as_asked_for_the_same_however_they_are_read(city: Vectors) -> None:
    cells = all_of(city)
    assert cells.shape == (CELLS, 64) and cells.dtype == np.float32
    assert np.allclose(np.linalg.norm(cells, axis=1), 1, atol=2e-3)
    some = np.array([[0, 1], [CELLS - 1, 1700]])
    assert np.array_equal(city.rows(some), cells[some])


def test_the_same_numbers_every_time_and_others_for_other_statistics(city: Vectors, tmp_path: Path) -> None:
    again = Vectors(tmp_path, CELLS, Statistics(width=64), queries=50)
    again.write()
    assert again.digest == city.digest != Vectors(tmp_path, CELLS, Statistics(width=64, exponent=0.9), 50).digest
    assert np.array_equal(all_of(again), all_of(city)) and np.array_equal(again.asked, city.asked)


def test_next_cells_are_alike_and_distant_ones_share_what_all_do(city: Vectors) -> None:
    cells, side = all_of(city), city.side
    here = np.arange(0, CELLS - 40 * side)

    def cosine(offset: int) -> float:
        return float((cells[here] * cells[here + offset]).sum(1).mean())

    shared = CITY.shared
    for step in (1, side):
        assert (cosine(step) - shared) / (1 - shared) == pytest.approx(0.53, abs=0.06)
        assert (cosine(2 * step) - shared) / (1 - shared) == pytest.approx(0.14, abs=0.06)
    far = cells[here] @ cells[here + 36 * side + 25].T
    assert far.mean() == pytest.approx(shared, abs=0.08)


def test_the_spectrum_is_the_one_asked_for(tmp_path: Path) -> None:
    vectors = Vectors(tmp_path, 20_000, Statistics(width=32, exponent=1.5, knee=4.0, shared=0.0, scales=()))
    vectors.write()
    variances = np.linalg.eigvalsh(np.cov(all_of(vectors).T))[::-1]
    asked = (1 + np.arange(1, 33) / 4) ** -1.5
    assert variances == pytest.approx(asked / asked.sum(), rel=0.15)


def test_isotropic_vectors_have_nothing_in_common(tmp_path: Path) -> None:
    vectors = Vectors(tmp_path, 2000, ISOTROPIC)
    vectors.write()
    cells = all_of(vectors)
    cosines = (cells @ cells.T)[~np.eye(len(cells), dtype=bool)]
    assert abs(cosines.mean()) < 1e-3 and cosines.std() == pytest.approx(256**-0.5, rel=0.02)


def test_photos_are_unit_vectors_like_a_cell(city: Vectors) -> None:
    assert np.allclose(np.linalg.norm(city.asked, axis=1), 1, atol=1e-5)
    cells = index_vectors._rng("queries").integers(CELLS, size=50)
    own = (city.asked * city.rows(cells)).sum(1)
    assert own.mean() == pytest.approx((1 + CITY.photo_noise**2) ** -0.5, abs=0.05)


def test_recall_of_the_exact_answer_is_whole(city: Vectors) -> None:
    exact = np.argsort(-(city.asked @ all_of(city).T), 1)[:, :NEIGHBOURS]
    assert (city.recall(exact) == 1).all()
    assert (city.recall(exact[:, ::-1]) == 1).all()


def test_recall_counts_what_is_wrong_missing_or_found_twice(city: Vectors) -> None:
    order = np.argsort(-(city.asked @ all_of(city).T), 1)
    found = order[:, :NEIGHBOURS].copy()
    found[0, 3] = order[0, NEIGHBOURS]
    found[1, :4] = -1
    found[2, 1] = found[2, 0]
    recall = city.recall(found)
    assert recall[:3] == pytest.approx([0.9, 0.6, 0.9]) and (recall[3:] == 1).all()


def test_files_that_are_there_are_kept_and_can_be_removed(tmp_path: Path) -> None:
    vectors = Vectors(tmp_path / "new", 1000, Statistics(width=16), queries=5)
    told: list[tuple[int, int]] = []
    vectors.write(lambda done, total: told.append((done, total)))
    assert told[-1] == (1000, 1000)
    told.clear()
    vectors.write(lambda done, total: told.append((done, total)))
    assert not told
    vectors.remove()
    assert not vectors.file.exists() and not list((tmp_path / "new").iterdir())
