"""Backbones of Hugging Face, tiny and untrained, saved to a folder and used by its path."""

import dataclasses

import numpy as np
import pytest
import torch
import transformers

from tests.models.tiny import tiny_config
from tiercel.errors import TiercelError
from tiercel.models import Model, ModelConfig, Strip, load_model, save_model
from tiercel.models.encoders import PHOTO_ENCODERS, BackboneEncoder, CompactPhotoEncoder, photo_encoder
from tiercel.models.match import RANGES

SMALL = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}


def dinov2() -> transformers.PreTrainedModel:
    config = transformers.Dinov2Config(
        hidden_size=16, num_hidden_layers=1, num_attention_heads=2, mlp_ratio=2, image_size=28, patch_size=14
    )
    return transformers.Dinov2Model(config)


def dinov2_with_registers() -> transformers.PreTrainedModel:
    config = transformers.Dinov2WithRegistersConfig(
        hidden_size=16, num_hidden_layers=1, num_attention_heads=2, mlp_ratio=2, image_size=28, patch_size=14
    )
    return transformers.Dinov2WithRegistersModel(config)


def convnext() -> transformers.PreTrainedModel:
    return transformers.ConvNextModel(transformers.ConvNextConfig(hidden_sizes=[8, 8, 8, 16], depths=[1, 1, 1, 1]))


def siglip() -> transformers.PreTrainedModel:
    text = {**SMALL, "vocab_size": 64, "max_position_embeddings": 8, "projection_size": 16}
    tokens = {"pad_token_id": 1, "bos_token_id": 2, "eos_token_id": 3}
    vision = {**SMALL, "image_size": 32, "patch_size": 16}
    return transformers.SiglipModel(transformers.SiglipConfig(text_config=text | tokens, vision_config=vision))


@pytest.fixture(scope="module", params=[dinov2, dinov2_with_registers, convnext, siglip])
def backbone(request, tmp_path_factory) -> str:
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp(request.param.__name__)
    request.param().save_pretrained(folder)
    return str(folder)


def test_a_backbone_keeps_places(backbone) -> None:
    """What is painted in a corner changes the features of that corner most."""
    encoder = BackboneEncoder(backbone).eval()
    plain = torch.zeros(1, 3, 96, 160)
    with torch.no_grad():
        before = encoder(plain)
        assert before.shape[:2] == (1, encoder.channels)
        rows, columns = before.shape[2:]
        assert columns > rows >= 2
        for row, col in ((0, 0), (0, columns - 1), (rows - 1, 0)):
            painted = plain.clone()
            top, left = 96 * row // rows, 160 * col // columns
            painted[:, :, top : top + 96 // rows, left : left + 160 // columns] = torch.tensor([1.0, -1, 0.5])[
                :, None, None
            ]
            change = (encoder(painted) - before).norm(dim=1)[0]
            assert divmod(int(change.argmax()), columns) == (row, col)


def test_a_whole_model_on_a_backbone(backbone, tmp_path) -> None:
    config = tiny_config(photo_encoder=backbone, overhead_encoder=backbone, heads=("retrieval", "zoom"))
    torch.manual_seed(0)
    model = Model(config)
    rng = np.random.default_rng(0)
    strip = torch.from_numpy(rng.standard_normal((2, 4, 64, 72))).float()
    columns = model.photo(strip, False)
    assert columns.shape == (2, 9, config.column_width)
    fine, context = model.retrieval.features(torch.from_numpy(rng.standard_normal((1, 3, 128, 128))).float())
    assert (fine.shape, context.shape) == ((1, 32, 32, 32), (1, 32, 8, 8))
    keys, bias = model.retrieval.keys(fine, context, torch.tensor([[[50.0, 60.0], [70.0, 20.0]]]))
    zoom = model.zoom.keys(
        torch.zeros(1, 3, config.zoom_pixels, config.zoom_pixels), torch.zeros(1, config.zoom_width), 3
    )
    loss = (
        keys.std()
        + bias.sum()
        + model.retrieval.queries(columns).sum()
        + zoom.std()
        + model.zoom.queries(columns, 1).std()
    )
    loss.backward()
    for part in (model.photo, model.retrieval.encoder, model.zoom.encoder):
        moved = [p for p in part.backbone.parameters() if p.grad is not None and p.grad.abs().sum() > 0]
        assert len(moved) > 3
    save_model(model, tmp_path / "model", "A card.\n")
    again = load_model(tmp_path / "model", "cpu")
    features = again.encode_strips([Strip(np.full((64, 256, 4), 200, np.uint8), -180.0, None, True)])[0]
    assert features.retrieval.shape == (32, 32 * config.key_width)
    assert np.isfinite(features.retrieval).all()


def test_the_match_head_on_a_backbone(backbone) -> None:
    model = Model(tiny_config(photo_encoder=backbone, heads=("match",)))
    polar = model.match.polar(torch.zeros(1, 4, 64, 256), True)
    assert polar.shape == (1, 4, RANGES, 64)


def test_an_encoder_that_is_none(tmp_path) -> None:
    with pytest.raises(TiercelError, match="neither 'compact' nor a vision backbone"):
        photo_encoder(tiny_config(photo_encoder=str(tmp_path / "nothing")))


def test_a_new_encoder_needs_only_a_name(monkeypatch) -> None:
    monkeypatch.setitem(PHOTO_ENCODERS, "mine", lambda config, columns: torch.nn.Identity())
    assert isinstance(photo_encoder(tiny_config(photo_encoder="mine")), torch.nn.Identity)


@pytest.mark.parametrize("columns_per_output", [4, 8])
def test_a_compact_panorama_knows_no_seam(columns_per_output) -> None:
    torch.manual_seed(0)
    encoder = CompactPhotoEncoder(tiny_config(), columns_per_output).eval()
    strip = torch.randn(1, 4, 64, 256)
    with torch.no_grad():
        straight, turned = encoder(strip, True), encoder(strip.roll(-64, 3), True)
        cut = encoder(strip, False)
    steps = 64 // columns_per_output
    assert straight.shape == (1, 256 // columns_per_output, 12)
    torch.testing.assert_close(turned, straight.roll(-steps, 1), atol=1e-5, rtol=1e-4)
    # Only near its ends does a strip that does not go around differ.
    difference = (cut - straight).abs().amax((0, 2))
    assert difference[0] > 1e-4
    assert difference[len(difference) // 2] < 1e-6


def grown() -> tuple[torch.nn.Module, torch.nn.Module, ModelConfig]:
    """A compact photo encoder, a fine one that starts from it, and the latter's sizes."""
    small = ModelConfig(width=(8, 12, 16), column_width=16)
    fine = dataclasses.replace(small, photo_encoder="fine", strip_height=128, columns_per_heading=16)
    old, new = photo_encoder(small, 2).eval(), photo_encoder(fine, 2).eval()
    new.load_state_dict(old.state_dict(), strict=False)
    return old, new, fine


@pytest.mark.parametrize("around", [True, False])
def test_a_grown_photo_encoder_starts_as_what_it_grew_from(around) -> None:
    old, new, fine = grown()
    strip = torch.randn(2, 4, 128, fine.strip_columns if around else 10 * 16)
    with torch.no_grad():
        before = old(torch.nn.functional.avg_pool2d(strip, 2), around)
        after = new(strip, around)
    assert after.shape == before.shape == (2, strip.shape[3] // 8, 16)
    assert torch.allclose(before, after, atol=1e-5)


def test_the_closer_look_tells_apart_what_half_the_resolution_cannot() -> None:
    _, new, fine = grown()
    strip = torch.zeros(1, 4, 128, fine.strip_columns)
    striped = strip.clone()
    striped[:, :3, ::2] += 1.0
    striped[:, :3, 1::2] -= 1.0
    with torch.no_grad():
        assert torch.allclose(new(strip, True), new(striped, True), atol=1e-5), "it begins as nothing"
        torch.nn.init.normal_(new.column2.weight)
        assert not torch.allclose(new(strip, True), new(striped, True), atol=1e-2)


def test_a_turned_panorama_has_turned_columns() -> None:
    _, new, fine = grown()
    for layer in (new.lend, new.column2):
        torch.nn.init.normal_(layer.weight)
    strip = torch.randn(1, 4, 128, fine.strip_columns)
    with torch.no_grad():
        turned = new(strip.roll(5 * fine.columns_per_heading, 3), True)
        assert torch.allclose(turned, new(strip, True).roll(10, 1), atol=1e-3)
