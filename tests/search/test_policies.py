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
    x, y, turned = scores.best_pose(answer.best)
    assert abs(x - WEST - east) <= atlas.tree.side(atlas.tree.depth) / 8
    assert abs(NORTH - south - y) <= atlas.tree.side(atlas.tree.depth) / 8
    assert turned == pytest.approx(heading % 360, abs=0.1)
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


def random_zoom(photo, seed=0, levels=3, **more):  # noqa: ANN201
    """The photo with loud random queries for the zoom head."""
    rng = np.random.default_rng(seed)
    zoom = tuple(2 * rng.standard_normal((len(photo.headings_deg), 8)).astype(np.float32) for _ in range(levels))
    return dataclasses.replace(photo, zoom=zoom, **more)


def picks_by_hand(atlas, photo, level, cell) -> np.ndarray:
    """(H,) what the zoom head gives a cell at each heading, all its siblings and "not in this square" considered."""
    number = atlas.tree.depth - level + 1 - atlas.manifest.sizes.zoom_lowest
    if number < 0:
        return np.zeros(len(photo.headings_deg))
    scores = photo.zoom[number] @ atlas.zoom_keys(level)[cell].astype(np.float64)
    if photo.reject:
        tree = atlas.tree
        siblings = tree.flat(level, *tree.children(level - 1, *tree.parent(level, *tree.unflat(level, cell))))
        siblings = siblings[atlas.covered(level)[siblings]]
        every = photo.zoom[number] @ atlas.zoom_keys(level)[siblings].astype(np.float64).T
        every = np.concatenate([every, np.full((len(every), 1), photo.reject[number])], 1)
        scores = scores - np.logaddexp.reduce(every, 1)
    return scores


@pytest.mark.parametrize("reject", [(), (0.5, -1.0, 0.0)])
@pytest.mark.parametrize("told", [True, False])
def test_a_path_adds_up_heading_by_heading(atlas, model, told, reject) -> None:
    """What a cell scores is what it adds: the sum down to a cell is the log-sum-exp of its path over headings."""
    photo = random_zoom(planted(atlas, model, WEST + 100, NORTH - 70, 10.0, told=told), reject=reject)
    policy = zoom_policy(atlas, photo)
    tree = atlas.tree
    assert tree.depth == 2
    for level in (1, 2):
        assert (np.isneginf(policy.node_scores(level)) == ~atlas.covered(level)).all()
    covered = np.flatnonzero(atlas.covered(1))
    root = log_sum([log_sum(picks_by_hand(atlas, photo, 1, cell)) for cell in covered])
    for leaf in np.flatnonzero(atlas.covered(2))[::11]:
        parent = int(tree.flat(1, *tree.parent(2, *tree.unflat(2, leaf))))
        top = picks_by_hand(atlas, photo, 1, parent)
        assert policy.node_scores(1)[parent] == pytest.approx(log_sum(top) - root, abs=1e-3)
        whole = top + picks_by_hand(atlas, photo, 2, leaf)
        assert policy.node_scores(2)[leaf] == pytest.approx(log_sum(whole) - log_sum(top), abs=1e-3)
    row, col = tree.unflat(1, np.arange(tree.count(1)))
    children = tree.flat(2, *tree.children(1, row, col))
    assert (policy.child_scores(1, row, col) == policy.node_scores(2)[children]).all()


def test_levels_that_the_head_was_not_trained_for_gather_their_children() -> None:
    """The first pick is then made by what the second would come to, and greedy descent is not blind."""
    model, atlas = prepared(zoom_levels=1)
    assert atlas.zoom_levels == (2,)
    photo = random_zoom(planted(atlas, model, WEST + 100, NORTH - 70, 10.0, told=True), levels=1)
    policy, tree = zoom_policy(atlas, photo), atlas.tree
    leaves = {leaf: float(picks_by_hand(atlas, photo, 2, leaf)[0]) for leaf in np.flatnonzero(atlas.covered(2))}
    held: dict[int, list[float]] = {}
    for leaf, score in leaves.items():
        held.setdefault(int(tree.flat(1, *tree.parent(2, *tree.unflat(2, leaf)))), []).append(score)
    for cell, scores in held.items():
        assert policy.node_scores(1)[cell] == pytest.approx(log_sum(scores) - log_sum(list(leaves.values())), abs=1e-3)
    best = max(held, key=lambda cell: log_sum(held[cell]))
    found = int(greedy(policy).leaves[0])
    assert int(tree.flat(1, *tree.parent(2, *tree.unflat(2, found)))) == best
    assert leaves[found] == max(held[best])


@pytest.mark.parametrize("lowest", [1, 2])
@pytest.mark.parametrize("told", [True, False])
def test_retrieval_can_tell_the_leaves_apart(lowest, told) -> None:
    """Poses join the path heading by heading too, and only the zoom head's part of it is weighted."""
    model, atlas = prepared(zoom_lowest=lowest)
    assert atlas.zoom_levels == ((1, 2) if lowest == 1 else (1,))
    photo = random_zoom(planted(atlas, model, WEST + 100, NORTH - 70, 10.0, told=told), levels=4 - lowest)
    poses = Retriever(atlas).scores(photo, temperature=20.0)
    answer = posterior(zoom_policy(atlas, photo, poses, weight=0.5))
    tree, by_hand = atlas.tree, []
    for row, leaf in enumerate(atlas.leaf_index):
        parent = int(tree.flat(1, *tree.parent(2, *tree.unflat(2, leaf))))
        path = picks_by_hand(atlas, photo, 1, parent) + picks_by_hand(atlas, photo, 2, leaf)
        by_hand.append(log_sum(poses.poses[row] + 0.5 * path))
    expected = np.asarray(by_hand) - log_sum(by_hand)
    assert answer.log_probability[atlas.leaf_index] == pytest.approx(expected, abs=2e-3)
    # Without any word of the zoom head, it is retrieval alone.
    alone = posterior(zoom_policy(atlas, photo, poses, weight=0.0)).log_probability
    assert alone == pytest.approx(posterior(retrieval_policy(poses)).log_probability, abs=1e-4)


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
