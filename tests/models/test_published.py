import dataclasses

import pytest
import torch

from tests.models.small_decoder import SMALL, small_net
from tiercel.errors import TiercelError
from tiercel.models import load_model
from tiercel.models.config import DecoderConfig, ModelConfig
from tiercel.models.decoder import rotary_frequencies
from tiercel.models.justzoomin import DINOV2
from tiercel.models.published import read_published, renamed, sizes_of, write_published

TABLE = torch.outer(torch.arange(9.0), rotary_frequencies(8))
LAYOUTS = {
    "frequencies": rotary_frequencies(8),
    "angles": TABLE,
    "both halves": torch.cat([TABLE, TABLE], -1)[None, None],
    "complex": torch.polar(torch.ones_like(TABLE), TABLE),
    "pairs": torch.stack([TABLE.cos(), TABLE.sin()], -1),
}


def write(path, state, prefix="", **changes) -> object:
    state = {prefix + name: value for name, value in (state | changes).items() if value is not None}
    torch.save({"model_state_dict": state, "epoch": 3}, path)
    return path


@pytest.mark.parametrize("prefix", ["", "_orig_mod."])
@pytest.mark.parametrize("layout", [*LAYOUTS, None])
def test_a_checkpoint_is_read_and_written_back(tmp_path, prefix, layout) -> None:
    net = small_net(4)
    freqs = LAYOUTS[layout] if layout else None
    path = write(tmp_path / "authors.pth", net.state_dict(), prefix, **{"decoder.freqs": freqs})
    read = read_published(path, SMALL)
    assert not read.training
    inputs = torch.randn(2, 24), torch.randn(2, 3, 24), torch.randint(4, (2, 3))
    with torch.no_grad():
        assert torch.equal(read.decoder(*inputs), net.decoder(*inputs))
        image = torch.randn(2, 3, 64, 64)
        assert torch.equal(read.encoder(image), net.encoder(image))
    write_published(read, tmp_path / "ours.pth")
    back = torch.load(tmp_path / "ours.pth", weights_only=True)["model_state_dict"]
    for name, value in net.state_dict().items():
        expected = freqs if name == "decoder.freqs" and freqs is not None else value
        assert torch.equal(back[name], expected), name
    assert back.keys() == net.state_dict().keys()
    assert not list(tmp_path.glob("*.partial"))


NARROW = DecoderConfig(width=48, blocks=2)


def published(legacy) -> dict[str, torch.Tensor]:
    """A checkpoint of the published kind but narrow and shallow, by the names of a transformers release."""
    from tiercel.models.justzoomin import JustZoomInNet

    return {renamed(name, legacy): value for name, value in JustZoomInNet(NARROW).state_dict().items()}


def test_dinov2_is_known_by_both_sets_of_names(tmp_path, monkeypatch) -> None:
    monkeypatch.setitem(DINOV2, "facebook/dinov2-base", (48, 1, 12))
    old = published(legacy=True)
    assert "encoder.backbone.encoder.layer.0.attention.attention.query.weight" in old
    assert "encoder.backbone.encoder.layer.0.attention.output.dense.bias" in old
    for legacy in (True, False):
        state = {renamed(name, legacy): value for name, value in old.items()}
        read = read_published(write(tmp_path / "a.pth", state))
        assert read.config == NARROW
        assert read.legacy_names == legacy
        weight = read.encoder.backbone.encoder.layer[0].attention.q_proj.weight
        assert torch.equal(weight, old["encoder.backbone.encoder.layer.0.attention.attention.query.weight"])
        write_published(read, tmp_path / "b.pth")
        back = torch.load(tmp_path / "b.pth", weights_only=True)["model_state_dict"]
        assert back.keys() == state.keys()
    model = load_model(tmp_path / "b.pth", "cpu")
    assert model.config == ModelConfig.of_decoder(NARROW, name="b")
    assert torch.equal(model.decoder.decoder.output_head.weight, old["decoder.output_head.weight"])


def test_sizes_are_told_by_the_tensors(tmp_path, monkeypatch) -> None:
    monkeypatch.setitem(DINOV2, "facebook/dinov2-small", (384, 1, 6))
    state = {
        "decoder.action_embed.weight": torch.zeros(9, 384),
        "decoder.blocks.0.ffn.w1.weight": torch.zeros(100, 384),
        "decoder.blocks.2.ffn.w1.weight": torch.zeros(100, 384),
    }
    expected = DecoderConfig(encoder="facebook/dinov2-small", grid=3, width=384, blocks=3, hidden=100)
    assert sizes_of(state, tmp_path) == expected
    with pytest.raises(TiercelError, match=r"has 9 actions and 1 encoder blocks of 20 channels, no encoder known"):
        sizes_of({name: value[:, :20] for name, value in state.items()}, tmp_path)


@pytest.mark.parametrize(
    ("changes", "config", "message"),
    [
        ({"decoder.final_norm.weight": None}, SMALL, r"a.pth lacks the key decoder.final_norm.weight"),
        ({}, dataclasses.replace(SMALL, grid=4), r"decoder.action_embed.weight of shape \(4, 24\) where \(16, 24\)"),
        (
            {"decoder.freqs": None},
            dataclasses.replace(SMALL, width=48),
            r"has \S+ of shape \(24.* where \(48.*give its",
        ),
        ({"decoder.extra": torch.zeros(1)}, SMALL, r"a.pth has the key decoder.extra, which this network does not"),
        ({"decoder.freqs": torch.ones(9, 4)}, SMALL, r"decoder.freqs of shape \(9, 4\), which is no rotary table"),
        ({}, dataclasses.replace(SMALL, heads=4), r"decoder.freqs of shape \(4,\).*heads of 6 channels"),
        ({}, None, "encoder blocks of 24 channels, no encoder known here: give its sizes in a config.json beside it"),
        ({"decoder.action_embed.weight": None}, None, "a.pth lacks the key decoder.action_embed.weight"),
    ],
)
def test_a_checkpoint_of_something_else_is_named_with_its_key(tmp_path, changes, config, message) -> None:
    path = write(tmp_path / "a.pth", small_net().state_dict(), **changes)
    with pytest.raises(TiercelError, match=message):
        read_published(path, config)


def test_what_is_no_checkpoint(tmp_path) -> None:
    with pytest.raises(TiercelError, match=r"there is no checkpoint .*a.pth"):
        read_published(tmp_path / "a.pth")
    (tmp_path / "a.pth").write_bytes(b"no")
    with pytest.raises(TiercelError, match=r"a.pth is no checkpoint that can be read safely"):
        read_published(tmp_path / "a.pth")
    torch.save({"state": 1}, tmp_path / "a.pth")
    with pytest.raises(TiercelError, match="has no key 'model_state_dict'"):
        read_published(tmp_path / "a.pth")


def test_nothing_in_a_file_is_executed(tmp_path) -> None:
    class Trap:
        def __reduce__(self) -> tuple[object, ...]:
            return (open, (str(tmp_path / "sprung"), "w"))

    torch.save({"model_state_dict": Trap()}, tmp_path / "a.pth")
    with pytest.raises(TiercelError, match="no checkpoint that can be read safely"):
        load_model(tmp_path / "a.pth")
    assert not (tmp_path / "sprung").exists()


def test_a_config_beside_the_file_gives_other_sizes(tmp_path) -> None:
    net = small_net()
    write_published(net, tmp_path / "prototype.pth")
    config = ModelConfig.of_decoder(SMALL, leaf_m=31.25)
    config.save(tmp_path / "config.json")
    model = load_model(tmp_path / "prototype.pth", "cpu")
    assert model.config == config
    assert torch.equal(model.decoder.decoder.output_head.weight, net.decoder.output_head.weight)
