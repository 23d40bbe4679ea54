"""The published zooming network through the whole path: its atlas, and fixes on it."""

import dataclasses

import numpy as np
import pytest
import torch

from tests.models.small_decoder import SMALL, small_net
from tests.search.town import NORTH, SIDE, WEST, Town
from tiercel.atlas import Atlas, build
from tiercel.errors import TiercelError
from tiercel.locate import Locator, Prior
from tiercel.models import Model, ModelConfig, load_model, save_model
from tiercel.photos import Photo
from tiercel.search import greedy

CONFIG = dataclasses.replace(SMALL, depth=2, grid=4)


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Model:
    model = Model(ModelConfig.of_decoder(CONFIG, name="small", leaf_m=31.25))
    model.decoder.load_state_dict(small_net(3, CONFIG).state_dict())
    folder = tmp_path_factory.mktemp("model")
    save_model(model, folder, "For tests.")
    return load_model(folder, "cpu")


@pytest.fixture(scope="module")
def atlas(model, tmp_path_factory) -> Atlas:
    return build(Town(), model, tmp_path_factory.mktemp("town") / "atlas")


def a_photo(seed=0) -> Photo:
    pixels = np.random.default_rng(seed).integers(0, 256, (48, 96, 3), np.uint8)
    return Photo.from_array(pixels, panorama=False, field_of_view=70.0, heading=20.0)


def test_the_atlas_holds_a_token_for_every_covered_square(atlas, model) -> None:
    assert atlas.tree.depth == 2 and atlas.square_levels == (0, 1) and atlas.zoom_levels == ()
    atlas.check_model(model)
    town = Town()
    for level in (0, 1):
        tokens = atlas.square_tokens(level)
        assert tokens.shape == (16**level, CONFIG.width) and tokens.dtype == np.float32
        assert (np.isnan(tokens[:, 0]) == ~atlas.covered(level)).all()
        for cell in np.flatnonzero(atlas.covered(level))[::5]:
            square = atlas.tree.square(level, *(int(v) for v in atlas.tree.unflat(level, cell)))
            rgb, covered = town.read(square, CONFIG.pixels)
            np.testing.assert_allclose(tokens[cell], model.encode_squares(rgb[None], covered[None])[0], atol=1e-5)
    with pytest.raises(ValueError, match="level 2 has no squares for a decoder"):
        atlas.square_tokens(2)


def test_a_photo_gets_a_fix_without_a_heading(atlas, model) -> None:
    locator = Locator(atlas, model)
    analysis = locator.analyse(a_photo())
    fix = locator.fix(analysis, "a.jpg")
    assert fix.heading is None and fix.candidates[0].heading is None
    assert WEST <= fix.x <= WEST + SIDE and NORTH - SIDE <= fix.y <= NORTH
    leaf = int(atlas.tree.flat(2, *atlas.tree.cell_at(fix.x, fix.y, 2)))
    assert leaf == analysis.zoom_best_first.leaves[0] == analysis.zoom_global.best
    assert (np.isnan(fix.heat.ravel()) == ~atlas.covered(2)).all()
    assert fix.to_json()["heading"] is None
    assert np.array_equal(analysis.zoom_greedy.leaves, greedy(analysis.zoom).leaves)


def test_a_prior_bears_on_the_answer(atlas, model) -> None:
    locator = Locator(atlas, model)
    x, y = WEST + 140.0, NORTH - 330.0
    latitude, longitude = (float(value) for value in atlas.frame.to_wgs84(x, y))
    fix = locator.fix(locator.analyse(a_photo(), Prior(latitude, longitude, 5.0)), "a.jpg")
    assert np.hypot(fix.x - x, fix.y - y) < 40


def test_photos_are_told_apart_and_encoded_alike(model) -> None:
    tokens = model.encode_tokens([a_photo(0), a_photo(1)])
    assert tokens.shape == (2, CONFIG.width)
    np.testing.assert_allclose(model.encode_tokens([a_photo(1)])[0], tokens[1], atol=1e-5)
    assert abs(tokens[0] - tokens[1]).max() > 1e-2


def test_new_weights_are_seen(model) -> None:
    own = Model(model.config)
    own.load_state_dict(model.state_dict())
    before = own.encode_tokens([a_photo()])
    with torch.no_grad():
        own.decoder.encoder.backbone.token.bias += 1
    np.testing.assert_allclose(own.encode_tokens([a_photo()]), before + 1, atol=1e-5)


def test_a_map_that_is_too_large_for_the_picks(tmp_path) -> None:
    shallow = Model(ModelConfig.of_decoder(dataclasses.replace(CONFIG, depth=1), name="shallow", leaf_m=31.25))
    with pytest.raises(TiercelError, match=r"The map town needs 2 picks .* and model shallow makes 1: cut the map to"):
        build(Town(), shallow, tmp_path / "atlas")


def test_a_small_map_lies_in_the_middle_of_what_the_picks_span(tmp_path) -> None:
    deep = Model(ModelConfig.of_decoder(dataclasses.replace(CONFIG, depth=3), leaf_m=31.25))
    atlas = build(Town(), deep, tmp_path / "atlas")
    assert atlas.tree.depth == 3 and atlas.tree.root.side == 2000
    assert (atlas.tree.root.x, atlas.tree.root.y) == (WEST + SIDE / 2, NORTH - SIDE / 2)
    assert 0 < atlas.covered(3).mean() < 0.1
    assert np.isnan(atlas.square_tokens(2)).any()
