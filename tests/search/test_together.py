import dataclasses

import numpy as np
import pytest

from tests.models.tiny import panorama_of_scene, photo_of_scene
from tests.search.town import NORTH, WEST, planted, prepared
from tiercel.atlas import Atlas
from tiercel.errors import TiercelError
from tiercel.models import Model, PhotoFeatures
from tiercel.photos import Photo
from tiercel.search.match import Matcher
from tiercel.search.policies import Retriever
from tiercel.search.together import CONTRADICTION_DEG, Rig, added, encode_rig, rigs

X, Y = WEST + 145.0, NORTH - 207.0


@pytest.fixture(scope="module")
def model() -> Model:
    return prepared()[0]


@pytest.fixture(scope="module")
def atlas() -> Atlas:
    return prepared()[1]


def photo(azimuth=0.0, heading=None, view=75.0, name="photo") -> Photo:
    """A picture of the scene that looks to an azimuth, and says that it looks to a heading."""
    pixels = panorama_of_scene(azimuth) if view == 360 else photo_of_scene(azimuth, view)
    return Photo.from_array(pixels, panorama=view == 360, field_of_view=view, heading=heading, name=name)


def test_photos_that_know_north_are_one_rig_and_the_others_stand_alone() -> None:
    a, b, c, d = photo(), photo(heading=10.0), photo(), photo(heading=200.0)
    assert rigs([a, b, c, d]) == [Rig((a,), (0.0,), False), Rig((b, d), (10.0, 200.0), True), Rig((c,), (0.0,), False)]
    assert rigs([b, a]) == [Rig((b,), (10.0,), True), Rig((a,), (0.0,), False)]


def test_with_turns_one_known_heading_is_enough() -> None:
    a, b, c = photo(), photo(heading=100.0), photo()
    assert rigs([a, c], [90.0]) == [Rig((a, c), (0.0, 90.0), False)]
    (rig,) = rigs([a, b, c], [90.0, 350.0])
    assert rig.north and rig.headings == pytest.approx((10.0, 100.0, 0.0))
    (rig,) = rigs([photo(heading=355.0), photo(heading=95.0)], [90.0])  # compasses that differ by ten degrees
    assert rig.north and np.sin(np.radians(rig.headings)) == pytest.approx([0.0, 1.0])


def test_turns_that_cannot_be() -> None:
    with pytest.raises(TiercelError, match="2 photos need 1 turns in degrees, one for each after the first, not 0, 90"):
        rigs([photo(), photo()], [0.0, 90.0])
    with pytest.raises(TiercelError, match="not nan"):
        rigs([photo(), photo()], [float("nan")])
    with pytest.raises(TiercelError, match="no photos"):
        rigs([])
    off = 2 * CONTRADICTION_DEG + 10
    with pytest.raises(TiercelError, match="The heading of west lies 65 degrees off what the turns"):
        rigs([photo(heading=0.0, name="west"), photo(heading=off + 90, name="north")], [90.0])


VIEWS = [(40.0, 75.0), (132.0, 75.0), (250.0, 360.0), (311.0, 130.0)]
"""Azimuths and fields of view of photos of the scene."""


def test_scores_of_a_rig_are_those_of_its_photos_added(atlas, model) -> None:
    """Each is asked by itself with its heading told; the rig knows only the turns, and is read at the heading meant."""
    views = [view for view in VIEWS if view[1] < 180 or view[1] == 360]
    apart = [azimuth - views[0][0] for azimuth, _ in views]
    whole = encode_rig(model, Rig(tuple(photo(a, view=v) for a, v in views), tuple(apart), False))
    assert whole.retrieval.shape[0] == model.config.headings and not whole.heading_known
    retriever, bias = Retriever(atlas), atlas.bias.astype(np.float32)[..., None]
    together = retriever.scores(whole).poses
    for turn in (0, 5, 30):
        heading = turn * model.config.bin_deg
        assert whole.headings_deg[turn] == pytest.approx(heading, abs=1e-3)
        told = [photo(a, (heading + to) % 360, v) for (a, v), to in zip(views, apart, strict=True)]
        alone = [model.encode_photos([one])[0] for one in told]
        added_up = sum(retriever.scores(one).poses - bias for one in alone) + bias
        assert together[..., turn] == pytest.approx(added_up[..., 0], abs=1e-3)
        known = encode_rig(model, Rig(tuple(told), tuple((heading + to) % 360 for to in apart), True))
        assert known.heading_known and known.headings_deg == pytest.approx([heading], abs=1e-3)
        assert known.retrieval[0] == pytest.approx(whole.retrieval[turn], abs=1e-4)
        for level in range(len(whole.zoom)):
            expected = sum(one.zoom[level][0] for one in alone)
            assert known.zoom[level][0] == pytest.approx(expected, abs=1e-3)
            assert whole.zoom[level][turn] == pytest.approx(expected, abs=1e-3)


def test_the_template_of_a_rig_is_that_of_its_photos_added(atlas, model) -> None:
    told = [photo(a, a, v) for a, v in VIEWS[:2]]
    whole = encode_rig(model, Rig(tuple(told), (VIEWS[0][0], VIEWS[1][0]), True))
    matcher = Matcher(atlas, model)
    alone = sum(matcher._templates(one, matcher._starts(one, 1)) for one in model.encode_photos(told))
    together = matcher._templates(whole, matcher._starts(whole, 1))
    differ = (together - alone).abs().amax((0, 1, 2))
    # They differ only where a photo ends: the whole fades out over half a column there.
    assert (differ > 1e-4).float().mean() < 0.08
    assert float(alone.abs().amax()) > 0.1 and (alone.abs().amax((0, 1, 2)) > 1e-4).float().mean() > 0.3


def rig_of(atlas, model, headings, told, at=(X, Y)) -> tuple[PhotoFeatures, list[PhotoFeatures]]:
    """Photos planted at a spot, together and alone; their left edges lie on azimuth bins."""
    photos = [planted(atlas, model, *at, heading, told) for heading in headings]
    bins = [round((heading - 45.0) / model.config.bin_deg) for heading in headings]
    if not told:  # as seen from the first photo's centre
        bins = [round((heading - headings[0] - 45.0) / model.config.bin_deg) for heading in headings]
        photos = [
            dataclasses.replace(one, headings_deg=(one.polar_start_deg + 45.0) % 360.0) for one in photos
        ]  # as `strip` would have it for a left edge on a bin
    return added(model.config, photos, bins), photos


@pytest.mark.parametrize("told", [True, False])
def test_a_planted_rig_is_found_to_the_metre(atlas, model, told) -> None:
    headings = [90.0 + 11.25 * 3, 180.0 + 11.25 * 4, 11.25 * 30]
    whole, alone = rig_of(atlas, model, headings, told)
    matcher = Matcher(atlas, model)
    scores = matcher.everywhere([whole])
    best = atlas.leaf_index[scores.argmax()]
    found = matcher.match(whole, np.array([best]))
    assert (found.x[0], found.y[0]) == pytest.approx((X, Y), abs=2.0)
    assert abs((found.heading[0] - headings[0] + 180) % 360 - 180) < 4
    ahead = [np.diff(np.sort(matcher.everywhere([one]))[-2:])[0] for one in alone]
    assert np.diff(np.sort(scores)[-2:])[0] > max(ahead)  # surer than any of them


def test_a_wrong_turn_does_not_fit(atlas, model) -> None:
    headings = [11.25 * 12, 11.25 * 20]
    _, alone = rig_of(atlas, model, headings, False)
    matcher = Matcher(atlas, model)
    right, wrong = (added(model.config, alone, [28, 28 + turn]) for turn in (8, 13))
    assert matcher.everywhere([right]).max() > matcher.everywhere([wrong]).max()


def test_a_rig_of_one_photo_is_that_photo(model) -> None:
    one = photo(30.0, 77.0)
    for rig, same in ((rigs([one])[0], one), (rigs([photo(30.0)])[0], photo(30.0))):
        features, alone = encode_rig(model, rig), model.encode_photos([same])[0]
        for name in ("headings_deg", "retrieval", "polar", "polar_start_deg"):
            assert np.array_equal(getattr(features, name), getattr(alone, name)), name
