import numpy as np
import pytest

from tiercel.atlas.tables import Pieces, gallery_columns
from tiercel.errors import TiercelError
from tiercel.geo import Area
from tiercel.search import gallery as module
from tiercel.search.gallery import Gallery

WIDTH = 24


def write_gallery(table, embeddings, pieces=3) -> None:
    """A gallery of cells on a line, ten metres apart."""
    count = len(embeddings)
    rows = {
        "cell": np.arange(count) + 100,
        "x": 10.0 * np.arange(count),
        "y": np.zeros(count),
        "side": np.full(count, 10, np.float32),
        "covered": np.ones(count, np.float32),
        "embedding": np.asarray(embeddings, np.float16),
    }
    written = Pieces(table, gallery_columns(embeddings.shape[1]))
    for piece, some in enumerate(np.array_split(np.arange(count), pieces)):
        written.write(piece, {name: values[some] for name, values in rows.items()})
    written.commit()


def unit(rng, count, width=WIDTH) -> np.ndarray:
    vectors = rng.normal(size=(count, width))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def stretch(first, last) -> Area:
    """The cells from one to another."""
    west, east = 10.0 * first - 1, 10.0 * last + 1
    return Area("a stretch", ((np.array([[west, -1], [east, -1], [east, 1], [west, 1]]),),))


@pytest.fixture(params=["in memory", "from disk"])
def place(request, monkeypatch) -> str:
    """Small blocks, so that several have to be put together; and a gallery larger than what is held in memory."""
    monkeypatch.setattr(module, "BLOCK", 64)
    monkeypatch.setattr(module, "QUERIES_AT_ONCE", 3)
    if request.param == "from disk":
        monkeypatch.setattr(module, "EXACT_CELLS", 100)
    return request.param


@pytest.mark.parametrize("k", [1, 10, 70])
def test_an_exact_search_finds_what_a_full_sort_does(place, tmp_path, k) -> None:
    rng = np.random.default_rng(0)
    embeddings, queries = unit(rng, 500), unit(rng, 8)
    write_gallery(tmp_path / "gallery.lance", embeddings)
    hits = Gallery(tmp_path / "gallery.lance", WIDTH).search(queries, k, exact=True)
    full = queries @ embeddings.astype(np.float16).astype(np.float32).T
    expected = np.argsort(-full, axis=1, kind="stable")[:, :k]
    np.testing.assert_array_equal(hits.cells, expected)
    np.testing.assert_allclose(hits.scores, np.take_along_axis(full, expected, 1), atol=1e-6)
    assert hits.cells.dtype == np.int64 and hits.scores.dtype == np.float32


def test_of_equal_cells_the_lower_row_comes_first(place, tmp_path) -> None:
    one, other = np.eye(2, WIDTH, dtype=np.float32)
    embeddings = np.tile(np.stack([other, one, one]), (100, 1))
    write_gallery(tmp_path / "gallery.lance", embeddings)
    hits = Gallery(tmp_path / "gallery.lance", WIDTH).search(one[None], 80, exact=True)
    assert hits.cells[0].tolist() == [row for row in range(300) if row % 3][:80]
    assert (hits.scores == 1).all()


def test_better_cells_may_come_at_the_very_end(place, tmp_path) -> None:
    embeddings = np.linspace(0, 1, 300, dtype=np.float32)[:, None] * np.eye(1, WIDTH, dtype=np.float32)
    write_gallery(tmp_path / "gallery.lance", embeddings)
    hits = Gallery(tmp_path / "gallery.lance", WIDTH).search(np.eye(1, WIDTH), 4, exact=True)
    assert hits.cells.tolist() == [[299, 298, 297, 296]]


@pytest.mark.parametrize("last", [62, 63, 200, 299])
def test_only_cells_within_an_area_are_searched(place, tmp_path, last) -> None:
    rng = np.random.default_rng(1)
    embeddings, queries = unit(rng, 300), unit(rng, 5)
    write_gallery(tmp_path / "gallery.lance", embeddings)
    hits = Gallery(tmp_path / "gallery.lance", WIDTH).search(queries, 3, within=stretch(60, last), exact=True)
    full = queries @ embeddings.astype(np.float16).astype(np.float32).T
    expected = 60 + np.argsort(-full[:, 60 : last + 1], axis=1)[:, :3]
    np.testing.assert_array_equal(hits.cells, expected)


def test_fewer_cells_than_were_asked_for(place, tmp_path) -> None:
    rng = np.random.default_rng(2)
    write_gallery(tmp_path / "gallery.lance", unit(rng, 300))
    hits = Gallery(tmp_path / "gallery.lance", WIDTH).search(unit(rng, 2), 5, within=stretch(7, 9), exact=True)
    assert sorted(hits.cells[0].tolist()) == [-1, -1, 7, 8, 9]
    assert hits.cells[0, 3:].tolist() == [-1, -1] and np.isneginf(hits.scores[:, 3:]).all()


def test_similarities_with_all_cells(place, tmp_path) -> None:
    rng = np.random.default_rng(3)
    embeddings, queries = unit(rng, 150), unit(rng, 4)
    write_gallery(tmp_path / "gallery.lance", embeddings)
    gallery = Gallery(tmp_path / "gallery.lance", WIDTH)
    np.testing.assert_allclose(gallery.similarities(queries), queries @ embeddings.T, atol=2e-3)
    assert len(gallery) == 150 and gallery.cell[0] == 100 and gallery.x[-1] == 1490.0


def test_an_area_beside_the_map(tmp_path) -> None:
    write_gallery(tmp_path / "gallery.lance", unit(np.random.default_rng(4), 10))
    gallery = Gallery(tmp_path / "gallery.lance", WIDTH)
    with pytest.raises(TiercelError, match=r"The area a stretch holds no cell of the map; .*longitude before latitude"):
        gallery.search(np.eye(1, WIDTH), 1, within=stretch(20, 30))


def test_embeddings_of_another_width(tmp_path) -> None:
    write_gallery(tmp_path / "gallery.lance", unit(np.random.default_rng(5), 10))
    with pytest.raises(TiercelError, match=r"gallery.lance holds embeddings of width 24 and not 256; .*--overwrite"):
        Gallery(tmp_path / "gallery.lance", 256)
    with pytest.raises(TiercelError, match=r"Vectors of shape \(1, 25\) .* of width 24; take those of the model"):
        Gallery(tmp_path / "gallery.lance", WIDTH).search(np.ones((1, 25)), 1)


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf])
def test_embeddings_that_are_no_numbers(place, tmp_path, wrong) -> None:
    embeddings = unit(np.random.default_rng(6), 200)
    embeddings[150, 3] = wrong
    write_gallery(tmp_path / "gallery.lance", embeddings)
    gallery = Gallery(tmp_path / "gallery.lance", WIDTH)
    with pytest.raises(TiercelError, match="holds embeddings that are no numbers; build the atlas again"):
        gallery.search(embeddings[:1], 1, exact=True)
    with pytest.raises(TiercelError, match="A photo's embedding is no number"):
        gallery.search(embeddings[150:151], 1)


def test_a_gallery_that_is_missing_or_damaged(tmp_path) -> None:
    with pytest.raises(TiercelError, match=r"gallery\.lance is missing or damaged; build the atlas again"):
        Gallery(tmp_path / "gallery.lance", WIDTH)
    write_gallery(tmp_path / "gallery.lance", unit(np.random.default_rng(7), 10))
    gallery = Gallery(tmp_path / "gallery.lance", WIDTH)
    for file in (tmp_path / "gallery.lance" / "data").iterdir():
        file.unlink()
    with pytest.raises(TiercelError, match="is incomplete or damaged"):
        gallery.search(np.eye(1, WIDTH), 1)


def test_more_cells_than_are_compared_need_an_index(place, tmp_path) -> None:
    write_gallery(tmp_path / "gallery.lance", unit(np.random.default_rng(8), 200))
    gallery = Gallery(tmp_path / "gallery.lance", WIDTH)
    if place == "in memory":
        assert gallery.search(np.eye(1, WIDTH), 1).cells.shape == (1, 1)
    else:
        with pytest.raises(TiercelError, match=f"has 200 cells and no index .* `tiercel index {tmp_path}`"):
            gallery.search(np.eye(1, WIDTH), 1)
    assert gallery.search(np.eye(1, WIDTH), 1, within=stretch(0, 50)).cells[0, 0] <= 50
