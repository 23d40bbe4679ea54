import dataclasses

import numpy as np
import pytest

from tests.atlas.conftest import FakeMap, FakeModel
from tests.atlas.test_gallery import WIDTH, embedding_model
from tiercel.atlas import Atlas, GalleryPlan, build
from tiercel.atlas.gallery import unpack
from tiercel.models import PhotoFeatures
from tiercel.search import posterior
from tiercel.search.gallery import GalleryRetriever
from tiercel.search.policies import bottom_up_policy, retrieval_policy

SCALE = 5.0


def features(vectors, known=False) -> PhotoFeatures:
    headings = np.linspace(0, 360, len(vectors), endpoint=False, dtype=np.float32)
    none = np.zeros((0, 0), np.float32)
    return PhotoFeatures(headings, none, (), none[None], headings, known, embedding=np.asarray(vectors, np.float32))


def photo(heading_count=4, seed=0) -> PhotoFeatures:
    return features(np.random.default_rng(seed).normal(size=(heading_count, WIDTH)))


@pytest.fixture(scope="module")
def atlases(tmp_path_factory) -> dict[str, Atlas]:
    """With gaps: rows 0 and 7 of the tree are not covered."""
    folder = tmp_path_factory.mktemp("atlases")
    plans = {
        "leaves": GalleryPlan(),
        "overlapping": GalleryPlan((1.0,), 0.5),
        "scales": GalleryPlan((1.0, 2.0), 0.5),
        "coarse": GalleryPlan((2.0,), 1.0),
        "larger than the map": GalleryPlan((1.0, 16.0), 1.0),
    }
    basemap = FakeMap(75.0, 60.0, holes=[(30, 20, 45, 42)])
    return {
        name: build(basemap, embedding_model(FakeModel), folder / name, gallery=plan) for name, plan in plans.items()
    }


def test_where_cells_are_leaves_a_leaf_sums_its_headings(atlases) -> None:
    atlas = atlases["leaves"]
    retriever, asked = GalleryRetriever(atlas, SCALE), photo()
    scores = retriever.scores(asked)
    _, row, col = unpack(retriever.gallery.cell)
    expected = np.full(64, -np.inf)
    logits = SCALE * asked.embedding @ retriever.gallery.vectors(np.arange(len(row))).T
    expected[atlas.tree.flat(3, row, col)] = np.log(np.exp(logits).sum(0))
    np.testing.assert_allclose(scores.leaf_scores, expected, rtol=1e-4)
    assert (np.isfinite(scores.leaf_scores) == atlas.covered(3)).all()
    np.testing.assert_allclose(retriever.scores(asked, 2.0).leaf_scores, expected / 2, rtol=1e-4)


@pytest.mark.parametrize("name", ["leaves", "overlapping", "scales", "coarse", "larger than the map"])
def test_every_covered_leaf_has_a_finite_score(atlases, name) -> None:
    atlas = atlases[name]
    scores = GalleryRetriever(atlas, SCALE).scores(photo())
    assert (np.isfinite(scores.leaf_scores) == atlas.covered(3)).all()
    leaf = int(atlas.leaf_index[5])
    assert scores.best_heading(leaf) in (0, 90, 180, 270)
    for policy in (retrieval_policy(scores), bottom_up_policy(scores)):
        answer = posterior(policy)
        assert answer.probability.sum() == pytest.approx(1)
        assert answer.best == scores.leaf_scores.argmax()


def test_scales_are_averaged_heading_by_heading(atlases) -> None:
    """Leaf and heading by hand: the mean of what four overlapping cells, and of what one of twice the side come to."""
    atlas = atlases["scales"]
    retriever = GalleryRetriever(atlas, SCALE)
    gallery, scores = retriever.gallery, retriever.scores(photo())
    leaf = int(atlas.tree.flat(3, 2, 1))
    square = atlas.tree.square(3, 2, 1)
    inside = square.contains(gallery.x, gallery.y)
    small, large = inside & (gallery.side == 10), inside & (gallery.side == 20)
    assert (small.sum(), large.sum()) == (4, 1)
    z = np.exp(scores.logits.astype(float))
    expected = (np.log(z[:, small].mean(1)) + np.log(z[:, large].mean(1))) / 2
    found = scores.by_heading[int(atlas.rows(np.array([leaf]))[0])]
    np.testing.assert_allclose(found, expected, rtol=1e-4)
    assert scores.leaf_scores[leaf] == pytest.approx(np.log(np.exp(expected).sum()), rel=1e-4)
    assert scores.best_heading(leaf) == scores.headings_deg[expected.argmax()]


def test_a_network_that_cannot_tell_headings_claims_none(atlases) -> None:
    retriever, one = GalleryRetriever(atlases["leaves"], SCALE), photo(1)
    alike = features(np.repeat(one.embedding, 8, 0))
    scores = retriever.scores(alike)
    assert scores.logits.shape[0] == 1
    assert np.isnan(scores.best_heading(int(atlases["leaves"].leaf_index[0])))
    np.testing.assert_allclose(scores.leaf_scores, retriever.scores(one).leaf_scores, rtol=1e-5)
    # But where the heading is known, it is known.
    known = dataclasses.replace(one, headings_deg=np.array([33.0], np.float32), heading_known=True)
    assert retriever.scores(known).best_heading(int(atlases["leaves"].leaf_index[0])) == 33.0


@pytest.mark.parametrize(("name", "tolerance"), [("leaves", 0.5), ("overlapping", 0.1), ("scales", 0.1)])
def test_a_place_is_told_finer_than_the_cells_lie_apart(atlases, name, tolerance) -> None:
    """Likeness that falls off with the distance from a truth, as smoothly as it does between cells that overlap."""
    atlas = atlases[name]
    retriever = GalleryRetriever(atlas, SCALE)
    gallery = retriever.gallery
    rng = np.random.default_rng(0)
    errors, centres = [], []
    for x, y in rng.uniform((500_012, 4_999_982), (500_024, 4_999_990), (30, 2)):
        logits = -((gallery.x - x) ** 2 + (gallery.y - y) ** 2) / (2 * 6.0**2)
        scores = dataclasses.replace(
            retriever.scores(photo(2)), logits=np.stack([logits - 9, logits]).astype(np.float32)
        )
        leaf = int(scores.leaf_scores.argmax())
        found = scores.place(leaf)
        centre = atlas.tree.centre(3, *atlas.tree.unflat(3, leaf))
        errors.append(np.hypot(found[0] - x, found[1] - y))
        centres.append(np.hypot(float(centre[0]) - x, float(centre[1]) - y))
        assert scores.best_heading(leaf) == 180
    assert np.mean(errors) < tolerance < np.mean(centres)


def test_where_no_cell_has_its_centre_in_a_leaf_the_leaf_s_own_is_told(atlases) -> None:
    atlas = atlases["coarse"]
    scores = GalleryRetriever(atlas, SCALE).scores(photo())
    leaf = int(atlas.tree.flat(3, 1, 1))
    x, y = atlas.tree.centre(3, 1, 1)
    place = scores.place(leaf)
    assert np.hypot(place[0] - x, place[1] - y) < 11
