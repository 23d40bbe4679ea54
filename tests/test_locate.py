import dataclasses
import json

import numpy as np
import pytest

from tests.models.tiny import panorama_of_scene, photo_of_scene
from tests.search.town import NORTH, SIDE, WEST, Town, planted, prepared, town_model
from tiercel.atlas import Atlas
from tiercel.errors import TiercelError
from tiercel.geo import Square
from tiercel.locate import Analysis, Locator, MatchAnalysis, Prior, TogetherAnalysis
from tiercel.models import Model, RegionFit, save_model
from tiercel.photos import Photo
from tiercel.search.disc import KNOTS
from tiercel.search.policy import log_sum_exp
from tiercel.search.together import encode_rig, rigs, surplus

X, Y, HEADING = WEST + 145.0, NORTH - 207.0, 303.75


@pytest.fixture(scope="module")
def model() -> Model:
    return prepared()[0]


@pytest.fixture(scope="module")
def atlas() -> Atlas:
    return prepared()[1]


@pytest.fixture
def locator(atlas, model) -> Locator:
    return Locator(atlas, model)


def analysis(locator, told=False, prior=None, loud=1.0, **place) -> Analysis:
    at = {"x": X, "y": Y, "heading": HEADING, **place}
    photo = planted(locator.atlas, locator.model, told=told, **at)
    return Analysis(locator, dataclasses.replace(photo, retrieval=loud * photo.retrieval), prior)


@pytest.mark.parametrize("told", [True, False])
def test_a_planted_truth_is_found(locator, told) -> None:
    fix = locator.fix(analysis(locator, told), "planted.jpg")
    assert (fix.x, fix.y) == pytest.approx((X, Y), abs=2.0)
    assert abs((fix.heading - HEADING + 180) % 360 - 180) < 4
    latitude, longitude = locator.atlas.frame.to_wgs84(fix.x, fix.y)
    assert (fix.latitude, fix.longitude) == pytest.approx((float(latitude), float(longitude)), abs=1e-9)
    assert fix.photo == "planted.jpg" and fix.crs == "EPSG:32633"
    row, col = locator.atlas.tree.cell_at(X, Y, 2)
    best = fix.candidates[0]
    assert (best.rank, best.level, best.row, best.col) == (1, 2, int(row), int(col))
    assert best.probability > 0.9
    assert [square.side for square in fix.steps] == [500, 125, 31.25]
    assert all(square.contains(X, Y) for square in fix.steps)


def test_the_heat_is_a_probability_over_what_is_covered(locator, atlas) -> None:
    fix = locator.fix(analysis(locator, loud=0.01), "photo")
    assert fix.heat.shape == (16, 16)
    assert np.nansum(fix.heat) == pytest.approx(1, abs=1e-4)
    assert (np.isnan(fix.heat.ravel()) == ~atlas.covered(2)).all()
    assert np.isnan(fix.heat[-1, -1]) and not np.isnan(fix.heat[0, 0])  # row 0 is north


def test_candidates_lie_apart_and_are_ordered(locator) -> None:
    fix = locator.fix(analysis(locator, loud=0.01), "photo")
    assert [one.rank for one in fix.candidates] == list(range(1, len(fix.candidates) + 1))
    scores = [one.score for one in fix.candidates]
    assert scores == sorted(scores, reverse=True)
    for index, one in enumerate(fix.candidates):
        assert all(np.hypot(one.x - other.x, one.y - other.y) >= 31.25 for other in fix.candidates[:index])
    assert fix.radius_50_m <= fix.radius_90_m
    content = json.loads(json.dumps(fix.to_json()))
    assert list(content)[:9] == [
        "photo", "lat", "lon", "x", "y", "crs", "radius_50_m", "radius_90_m", "candidates",
    ]  # fmt: skip


def test_the_match_divides_only_what_its_leaves_hold(locator) -> None:
    found = analysis(locator, loud=0.003)
    found.calibration = dataclasses.replace(found.calibration, effort=1)
    leaves, scores = found.swept
    assert np.isnan(scores).any((0, 1)).sum() == scores.shape[2] - 1
    first, final = found.first.probability, found.final.probability
    others = np.setdiff1d(locator.atlas.leaf_index, leaves)
    assert len(others)
    assert final[others] == pytest.approx(first[others], abs=1e-6)
    assert final[leaves].sum() == pytest.approx(first[leaves].sum(), abs=1e-5)
    assert np.abs(final[leaves] - first[leaves]).max() > 1e-6


def test_where_all_leaves_are_swept_it_is_a_product(locator) -> None:
    found = analysis(locator, loud=0.003)
    leaves, scores = found.swept
    assert len(leaves) == len(locator.atlas.leaf_index)
    poses = found.poses.poses[locator.atlas.rows(leaves)]
    assert scores.shape == poses.shape
    within = poses - found.poses.leaf_scores[leaves][:, None, None]
    first = found.first.log_probability[leaves][:, None, None] + within
    weights = found.calibration
    both = weights.first_weight * first + weights.match_weight * scores
    weighed = np.exp(both - both.max()).sum((1, 2))
    assert found.final.probability[leaves] == pytest.approx(weighed / weighed.sum(), abs=1e-5)
    assert found.match_alone.best == leaves[np.exp(scores - scores.max()).sum((1, 2)).argmax()]


def test_poses_are_looked_for_in_the_likeliest_leaves(locator) -> None:
    found = analysis(locator)
    best = found.matches.leaves
    assert len(best) == found.calibration.candidates
    assert np.array_equal(best, found.final.top(len(best))[0])


@pytest.mark.parametrize("told", [True, False])
def test_regions_use_what_was_fitted_for_the_method_and_the_kind_of_query(locator, told) -> None:
    found = analysis(locator, told)
    assert found.kind == ("photo_north" if told else "photo")
    raw = found.region("match")
    assert raw.radius(0.5) == pytest.approx(found.final.radius(0.5, raw.disc.around))
    shares = tuple(np.linspace(0.04, 0.4, len(KNOTS)).tolist())
    fits = {f"match/{found.kind}": RegionFit(0.4, shares), "match/panorama": RegionFit(99.0)}
    found.calibration = dataclasses.replace(found.calibration, regions=fits)
    fitted = found.region("match")
    assert fitted.radius(0.5) < 0.4 < 2 < raw.radius(0.5)  # metres: the match's error, not a leaf's half
    assert fitted.mass_within(fitted.radius(0.9)) == pytest.approx(0.9, abs=1e-5)
    assert found.region("match", calibrated=False).radius(0.9) == raw.radius(0.9)
    assert found.region("global").radius(0.9) == pytest.approx(found.zoom_global.radius(0.9))
    fix = locator.fix(found, "photo")
    assert (fix.radius_50_m, fix.radius_90_m) == (fitted.radius(0.5), fitted.radius(0.9))


def test_panoramas_are_told_from_photos_by_how_wide_they_are(locator) -> None:
    for photo, kind in (
        (Photo.from_array(panorama_of_scene(0), panorama=True, field_of_view=360.0), "panorama"),
        (Photo.from_array(panorama_of_scene(0), panorama=True, field_of_view=360.0, heading=10.0), "panorama_north"),
        (Photo.from_array(photo_of_scene(0, 75.0), panorama=False, field_of_view=75.0), "photo"),
        (Photo.from_array(photo_of_scene(0, 75.0), panorama=False, field_of_view=75.0, heading=359.0), "photo_north"),
    ):
        assert locator.analyse(photo).kind == kind


def test_temperatures_change_what_zooming_claims_and_not_what_it_picks(locator) -> None:
    plain, tempered = analysis(locator), analysis(locator)
    tempered.calibration = dataclasses.replace(
        tempered.calibration, sibling_temperatures=(2.0, 3.0), global_temperature=4.0
    )
    assert tempered.zoom_greedy.leaves.tolist() == plain.zoom_greedy.leaves.tolist()
    assert tempered.zoom_greedy.log_probability[0] != plain.zoom_greedy.log_probability[0]
    assert tempered.zoom_global.best == plain.zoom_global.best
    expected = plain.zoom_global.tempered(4.0).probability
    assert tempered.zoom_global.probability == pytest.approx(expected, abs=1e-5)
    assert tempered.final.probability == pytest.approx(plain.final.probability)


def test_a_prior_narrows(locator, atlas) -> None:
    free = analysis(locator, loud=0.003)
    latitude, longitude = (float(v) for v in atlas.frame.to_wgs84(X, Y))
    near = analysis(locator, loud=0.003, prior=Prior(latitude, longitude, 20.0))
    assert near.first.radius(0.9, (X, Y)) < 0.5 * free.first.radius(0.9, (X, Y))
    x, y = WEST + 400, NORTH - 90
    latitude, longitude = (float(v) for v in atlas.frame.to_wgs84(x, y))
    moved = analysis(locator, loud=0.003, prior=Prior(latitude, longitude, 20.0)).first.centre
    assert np.hypot(moved[0] - x, moved[1] - y) < 60


def test_a_prior_far_off_the_map(locator) -> None:
    found = analysis(locator, prior=Prior(10.0, 10.0, 5.0))
    with pytest.raises(TiercelError, match="too far from the map's coverage"):
        _ = found.first


def test_every_method_answers(locator, atlas) -> None:
    found = analysis(locator)
    covered = atlas.covered(2)
    for leaf in (found.zoom_greedy.leaves[0], found.zoom_best_first.leaves[0], found.zoom_global.best):
        assert covered[int(leaf)]
    true = int(atlas.tree.flat(2, *atlas.tree.cell_at(X, Y, 2)))
    assert found.retrieval.best == found.first.best == true
    assert found.poses.best_heading(true) == pytest.approx(HEADING)


@pytest.mark.parametrize("panorama", [True, False])
@pytest.mark.parametrize("heading", [None, 200.0])
def test_any_photo_has_a_fix_inside_the_map(locator, panorama, heading) -> None:
    field = 360.0 if panorama else 75.0
    pixels = panorama_of_scene(0) if panorama else photo_of_scene(0, field)
    photo = Photo.from_array(pixels, panorama=panorama, field_of_view=field, heading=heading)
    fix = locator.locate(photo)
    assert WEST - 16 <= fix.x <= WEST + SIDE + 16 and NORTH - SIDE - 16 <= fix.y <= NORTH + 16
    if heading is not None:
        assert fix.heading == pytest.approx(heading, abs=1e-3)


def at_the_spot(locator, *headings: float, loud=0.003) -> list[Analysis]:
    return [analysis(locator, loud=loud, heading=heading) for heading in headings]


def test_the_match_alone_says_where_and_which_way(locator, atlas) -> None:
    found = analysis(locator, loud=0.003)
    best = found.matches_everywhere
    assert (best.x[0], best.y[0]) == pytest.approx((X, Y), abs=2.0)
    assert abs((best.heading[0] - HEADING + 180) % 360 - 180) < 4
    fix = locator.fix(MatchAnalysis(locator, [found.photo]), "photo")
    assert (fix.x, fix.y, fix.heading) == pytest.approx((best.x[0], best.y[0], best.heading[0] + locator.convergence))
    assert np.nansum(fix.heat) == pytest.approx(1, abs=1e-4)
    elsewhere = Prior(*(float(v) for v in atlas.frame.to_wgs84(WEST + 400, NORTH - 90)), 20.0)
    quiet = dataclasses.replace(found.photo, polar=0.01 * found.photo.polar)
    moved = MatchAnalysis(locator, [quiet], elsewhere).final.centre
    assert np.hypot(moved[0] - WEST - 400, moved[1] - NORTH + 90) < 60


def test_a_model_of_nothing_but_the_match_locates() -> None:
    model, atlas = prepared(heads=("match",))
    locator = Locator(atlas, model)
    assert isinstance(locator.analyse(pictures(None)[0]), MatchAnalysis)
    for photos in (pictures(77.0), pictures(77.0, None)):
        fix = locator.locate_together(photos)
        assert fix.heading == pytest.approx(77.0, abs=1e-3) and fix.tree.root.contains(fix.x, fix.y)


def test_photos_that_may_look_any_way_add_up_position_by_position(locator, atlas) -> None:
    """Where all is swept it is a product over photos of sums over headings, summed over the positions of a leaf."""
    parts = at_the_spot(locator, HEADING, HEADING + 90.0)
    found = TogetherAnalysis(locator, parts, 2)
    sums = 0.0
    for part in parts:
        leaves, scores = part.swept
        order = np.argsort(leaves)
        assert np.array_equal(leaves[order], atlas.leaf_index)
        poses = part.poses.poses.astype(np.float64)
        within = poses - part.poses.leaf_scores[atlas.leaf_index][:, None, None]
        first = part.first.log_probability[atlas.leaf_index][:, None, None] + within
        weights = part.calibration
        both = weights.first_weight * first + weights.match_weight * scores[order]
        sums = sums + log_sum_exp(both)
    total = np.exp(sums - sums.max()).sum(1) ** (1 / surplus(2))  # photos from one spot are not independent
    assert found.final.probability[atlas.leaf_index] == pytest.approx(total / total.sum(), abs=1e-5)
    assert found.final.best == int(atlas.tree.flat(2, *atlas.tree.cell_at(X, Y, 2)))
    ahead = [np.diff(np.sort(one.final.log_probability)[-2:])[0] for one in (found, *parts)]
    assert ahead[0] > max(ahead[1:])


def test_a_rig_is_no_surer_than_its_photos_are_independent(locator) -> None:
    photos = pictures(10.0, 100.0)
    found, features = locator.analyse_together(photos), [encode_rig(locator.model, rig) for rig in rigs(photos)]
    alone = Analysis(locator, features[0])
    assert found.final.best == alone.final.best and len(found.parts) == 1
    expected = alone.final.tempered(surplus(2)).probability
    assert found.final.probability == pytest.approx(expected, abs=1e-4)
    assert (found.matches.x[0], found.matches.heading[0]) == pytest.approx((alone.matches.x[0], 10.0), abs=0.05)


def test_a_fix_of_photos_from_one_spot(locator) -> None:
    found = TogetherAnalysis(locator, at_the_spot(locator, HEADING, HEADING + 90.0), 2)
    fix = locator.fix(found, "a.jpg")
    assert (fix.x, fix.y) == pytest.approx((X, Y), abs=2.0)
    assert abs((fix.heading - HEADING + 180) % 360 - 180) < 4
    assert found.kind == "panorama" and fix.radius_50_m <= fix.radius_90_m  # two right angles seen
    turned = locator.fix(TogetherAnalysis(locator, found.parts[::-1], 2), "b.jpg")
    assert abs((turned.heading - HEADING - 90.0 + 180) % 360 - 180) < 4


def test_a_prior_is_counted_once_for_photos_from_one_spot(locator, atlas) -> None:
    where = Prior(*(float(v) for v in atlas.frame.to_wgs84(X, Y)), 60.0)
    parts = at_the_spot(locator, HEADING, HEADING + 90.0, loud=0.001)
    free, near = TogetherAnalysis(locator, parts, 2), TogetherAnalysis(locator, parts, 2, where)
    expected = free.first.with_prior(X, Y, 60.0).probability
    assert near.first.probability == pytest.approx(expected, abs=1e-6)
    assert near.final.radius(0.9, (X, Y)) <= free.final.radius(0.9, (X, Y)) + 1e-6


def pictures(*headings: float | None) -> list[Photo]:
    return [
        Photo.from_array(photo_of_scene(0, 75.0), panorama=False, field_of_view=75.0, heading=heading, name=f"{index}")
        for index, heading in enumerate(headings)
    ]


def test_photos_are_located_together_with_what_is_known_of_their_headings(locator) -> None:
    assert isinstance(locator.analyse_together(pictures(None, None)), TogetherAnalysis)
    assert len(locator.analyse_together(pictures(None, 10.0, 100.0)).photos) == 2  # those that know north are as one
    assert len(locator.analyse_together(pictures(None, None, None), [90.0, 180.0]).photos) == 1
    fix = locator.locate_together(pictures(None, 100.0), [90.0])
    assert fix.heading == pytest.approx(10.0, abs=1e-3) and len(fix.together) == 1
    panorama = Photo.from_array(panorama_of_scene(0), panorama=True, field_of_view=360.0)
    mixed = locator.locate_together([panorama, *pictures(None, 200.0)])
    assert WEST - 16 <= mixed.x <= WEST + SIDE + 16 and mixed.to_json()["together"] == ["photo", "photo"]
    alone = pictures(33.0)[0]
    one, same = locator.locate_together([alone]), locator.locate(alone)
    assert one.to_json() == same.to_json() and "together" not in one.to_json()
    with pytest.raises(TiercelError, match="2 photos need 1 turns"):
        locator.locate_together(pictures(None, None), [90.0, 180.0])


def test_headings_of_photos_together_are_from_true_north(locator) -> None:
    locator.__dict__["convergence"] = 7.0
    found = locator.analyse_together(pictures(50.0, 140.0))
    assert found.photos[0].headings_deg == pytest.approx([43.0], abs=1e-3)


def test_a_photo_that_cannot_be_read_leaves_no_answer(locator, tmp_path) -> None:
    (tmp_path / "notes.jpg").write_text("no photo")
    with pytest.raises(TiercelError, match=r"notes\.jpg"):
        locator.locate_together([pictures(None)[0], tmp_path / "notes.jpg"])


def test_pictures_come_from_the_map_if_it_is_at_hand(atlas, model) -> None:
    square = Square(WEST + 200, NORTH - 200, 100)
    sharp, covered = Locator(atlas, model, Town()).overhead(square, 50)
    assert (sharp == Town().read(square, 50)[0]).all() and covered.all()
    rough, covered = Locator(atlas, model).overhead(square, 50)
    assert rough.shape == (50, 50, 3) and covered.all()


def test_opening_an_atlas_with_its_model_and_with_another(atlas, model, tmp_path) -> None:
    save_model(model, tmp_path / "model", "A card.\n")
    assert Locator.open(atlas.folder, tmp_path / "model").atlas.tree == atlas.tree
    save_model(town_model(seed=9), tmp_path / "other", "A card.\n")
    with pytest.raises(TiercelError, match="was built for model tiny"):
        Locator.open(atlas.folder, tmp_path / "other")
