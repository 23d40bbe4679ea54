"""Reading and writing the checkpoint files of "Just Zoom In": `torch.save({"model_state_dict": ...})`.

Keys may carry the prefix of a compiled module. DINOv2's layers are known by two sets of names: transformers renamed
them with its release 5. Either is read, and written back as it was read.
"""

from __future__ import annotations

import dataclasses
import math
import pickle
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from tiercel.errors import TiercelError
from tiercel.models.config import DecoderConfig
from tiercel.models.decoder import rotary_frequencies
from tiercel.models.justzoomin import DINOV2, JustZoomInNet

COMPILED = "_orig_mod."
FREQS = "decoder.freqs"
LEGACY = {
    "attention.q_proj": "attention.attention.query",
    "attention.k_proj": "attention.attention.key",
    "attention.v_proj": "attention.attention.value",
    "attention.o_proj": "attention.output.dense",
}
"""DINOv2's layers: their names from transformers 5 on, and those before."""


def read_published(path: Path | str, config: DecoderConfig | None = None) -> JustZoomInNet:
    """Read a checkpoint of the authors'.

    Args:
        path: The ``.pth`` file. Nothing in it is executed.
        config: The sizes it has to have; those that its tensors have, at the published depth and heads, if left out.

    Returns:
        The network, ready for inference.

    Raises:
        TiercelError: the file cannot be read, lacks a key, has one too many, or one of another shape.
    """
    path = Path(path)
    state = _tensors(path)
    state = {name.replace(COMPILED, ""): value for name, value in state.items()}
    legacy = any(LEGACY["attention.q_proj"] in name for name in state)
    state = {renamed(name, legacy=False): value for name, value in state.items()}
    config = config or sizes_of(state, path)
    freqs = state.pop(FREQS, None)
    if freqs is not None:
        _check_freqs(freqs, config, path)
    with torch.device("meta"):
        net = JustZoomInNet(config)
    _check_keys(state, net, path)
    net = JustZoomInNet(config)
    net.load_state_dict(state, strict=False)
    net.legacy_names, net.stored_freqs = legacy, freqs
    return net.eval()


def write_published(net: JustZoomInNet, path: Path | str) -> None:
    """Write a checkpoint that the authors' code reads; it appears when it is whole."""
    path = Path(path)
    state = {renamed(name, net.legacy_names): value.detach().cpu() for name, value in net.state_dict().items()}
    if net.stored_freqs is not None:
        state[FREQS] = net.stored_freqs
    temporary = path.with_name(f"{path.name}.partial")
    torch.save({"model_state_dict": state}, temporary)
    temporary.replace(path)


def renamed(name: str, legacy: bool) -> str:
    """A parameter's name in one of the two sets of names."""
    for current, old in LEGACY.items():
        name = name.replace(current, old) if legacy else name.replace(old, current)
    return name


def _tensors(path: Path) -> dict[str, Tensor]:
    try:
        content: Any = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise TiercelError(f"there is no checkpoint {path}: check the path.") from None
    except (OSError, RuntimeError, EOFError, ValueError, pickle.UnpicklingError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise TiercelError(f"{path} is no checkpoint that can be read safely ({reason}): copy it again.") from None
    state = content.get("model_state_dict") if isinstance(content, Mapping) else None
    if not isinstance(state, Mapping) or not all(isinstance(value, Tensor) for value in state.values()):
        raise TiercelError(
            f"{path} has no key 'model_state_dict' that holds tensors: give a checkpoint of Just Zoom In."
        )
    return dict(state)


def sizes_of(state: Mapping[str, Tensor], path: Path) -> DecoderConfig:
    """The sizes that a checkpoint's tensors tell; heads, depth and pixels are those published.

    Raises:
        TiercelError: they are of no network of this kind.
    """
    for key in ("decoder.action_embed.weight", "decoder.blocks.0.ffn.w1.weight"):
        if key not in state:
            raise TiercelError(f"{path} lacks the key {key}: give a checkpoint of Just Zoom In.")
    ways, width = state["decoder.action_embed.weight"].shape
    numbered = [re.match(r"decoder\.blocks\.(\d+)\.", name) for name in state]
    deep = max(
        (int(m[1]) for name in state if (m := re.match(r".*backbone\.encoder\.layer\.(\d+)\.", name))), default=0
    )
    known = [name for name, (channels, blocks, _) in DINOV2.items() if (channels, blocks) == (width, deep + 1)]
    if not known or math.isqrt(ways) ** 2 != ways:
        raise TiercelError(
            f"{path} has {ways} actions and {deep + 1} encoder blocks of {width} channels, no encoder known here: "
            "give its sizes in a config.json beside it."
        )
    return dataclasses.replace(
        DecoderConfig(),
        encoder=known[0],
        grid=math.isqrt(ways),
        width=width,
        blocks=1 + max(int(found[1]) for found in numbered if found),
        hidden=state["decoder.blocks.0.ffn.w1.weight"].shape[0],
    )


def _check_keys(state: Mapping[str, Tensor], net: JustZoomInNet, path: Path) -> None:
    wanted = {name: value.shape for name, value in net.state_dict().items() if name != FREQS}
    for name, shape in wanted.items():
        if name not in state:
            raise TiercelError(f"{path} lacks the key {name}: it is cut short, or of another encoder or depth.")
        if state[name].shape != shape:
            raise TiercelError(
                f"{path} has {name} of shape {tuple(state[name].shape)} where {tuple(shape)} is needed: "
                "the checkpoint is of another grid, width or encoder; give its sizes."
            )
    extra = [name for name in state if name not in wanted]
    if extra:
        raise TiercelError(f"{path} has the key {extra[0]}, which this network does not: give its sizes.")


def _check_freqs(freqs: Tensor, config: DecoderConfig, path: Path) -> None:
    """Make sure that a rotary buffer, in any layout that is used, says what is computed here."""
    frequencies = rotary_frequencies(config.width // config.heads)
    half = len(frequencies)
    found = torch.view_as_real(freqs) if freqs.is_complex() else freqs
    found = found.float().squeeze()
    positions = 1 if found.shape == (half,) else len(found) if found.ndim else 0
    angle = torch.outer(torch.arange(positions), frequencies)
    layouts = (
        frequencies,
        angle,
        torch.cat([angle, angle], -1),
        torch.stack([angle.cos(), angle.sin()], -1),
        torch.cat([angle.cos(), angle.sin()], -1),
    )
    # Half precision, in which a file may have been saved, keeps three digits.
    if not any(found.shape == one.shape and torch.allclose(found, one, rtol=1e-2, atol=2e-2) for one in layouts):
        raise TiercelError(
            f"{path} has {FREQS} of shape {tuple(freqs.shape)}, which is no rotary table of base 10000 for heads of "
            f"{2 * half} channels: the checkpoint is of another width or number of heads; give its sizes."
        )
