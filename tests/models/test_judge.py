import math
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.rerank import small_judge
from tiercel.models import judge, load_model
from tiercel.models.judge import (
    SECTORS,
    TOKENS,
    Glimpse,
    JudgeForConditionalGeneration,
    JudgeVisionModel,
    register,
    tower_of,
)
from tiercel.models.judge import _run as run_of_blocks
from tiercel.models.match import RANGES, template_spectrum
from tiercel.photos import Photo
from tiercel.rerank.views import strip
from tiercel.training.judging.lessons import Wording


@pytest.fixture(scope="module")
def tower() -> JudgeVisionModel:
    return tower_of(load_model("bundled")).eval()


def a_photo(field_of_view: float, *, panorama: bool = False) -> Photo:
    pixels = np.random.default_rng(0).integers(1, 255, (64, 128, 3), np.uint8)
    return Photo.from_array(pixels, panorama=panorama, field_of_view=field_of_view)


def as_picture(photo: Photo, heading: float | None) -> torch.Tensor:
    return torch.from_numpy(strip(photo, heading, 320)).permute(2, 0, 1).float() / 127.5 - 1.0


@torch.inference_mode()
def test_a_known_heading_is_read_off_the_ribbon(tower: JudgeVisionModel) -> None:
    photo = a_photo(90.0)
    known, unknown = tower.glimpse(as_picture(photo, 90.0)), tower.glimpse(as_picture(photo, None))
    assert known.known and not unknown.known
    assert known.spectra.shape[1] == 1 and unknown.spectra.shape[1] == 64


@torch.inference_mode()
@pytest.mark.parametrize(("heading", "first"), [(90.0, 8), (270.0, 40), (0.0, 56)])
def test_a_photo_speaks_only_of_where_it_looked(tower: JudgeVisionModel, heading: float, first: int) -> None:
    polar = tower.glimpse(as_picture(a_photo(90.0), heading)).polar
    seen = (polar != 0).any(0).any(0)
    wanted = torch.zeros(64, dtype=torch.bool)
    wanted[(first + torch.arange(16)) % 64] = True
    assert seen[wanted].all() and seen.sum() <= 20


@torch.inference_mode()
def test_it_sees_in_a_photo_what_the_geometric_match_sees(tower: JudgeVisionModel) -> None:
    model, photo = load_model("bundled"), a_photo(90.0)
    mine = tower.glimpse(as_picture(photo, None)).polar
    theirs = torch.from_numpy(model.encode_photos([photo])[0].polar)
    first = (64 - theirs.shape[2]) // 2
    # Pictures hold no 0 where something was seen, which is all the difference.
    assert (mine[:, :, first : first + theirs.shape[2]] - theirs).abs().max() < 0.02 * theirs.abs().max()


@torch.inference_mode()
def test_a_place_is_laid_under_the_photo_at_the_pose_that_fits(tower: JudgeVisionModel) -> None:
    torch.manual_seed(0)
    places = torch.nn.functional.normalize(torch.randn(1, 16, 80, 80), dim=1)
    turn, row, col = 11, 30, 46
    start = torch.tensor([turn * 2 * math.pi / 64])
    polar = tower._ground(places, start, torch.tensor([row]), torch.tensor([col]))[0]
    starts = torch.arange(64) * 2 * math.pi / 64
    spectra = template_spectrum(tower.match.template(polar[None], starts[None]), 80)
    (look,) = tower.look(Glimpse(polar, False, spectra), places)
    cell = tower.match.config.match_cell_m
    east, north, sine, cosine = (float(value) for value in look.summary[2:])
    assert (30 * east, 30 * north) == pytest.approx(((col - 39.5) * cell, (39.5 - row) * cell), abs=1e-3)
    assert math.atan2(sine, cosine) == pytest.approx(float(start), abs=1e-4)
    assert torch.allclose(look.ground, polar, atol=1e-3)


@pytest.mark.parametrize(
    ("blocks", "wanted"),
    [
        ([1, 0, 0, 0], (0, 1)),
        ([1, 1, 0, 1], (3, 3)),
        ([0, 1, 0, 1, 0, 0, 0], (1, 3)),
        ([1, 0, 0, 0, 1, 1], (4, 3)),
    ],
)
def test_what_was_seen_goes_around_over_the_widest_gap(blocks: list[int], wanted: tuple[int, int]) -> None:
    assert run_of_blocks([bool(block) for block in blocks]) == wanted


def test_places_are_compared_with_the_photo_before_them() -> None:
    model = small_judge.make(Wording())
    photos = [as_picture(a_photo(fov), None) for fov in (60.0, 100.0)]
    place = torch.rand(3, 320, 320) * 2 - 1
    with torch.inference_mode():
        found = model.model.get_image_features(torch.stack([photos[0], place, photos[1], place])).pooler_output
        again = model.model.get_image_features(torch.stack([photos[1], place])).pooler_output
    assert all(one.shape == (TOKENS, 32) for one in found)
    assert not torch.allclose(found[1], found[3]) and torch.equal(found[3], again[1])


def test_every_picture_is_looked_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    model = small_judge.make(Wording())
    tower, counted = model.model.vision_tower, []
    places = tower.places
    monkeypatch.setattr(tower, "places", lambda pixels: counted.append(len(pixels)) or places(pixels))
    photo, (a, b) = as_picture(a_photo(90.0), None), torch.rand(2, 3, 320, 320) * 2 - 1
    with torch.inference_mode():
        model.model.get_image_features(torch.stack([photo, a, b, photo, b, a]))
        model.model.get_image_features(torch.stack([photo, b, a]))
    assert sum(counted) == 2


def test_a_place_before_any_photo_is_refused() -> None:
    model = small_judge.make(Wording())
    with pytest.raises(ValueError, match="show the photo first"):
        model.model.get_image_features(torch.rand(1, 3, 320, 320))


def test_the_connector_multiplies() -> None:
    connector = small_judge.make(Wording()).model.multi_modal_projector
    polar, ground = torch.rand(1, 16, RANGES, 64), torch.rand(1, 16, RANGES, 64)
    summary = torch.zeros(1, 6)
    tokens = connector.places(polar, ground, summary)
    doubled = connector.places(2 * polar, ground, summary)
    by_sector = (polar * ground * 16).reshape(1, 16, RANGES, SECTORS, 4).permute(0, 3, 1, 2, 4).flatten(2)
    change = torch.nn.functional.linear(by_sector, connector.product.weight)
    assert torch.allclose((doubled - tokens)[:, :SECTORS], change, atol=1e-3)


def test_transformers_loads_it_by_its_folder(tmp_path: Path) -> None:
    from transformers import AutoModelForImageTextToText, AutoProcessor

    register()
    folder = small_judge.save(tmp_path / "judge")
    model = AutoModelForImageTextToText.from_pretrained(folder)
    assert isinstance(model, JudgeForConditionalGeneration)
    processor = AutoProcessor.from_pretrained(folder)
    picture = np.zeros((320, 320, 3), np.uint8)
    inputs = processor(text="See <image>.", images=[picture], return_tensors="pt")
    assert int((inputs["input_ids"] == model.config.image_token_index).sum()) == TOKENS
    assert float(inputs["pixel_values"].max()) == -1.0


def test_pictures_of_one_question_are_there_however_little_is_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    model = small_judge.make(Wording())
    photo, places = as_picture(a_photo(90.0), None), torch.rand(4, 3, 320, 320) * 2 - 1
    with torch.inference_mode():
        wanted = model.model.get_image_features(torch.cat([photo[None], places])).pooler_output
        monkeypatch.setattr(judge, "REMEMBERED", 2)
        for some in ([0, 1], [2, 3, 0], [0, 1, 2, 3]):
            found = model.model.get_image_features(torch.cat([photo[None], places[some]])).pooler_output
            assert all(torch.equal(one, wanted[1 + place]) for one, place in zip(found[1:], some, strict=True))
