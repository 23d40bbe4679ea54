import dataclasses

import numpy as np
import pytest
import torch
from PIL import Image

from tests.models.small_decoder import SMALL, small_net
from tiercel.errors import TiercelError
from tiercel.models.config import DecoderConfig
from tiercel.models.justzoomin import JustZoomInNet, class_token, images_to_tensor, photo_halves


@pytest.fixture(scope="module")
def tiny_dinov2(tmp_path_factory) -> str:
    """The folder of a DINOv2 with three small blocks and random weights."""
    from transformers import Dinov2Config, Dinov2Model

    torch.manual_seed(5)
    sizes = {"hidden_size": 24, "num_hidden_layers": 3, "num_attention_heads": 2, "image_size": 56, "patch_size": 14}
    model = Dinov2Model(Dinov2Config(**sizes))
    with torch.no_grad():
        for value in model.parameters():
            value.add_(0.2 * torch.randn_like(value))
    folder = tmp_path_factory.mktemp("dinov2")
    model.save_pretrained(folder)
    return str(folder)


def with_backbone(folder, **changes) -> DecoderConfig:
    return dataclasses.replace(SMALL, encoder=folder, pixels=70, **changes)


def test_a_photo_is_its_two_halves_averaged() -> None:
    net = small_net()
    left, right = (np.random.default_rng(n).integers(0, 256, (64, 64, 3), np.uint8) for n in (0, 1))
    halves = photo_halves(np.concatenate([left, right], 1), 64)
    assert np.array_equal(halves[0], left) and np.array_equal(halves[1], right)
    with torch.no_grad():
        found = net.photo_tokens(images_to_tensor(halves[None]))
        each = net.encoder(images_to_tensor(np.stack([left, right])))
    torch.testing.assert_close(found[0], each.mean(0))


def test_a_photo_of_any_shape_is_resized_to_two_squares() -> None:
    photo = np.zeros((300, 900, 3), np.uint8)
    photo[:, 450:] = 200
    halves = photo_halves(photo, 64)
    assert halves.shape == (2, 64, 64, 3) and halves.dtype == np.uint8
    assert halves[0, :, :60].max() == 0 and halves[1, :, 4:].min() == 200
    expected = np.asarray(Image.fromarray(photo).resize((128, 64), Image.Resampling.BILINEAR), int)
    assert abs(np.concatenate(list(halves), 1).astype(int) - expected).max() <= 8


def test_the_class_token_is_the_model_s_own(tiny_dinov2) -> None:
    net = JustZoomInNet(with_backbone(tiny_dinov2), pretrained=True).eval()
    image = torch.randn(2, 3, 70, 70)
    with torch.no_grad():
        whole = net.encoder.backbone(image).last_hidden_state[:, 0]
        torch.testing.assert_close(class_token(net.encoder.backbone, image), whole, atol=1e-5, rtol=1e-5)
        # From -1..1 to ImageNet's statistics.
        grey = torch.full((1, 3, 70, 70), 0.5)
        normal = (0.75 - net.encoder.mean) / net.encoder.deviation
        token = net.encoder.backbone(normal.expand(1, 3, 70, 70)).last_hidden_state[:, 0]
        torch.testing.assert_close(net.encoder(grey), token, atol=1e-5, rtol=1e-5)


def test_pretrained_weights_are_fetched_only_where_asked_for(tiny_dinov2) -> None:
    from transformers import AutoModel

    saved = AutoModel.from_pretrained(tiny_dinov2).state_dict()
    fetched = JustZoomInNet(with_backbone(tiny_dinov2), pretrained=True).encoder.backbone.state_dict()
    drawn = JustZoomInNet(with_backbone(tiny_dinov2)).encoder.backbone.state_dict()
    assert fetched.keys() == saved.keys() == drawn.keys()
    assert all(torch.equal(fetched[name], value) for name, value in saved.items())
    assert not torch.equal(drawn["encoder.layer.0.mlp.fc1.weight"], saved["encoder.layer.0.mlp.fc1.weight"])


@pytest.mark.parametrize("blocks", [-1, 0, 1, 2])
def test_the_last_blocks_and_the_final_norm_are_unfrozen(tiny_dinov2, blocks) -> None:
    net = JustZoomInNet(with_backbone(tiny_dinov2))
    net.unfreeze_last(blocks)
    free = {name for name, value in net.encoder.named_parameters() if value.requires_grad}
    prefixes = {-1: ("",), 0: (), 1: ("backbone.encoder.layer.2.", "backbone.layernorm.")}
    prefixes[2] = (*prefixes[1], "backbone.encoder.layer.1.")
    all_names = {name for name, _ in net.encoder.named_parameters()} - {"backbone.embeddings.mask_token"}
    assert free == {name for name in all_names if name.startswith(prefixes[blocks])}
    assert all(value.requires_grad for value in net.decoder.parameters())


def test_what_cannot_be_is_said(tiny_dinov2, tmp_path) -> None:
    net = JustZoomInNet(with_backbone(tiny_dinov2))
    with pytest.raises(TiercelError, match=r"has 3 blocks to train one by one, not 4: set unfrozen_blocks"):
        net.unfreeze_last(4)
    with pytest.raises(TiercelError, match=r"'compact' has 0 blocks"):
        small_net().unfreeze_last(1)
    with pytest.raises(
        TiercelError, match=r"gives 24 channels and the decoder takes 36: set the decoder's width to 24"
    ):
        JustZoomInNet(with_backbone(tiny_dinov2, width=36))
    with pytest.raises(TiercelError, match="multiples of 16, not 70"):
        JustZoomInNet(dataclasses.replace(SMALL, pixels=70))
    with pytest.raises(TiercelError, match="neither 'compact' nor a vision transformer"):
        JustZoomInNet(dataclasses.replace(SMALL, encoder=str(tmp_path)))


def test_an_encoder_without_a_class_token_is_refused(tmp_path) -> None:
    from transformers import SiglipVisionConfig, SiglipVisionModel

    sizes = {"hidden_size": 24, "num_hidden_layers": 1, "num_attention_heads": 2, "image_size": 32, "patch_size": 16}
    SiglipVisionModel(SiglipVisionConfig(intermediate_size=32, **sizes)).save_pretrained(tmp_path)
    with pytest.raises(TiercelError, match="has no class token: take a vision transformer that has"):
        JustZoomInNet(dataclasses.replace(SMALL, encoder=str(tmp_path)))


def test_squares_shared_by_photos_are_encoded_once_and_count_for_each() -> None:
    net = small_net()
    rng = np.random.default_rng(0)
    halves = images_to_tensor(rng.integers(0, 256, (3, 2, 64, 64, 3), np.uint8))
    squares = images_to_tensor(rng.integers(0, 256, (4, 64, 64, 3), np.uint8))
    which = torch.tensor([[0, 1, 2], [0, 1, 3], [0, 2, 3]])
    actions = torch.tensor([[0, 1, 2], [0, 2, 1], [3, 3, 0]])
    seen: list[int] = []
    net.encoder.register_forward_hook(lambda module, inputs, output: seen.append(len(inputs[0])))
    with torch.no_grad():
        found = net(halves, squares, which, actions)
        assert seen == [10]
        for n in range(3):
            alone = net.decoder(
                net.photo_tokens(halves[n : n + 1]), net.encoder(squares[which[n]])[None], actions[n : n + 1]
            )
            torch.testing.assert_close(found[n : n + 1], alone, atol=1e-5, rtol=1e-5)
