import numpy as np
import pytest
import torch

from tests.search.town import LEAF, NORTH, WEST, planted, prepared, town_model
from tiercel.atlas import Atlas
from tiercel.errors import TiercelError
from tiercel.models import Model
from tiercel.models.match import correlate
from tiercel.search.match import NEGLIGIBLE, Matcher, _peak
from tiercel.search.policy import log_sum_exp


@pytest.fixture(scope="module")
def model() -> Model:
    return prepared()[0]


@pytest.fixture(scope="module")
def atlas() -> Atlas:
    return prepared()[1]


PLACES = [
    (100.0, 70.0, 37.0),
    (210.9, 333.2, 291.0),
    (45.0, 460.0, 158.0),
    (470.0, 40.0, 5.0),  # near the map's edge: part of what the photo sees is not stored
]


def leaf_at(atlas, x, y) -> int:
    tree = atlas.tree
    return int(tree.flat(tree.depth, *tree.cell_at(x, y, tree.depth)))


@pytest.mark.parametrize(("view", "told"), [(90.0, False), (90.0, True), (360.0, False), (360.0, True)])
@pytest.mark.parametrize(("east", "south", "heading"), PLACES)
def test_a_planted_photo_is_found_to_the_metre(atlas, model, view, told, east, south, heading) -> None:
    x, y = WEST + east, NORTH - south
    photo = planted(atlas, model, x, y, heading, told, view)
    true = leaf_at(atlas, x, y)
    others = atlas.leaf_index[:: len(atlas.leaf_index) // 6]
    leaves = np.array([*others[:3], true, *others[3:]])
    matches = Matcher(atlas, model).match(photo, leaves)
    assert (matches.leaves == leaves).all()
    best = int(matches.score.argmax())
    assert leaves[best] == true
    assert matches.x[best] == pytest.approx(x, abs=2.0)
    assert matches.y[best] == pytest.approx(y, abs=2.0)
    error = (matches.heading[best] - heading + 180) % 360 - 180
    assert abs(error) < (0.01 if told else 4.0)


@pytest.mark.parametrize("steps", [(0, 1), (0, -1), (1, 0), (-1, 0)], ids=["east", "west", "south", "north"])
def test_a_photo_just_beyond_the_border_is_found_from_next_door(atlas, model, steps) -> None:
    """The camera is looked for up to half a leaf outside of the candidate."""
    tree = atlas.tree
    row, col = 6, 7
    x, y = (float(v) for v in tree.centre(tree.depth, row, col))
    x, y = x + steps[1] * 0.8 * LEAF, y - steps[0] * 0.8 * LEAF
    photo = planted(atlas, model, x, y, 90.0, True, 360.0)
    matches = Matcher(atlas, model).match(photo, np.array([int(tree.flat(tree.depth, row, col))]))
    assert (matches.x[0], matches.y[0]) == pytest.approx((x, y), abs=2.0)


def test_candidates_are_looked_at_one_by_one(atlas, model) -> None:
    photo = planted(atlas, model, WEST + 100, NORTH - 70, 37.0, False)
    matcher = Matcher(atlas, model)
    leaves = atlas.leaf_index[[5, 0, 77, 240]]
    together = matcher.match(photo, leaves)
    for index, leaf in enumerate(leaves):
        alone = matcher.match(photo, np.array([leaf]))
        for name in ("score", "x", "y", "heading"):
            assert getattr(alone, name)[0] == pytest.approx(getattr(together, name)[index], abs=1e-3)


def test_places_lie_within_half_a_leaf_of_the_candidate(atlas, model) -> None:
    photo = planted(atlas, model, WEST + 100, NORTH - 70, 37.0, False)
    leaves = atlas.leaf_index[::9]
    matches = Matcher(atlas, model).match(photo, leaves)
    x, y = atlas.tree.centre(atlas.tree.depth, *atlas.tree.unflat(atlas.tree.depth, leaves))
    assert np.abs(matches.x - x).max() <= LEAF
    assert np.abs(matches.y - y).max() <= LEAF
    assert ((matches.heading >= 0) & (matches.heading < 360)).all()


@pytest.mark.parametrize("told", [True, False])
def test_a_sweep_scores_every_leaf_as_if_it_were_alone(atlas, model, told) -> None:
    photo = planted(atlas, model, WEST + 210.9, NORTH - 333.2, 291.0, told)
    matcher, tree = Matcher(atlas, model), atlas.tree
    even = np.ones((len(atlas.leaf_index), len(photo.headings_deg)))
    leaves, scores = matcher.sweep(photo, even, 10_000)
    assert np.array_equal(np.sort(leaves), np.sort(atlas.leaf_index))
    across, headings = model.config.positions_per_leaf, len(photo.polar_start_deg)
    assert scores.shape == (len(leaves), across**2, headings)
    leaf, position, heading = np.unravel_index(scores.argmax(), scores.shape)
    assert leaves[leaf] == leaf_at(atlas, WEST + 210.9, NORTH - 333.2)
    centre = (np.array(divmod(position, across)) + 0.5) * LEAF / across
    assert np.abs(centre - [333.2 % LEAF, 210.9 % LEAF]).max() < 0.6 * LEAF / across
    assert abs((photo.headings_deg[heading] - 291.0 + 180) % 360 - 180) <= model.config.bin_deg / 2
    tried = matcher._within_bins(photo)
    templates = matcher._templates(photo, tried.ravel())
    for leaf, score in list(zip(leaves, scores, strict=True))[::17]:
        window, _ = matcher._window(*(int(v) for v in tree.unflat(tree.depth, leaf)), 1, 0)
        alone = correlate(templates, torch.from_numpy(window)[None, None])[0, :, 0] * model.match.scale()
        alone = alone.detach().unflatten(0, tried.shape).logsumexp(1) - np.log(tried.shape[1])
        cells = alone.unflatten(2, (across, -1)).unflatten(1, (across, -1)).logsumexp((2, 4))
        assert score == pytest.approx(cells.flatten(1).T.numpy(), abs=1e-3)
    again = matcher.sweep(photo, even, 10_000)  # from spectra that are kept
    assert np.array_equal(again[1], scores)


def test_a_sweep_of_few_tiles_takes_the_likeliest(atlas, model) -> None:
    photo = planted(atlas, model, WEST + 100, NORTH - 70, 37.0, False)
    matcher, tree = Matcher(atlas, model), atlas.tree
    likely = leaf_at(atlas, WEST + 300, NORTH - 300)
    probability = np.full((len(atlas.leaf_index), len(photo.headings_deg)), 1e-6)
    probability[atlas.rows(np.array([likely]))[0], [3, 5]] = 1.0, 2.0
    leaves, scores = matcher.sweep(photo, probability, 1)
    whole = np.flatnonzero(~np.isnan(scores).any((0, 1)))
    assert whole.tolist() == [5] and np.isnan(np.delete(scores, 5, 2)).all()
    again, both = matcher.sweep(photo, probability, 2)
    assert np.flatnonzero(~np.isnan(both).any((0, 1))).tolist() == [3, 5]
    assert np.array_equal(again, leaves) and both[..., 5] == pytest.approx(scores[..., 5], abs=1e-4)
    assert likely in leaves and len(leaves) <= matcher.tile**2 < len(atlas.leaf_index)
    row, col = tree.unflat(tree.depth, leaves)
    assert np.ptp(row) < matcher.tile and np.ptp(col) < matcher.tile
    assert len(np.unique(leaves)) == len(leaves) and np.isin(leaves, atlas.leaf_index).all()


def test_a_sweep_ends_where_hardly_any_probability_is_left(atlas, model) -> None:
    photo = planted(atlas, model, WEST + 100, NORTH - 70, 37.0, False)
    matcher = Matcher(atlas, model)
    row = atlas.rows(np.array([leaf_at(atlas, WEST + 300, NORTH - 300)]))[0]
    for rest, looked in ((0.1 * NEGLIGIBLE, [3, 5]), (10.0 * NEGLIGIBLE, [3, 5, 7])):
        probability = np.zeros((len(atlas.leaf_index), len(photo.headings_deg)))
        probability[row, [3, 5, 7]] = 0.3, 0.7 - rest, rest
        _, scores = matcher.sweep(photo, probability, 10_000)
        assert np.flatnonzero(~np.isnan(scores).all((0, 1))).tolist() == looked


@pytest.mark.parametrize("told", [True, False])
def test_everywhere_is_every_pose_of_a_sweep_of_everything(atlas, model, told) -> None:
    photo = planted(atlas, model, WEST + 210.9, NORTH - 333.2, 291.0, told)
    matcher = Matcher(atlas, model)
    scores = matcher.everywhere([photo])
    even = np.ones((len(atlas.leaf_index), len(photo.headings_deg)))
    leaves, poses = matcher.sweep(photo, even, 10_000)
    swept = np.full(len(scores), np.nan)
    swept[atlas.rows(leaves)] = log_sum_exp(poses.reshape(len(poses), -1)) - np.log(poses.shape[2])
    assert scores == pytest.approx(swept, abs=1e-3)
    assert atlas.leaf_index[scores.argmax()] == leaf_at(atlas, WEST + 210.9, NORTH - 333.2)
    assert np.array_equal(matcher.everywhere([photo]), scores)  # from spectra that are kept


def test_photos_that_may_look_any_way_agree_on_a_position(atlas, model) -> None:
    """What they say is added cell by cell, each summed over its own headings."""
    photos = [planted(atlas, model, WEST + 100, NORTH - 70, 37.0, False)]
    photos += [planted(atlas, model, WEST + 100, NORTH - 70, 211.0, True, 360.0)]
    matcher, tree = Matcher(atlas, model), atlas.tree
    scores = matcher.everywhere(photos)
    for row in range(0, len(scores), 41):
        leaf = tree.unflat(tree.depth, atlas.leaf_index[row])
        window, _ = matcher._window(*(int(v) for v in leaf), 1, 0)
        expected = 0.0
        for photo in photos:
            templates = matcher._templates(photo, matcher._within_bins(photo).ravel())
            alone = correlate(templates, torch.from_numpy(window)[None, None])[0, :, 0] * model.match.scale()
            expected = expected + alone.detach().logsumexp(0) - np.log(len(alone))
        assert scores[row] == pytest.approx(float(expected.flatten().logsumexp(0)), abs=1e-3)


def test_the_exact_place_of_photos_from_one_spot(atlas, model) -> None:
    x, y = WEST + 210.9, NORTH - 333.2
    matcher, leaves = Matcher(atlas, model), np.array([leaf_at(atlas, x, y), leaf_at(atlas, WEST + 45, NORTH - 460)])
    photos = [planted(atlas, model, x, y, heading, False) for heading in (291.0, 33.0)]
    found = matcher.match_together(photos, leaves)
    assert (found.x[0], found.y[0]) == pytest.approx((x, y), abs=2.0)
    assert abs((found.heading[0] - 291.0 + 180) % 360 - 180) < 4
    turned = matcher.match_together(photos[::-1], leaves)
    assert abs((turned.heading[0] - 33.0 + 180) % 360 - 180) < 4
    assert (turned.x, turned.y, turned.score) == tuple(pytest.approx(v) for v in (found.x, found.y, found.score))
    alone = matcher.match(photos[0], leaves)
    elsewhere = planted(atlas, model, WEST + 45, NORTH - 460, 100.0, False)
    assert matcher.match_together([photos[0], elsewhere], leaves).score[0] < found.score[0]
    assert found.score[0] - found.score[1] > alone.score[0] - alone.score[1]


def test_a_model_without_the_head(atlas) -> None:
    with pytest.raises(TiercelError, match="has no geometric match"):
        Matcher(atlas, town_model(heads=("retrieval",)))


@pytest.mark.parametrize("top", [3.0, 3.3, 2.75])
def test_the_peak_of_a_parabola(top) -> None:
    line = (5 - (np.arange(7) - top) ** 2).astype(np.float32)
    index = np.array([line.argmax()])
    assert index + _peak(line[None], index, False) == pytest.approx([top], abs=1e-4)


def test_peaks_at_ends_and_around_the_turn() -> None:
    line = np.array([[5.0, 3.0, 0.0, 4.0]], np.float32)
    index = np.array([0])
    assert _peak(line, index, False) == [0]
    assert _peak(line, index, True) == pytest.approx([0.5 * (4 - 3) / (4 - 10 + 3)])
    assert _peak(np.full((1, 5), 2.0, np.float32), np.array([2]), False) == [0]
    assert _peak(np.array([[2.0]], np.float32), index, True) == [0]


def test_headings_are_tried_all_around(atlas, model) -> None:
    """Where none is known they divide the turn evenly; a known one is taken as it is."""
    photo = planted(atlas, model, WEST + 100, NORTH - 70, 37.0, False)
    tried = np.sort(Matcher(atlas, model)._within_bins(photo).ravel())
    assert np.diff(tried, append=tried[0] + 360) == pytest.approx(model.config.bin_deg / 2, abs=1e-3)
    told = planted(atlas, model, WEST + 100, NORTH - 70, 37.0, True)
    assert Matcher(atlas, model)._within_bins(told) == pytest.approx(told.polar_start_deg[:, None])
