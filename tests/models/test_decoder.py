import dataclasses
import math

import pytest
import torch
from torch import nn

from tests.models.small_decoder import SMALL, small_net
from tiercel.models.config import DecoderConfig
from tiercel.models.decoder import ZoomDecoder
from tiercel.models.justzoomin import JustZoomInNet


def reference(state, photo, squares, actions, heads, blocks, depth) -> torch.Tensor:
    """The published decoder, written down from its description with nothing of ours: one sequence, no cache."""
    width = photo.shape[1]
    head = width // heads
    sequence = [photo]
    for step in range(depth):
        sequence += [squares[:, step], state["action_embed.weight"][actions[:, step]]]
    x = torch.stack(sequence, 1)  # photo, sat0, act0, ..., satn, actn
    length = x.shape[1]
    frequency = torch.tensor([1.0 / 10000 ** (2 * i / head) for i in range(head // 2)], dtype=x.dtype)
    angle = torch.arange(length, dtype=x.dtype)[:, None] * frequency
    cosine, sine = (torch.cat([part, part], -1) for part in (angle.cos(), angle.sin()))

    def norm(x, name):
        return x / torch.sqrt((x * x).mean(-1, keepdim=True) + 1e-6) * state[name]

    def rotary(x):
        first, second = x[..., : head // 2], x[..., head // 2 :]
        return x * cosine + torch.cat([-second, first], -1) * sine

    hidden_from = torch.triu(torch.ones(length, length, dtype=torch.bool), 1)
    for n in range(blocks):
        at = f"blocks.{n}."
        y = norm(x, at + "norm1.weight")
        q, k, v = (
            (y @ state[f"{at}self_attn.{name}_proj.weight"].T).view(len(x), length, heads, head).permute(0, 2, 1, 3)
            for name in "qkv"
        )
        scores = rotary(q) @ rotary(k).transpose(-1, -2) / math.sqrt(head)
        mixed = scores.masked_fill(hidden_from, -math.inf).softmax(-1) @ v
        x = x + mixed.permute(0, 2, 1, 3).reshape(x.shape) @ state[at + "self_attn.out_proj.weight"].T
        y = norm(x, at + "norm2.weight")
        gate = y @ state[at + "ffn.w1.weight"].T
        x = x + (gate * torch.sigmoid(gate) * (y @ state[at + "ffn.w3.weight"].T)) @ state[at + "ffn.w2.weight"].T
    logits = norm(x, "final_norm.weight") @ state["output_head.weight"].T
    return logits[:, 1::2]


@pytest.mark.parametrize(
    "config",
    [SMALL, dataclasses.replace(SMALL, depth=4, grid=4, width=96, heads=8, blocks=6, hidden=64)],
    ids=["small", "as deep as published"],
)
def test_the_logits_are_those_of_an_independent_implementation(config) -> None:
    decoder = small_net(1, config).decoder
    photo, squares = torch.randn(5, config.width), torch.randn(5, config.depth, config.width)
    actions = torch.randint(config.grid**2, (5, config.depth))
    with torch.no_grad():
        expected = reference(decoder.state_dict(), photo, squares, actions, config.heads, config.blocks, config.depth)
        found = decoder(photo, squares, actions)
    assert found.shape == (5, config.depth, config.grid**2)
    assert expected.std() > 1
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=0)


def test_published_sizes_agree_too() -> None:
    torch.manual_seed(0)
    decoder = ZoomDecoder(DecoderConfig()).eval()
    photo, squares, actions = torch.randn(2, 768), torch.randn(2, 4, 768), torch.randint(16, (2, 4))
    with torch.no_grad():
        expected = reference(decoder.state_dict(), photo, squares, actions, 8, 6, 4)
        torch.testing.assert_close(decoder(photo, squares, actions), expected, atol=1e-4, rtol=0)


def joined(past, new) -> list[tuple[torch.Tensor, ...]]:
    return [tuple(torch.cat(both, 2) for both in zip(*pair, strict=True)) for pair in zip(past, new, strict=True)]


def test_a_pick_depends_on_all_before_it_and_on_nothing_behind() -> None:
    decoder = small_net().decoder
    photo, squares, actions = torch.randn(1, 24), torch.randn(1, 3, 24), torch.tensor([[1, 2, 3]])
    with torch.no_grad():
        before = decoder(photo, squares, actions)
        other = squares.clone()
        other[:, 1] += 1
        moved = (decoder(photo, other, actions) - before).abs().amax((0, 2))
        turned = (decoder(photo, squares, torch.tensor([[1, 0, 3]])) - before).abs().amax((0, 2))
        last = (decoder(photo, squares, torch.tensor([[1, 2, 0]])) - before).abs().amax((0, 2))
        seen = (decoder(photo + 1, squares, actions) - before).abs().amax((0, 2))
    assert moved[0] == 0 and (moved[1:] > 1e-3).all()
    assert (turned[:2] == 0).all() and turned[2] > 1e-3
    assert (last == 0).all()
    assert (seen > 1e-3).all()


def test_one_pair_after_the_other_is_the_whole_sequence() -> None:
    decoder = small_net().decoder
    photo, squares, actions = torch.randn(7, 24), torch.randn(7, 3, 24), torch.randint(4, (7, 3))
    with torch.no_grad():
        expected = decoder(photo, squares, actions)
        leading, past = photo, []
        for level in range(3):
            logits, new = decoder.extend(torch.stack([leading, squares[:, level]], 1), level, past)
            torch.testing.assert_close(logits, expected[:, level], atol=1e-5, rtol=0)
            past = joined(past, new) if past else new
            leading = decoder.action_embed(actions[:, level])


def test_names_and_shapes_are_those_published() -> None:
    with torch.device("meta"):
        net = JustZoomInNet(DecoderConfig())
    shapes = {name: tuple(value.shape) for name, value in net.state_dict().items()}
    decoder = {name: shape for name, shape in shapes.items() if not name.startswith("encoder.")}
    expected = {
        "decoder.action_embed.weight": (16, 768),
        "decoder.final_norm.weight": (768,),
        "decoder.output_head.weight": (16, 768),
        "decoder.freqs": (48,),
    }
    for n in range(6):
        expected |= {f"decoder.blocks.{n}.self_attn.{part}_proj.weight": (768, 768) for part in ("q", "k", "v", "out")}
        expected |= {f"decoder.blocks.{n}.ffn.{part}.weight": (512, 768) for part in ("w1", "w3")}
        expected |= {f"decoder.blocks.{n}.ffn.w2.weight": (768, 512)}
        expected |= {f"decoder.blocks.{n}.norm{part}.weight": (768,) for part in (1, 2)}
    assert decoder == expected
    assert "decoder.freqs" in dict(net.named_buffers())

    from transformers import Dinov2Config, Dinov2Model

    with torch.device("meta"):
        backbone = Dinov2Model(Dinov2Config(image_size=518, patch_size=14))
    encoder = {f"encoder.backbone.{name}": tuple(value.shape) for name, value in backbone.state_dict().items()}
    assert {name: shape for name, shape in shapes.items() if name.startswith("encoder.")} == encoder
    assert shapes["encoder.backbone.embeddings.position_embeddings"] == (1, 1370, 768)


def test_dropout_acts_while_training_alone() -> None:
    decoder = small_net(0, dataclasses.replace(SMALL, dropout=0.5)).decoder
    inputs = torch.randn(4, 24), torch.randn(4, 3, 24), torch.randint(4, (4, 3))
    with torch.no_grad():
        assert torch.equal(decoder(*inputs), decoder(*inputs))
        decoder.train()
        assert not torch.equal(decoder(*inputs), decoder(*inputs))
    assert [module.p for module in decoder.modules() if isinstance(module, nn.Dropout)] == [0.5, 0.5]
    assert DecoderConfig().dropout == 0.1
