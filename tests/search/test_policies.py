import dataclasses

import numpy as np
import pytest

from tests.search.town import NORTH, WEST, planted, prepared
from tiercel.atlas import Atlas
from tiercel.models import Model
from tiercel.search import Posterior, greedy, posterior
from tiercel.search.policies import Retriever, bottom_up_policy, retrieval_policy, zoom_policy


@pytest.fixture(scope="module")
def model() -> Model:
    return prepared()[0]


@pytest.fixture(scope="module")
def atlas() -> Atlas:
    return prepared()[1]


def log_sum(values) -> float:
    return float(np.logaddexp.reduce(np.asarray(values, np.float64).ravel()))


def test_leaf_scores_sum_over_all_poses(atlas, model) -> None:
    photo = planted(atlas, model, WEST + 100, NORTH - 70, 10.0, told=False)
    scores = Retriever(atlas).scores(photo)
    stored = len(atlas.leaf_index)
    assert scores.poses.shape == (stored, 16, 32)
    rng = np.random.default_rng(0)
    for row in rng.integers(0, stored, 5):
        by_hand = [
            float(np.dot(photo.retrieval[h], atlas.keys[row, p].astype(np.float32).ravel())) + float(atlas.bias[row, p])
            for p in range(16)
            for h in range(32)
        ]
        assert scores.leaf_scores[atlas.leaf_index[row]] == pytest.approx(log_sum(by_hand), rel=1e-5)


def test_leaves_that_are_not_covered_score_minus_infinity(atlas, model) -> None:
    photo = planted(atlas, model, WEST + 100, NORTH - 70, 10.0, told=False)
    scores = Retriever(atlas).scores(photo).leaf_scores
    covered = atlas.covered(atlas.tree.depth)
    assert 0 < (~covered).sum() < 20
    assert (np.isneginf(scores) == ~covered).all()


def test_the_temperature_divides_every_score(atlas, model) -> None:
    photo = planted(atlas, model, WEST + 100, NORTH - 70, 10.0, told=True)
    retriever = Retriever(atlas)
    assert retriever.scores(photo, 4.0).poses == pytest.approx(retriever.scores(photo).poses / 4, abs=1e-6)


@pytest.mark.parametrize(("view", "told"), [(90.0, False), (90.0, True), (360.0, False), (360.0, True)])
@pytest.mark.parametrize(
    ("east", "south", "heading"), [(100.0, 70.0, 45.0), (10.0, 480.0, 303.75), (330.0, 260.0, 180)]
)
def test_a_planted_photo_is_found_with_its_heading(atlas, model, view, told, east, south, heading) -> None:
    x, y = WEST + east, NORTH - south
    scores = Retriever(atlas).scores(planted(atlas, model, x, y, heading, told, view))
    answer = Posterior.from_scores(atlas.tree, scores.leaf_scores)
    assert abs(answer.centre[0] - x) < 31.25 / 2
    assert abs(answer.centre[1] - y) < 31.25 / 2
    assert scores.best_heading(answer.best) == pytest.approx(heading % 360, abs=0.1)
    assert posterior(retrieval_policy(scores)).log_probability == pytest.approx(answer.log_probability, abs=1e-4)
    # Bottom up, even the greedy search finds it if the probability of its ancestors is the greatest.
    descent = greedy(bottom_up_policy(scores))
    best = int(np.argmax(answer.marginal(1)))
    assert (
        int(
            atlas.tree.flat(1, *atlas.tree.from_path(atlas.tree.path(2, *atlas.tree.unflat(2, descent.leaves))[:, :1]))[
                0
            ]
        )
        == best
    )


def test_zoom_scores_are_products_of_keys_and_queries(atlas, model) -> None:
    rng = np.random.default_rng(0)
    photo = planted(atlas, model, WEST + 100, NORTH - 70, 10.0, told=False)
    photo = dataclasses.replace(photo, zoom=tuple(rng.standard_normal((32, 8)).astype(np.float32) for _ in range(3)))
    policy = zoom_policy(atlas, photo)
    tree = atlas.tree
    assert tree.depth == 2
    for level, queries in ((2, photo.zoom[0]), (1, photo.zoom[1])):  # counted from the leaves
        scores = policy.node_scores(level)
        keys = atlas.zoom_keys(level).astype(np.float32)
        assert (np.isneginf(scores) == ~atlas.covered(level)).all()
        for cell in np.flatnonzero(atlas.covered(level))[::7]:
            assert scores[cell] == pytest.approx(log_sum(queries @ keys[cell]), abs=1e-3)
        row, col = tree.unflat(level - 1, np.arange(tree.count(level - 1)))
        children = tree.flat(level, *tree.children(level - 1, row, col))
        assert (policy.child_scores(level - 1, row, col) == scores[children]).all()


def test_zooming_to_planted_cells(atlas, model) -> None:
    """Queries made of the keys on the way to a leaf lead there, whichever leaf it is."""
    tree = atlas.tree
    photo = planted(atlas, model, WEST + 100, NORTH - 70, 10.0, told=True)
    for leaf in (3, 100, 200, 15 * 16 + 2):
        path = tree.path(tree.depth, *tree.unflat(tree.depth, leaf))
        zoom = []
        for level in (2, 1):
            cell = tree.flat(level, *tree.from_path(path[:level]))
            key = atlas.zoom_keys(level)[cell].astype(np.float32)
            query = np.append(200 * key[:-1], 0.0).astype(np.float32)
            zoom.append(query[None])
        found = dataclasses.replace(photo, zoom=(*zoom, zoom[0]))
        assert posterior(zoom_policy(atlas, found)).best == leaf


def test_a_photo_of_a_model_without_zooming_scores_nothing(atlas, model) -> None:
    photo = dataclasses.replace(planted(atlas, model, WEST + 100, NORTH - 70, 10.0, told=True), zoom=())
    answer = posterior(zoom_policy(atlas, photo))
    covered = atlas.covered(atlas.tree.depth)
    assert answer.probability[covered] == pytest.approx(1 / covered.sum())
