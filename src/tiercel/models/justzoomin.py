"""The network of "Just Zoom In" (arXiv 2603.25686) on any encoder: photo and squares to tokens, tokens to picks.

One encoder serves both views and gives one vector an image. A photo is resized to 2 : 1, and its two halves' vectors
are averaged. What follows is `tiercel.models.decoder`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional

from tiercel.errors import TiercelError
from tiercel.models.blocks import image_to_tensor
from tiercel.models.config import DecoderConfig, ModelConfig
from tiercel.models.decoder import ZoomDecoder
from tiercel.models.encoders import IMAGENET_DEVIATION, IMAGENET_MEAN, CompactOverheadEncoder

DINOV2 = {
    "facebook/dinov2-small": (384, 12, 6),
    "facebook/dinov2-base": (768, 12, 12),
    "facebook/dinov2-large": (1024, 24, 16),
}
"""Width, blocks and heads, so that a checkpoint is read without asking anyone for them."""
COMPACT_GRID = 4
"""Cells along a side of the picture that the compact encoder keeps apart before it makes one vector of them."""


class JustZoomInNet(nn.Module):
    """The published network.

    Args:
        config: Sizes.
        pretrained: Fetch the encoder's weights (by its Hugging Face id) instead of drawing them.

    Attributes:
        legacy_names: Whether a checkpoint file names DINOv2's layers as transformers did before its release 5.
        stored_freqs: The rotary buffer as the authors' file had it, None if there was no file.

    Raises:
        TiercelError: there is no such encoder, or its vectors are of another width.
    """

    def __init__(self, config: DecoderConfig, *, pretrained: bool = False) -> None:
        """Makes the encoder and the decoder."""
        super().__init__()
        self.config = config
        self.encoder = TokenEncoder(config, pretrained)
        self.decoder = ZoomDecoder(config)
        self.legacy_names = True
        self.stored_freqs: Tensor | None = None

    def forward(self, halves: Tensor, squares: Tensor, which: Tensor, actions: Tensor) -> Tensor:
        """Scores of all picks of a batch under teacher forcing; every square is encoded once.

        Args:
            halves: (B, 2, 3, pixels, pixels) in -1..1, from `photo_halves`.
            squares: (S, 3, pixels, pixels), the distinct squares that the photos lie in.
            which: (B, n) the squares on the way to each photo, as rows of `squares`.
            actions: (B, n) the right picks.

        Returns:
            (B, n, grid**2) logits.
        """
        # Together, so that an encoder that normalises over its batch sees both views as one.
        tokens = self.encoder(torch.cat([halves.flatten(0, 1), squares]))
        photo = tokens[: 2 * len(halves)].reshape(len(halves), 2, -1).mean(1)
        logits: Tensor = self.decoder(photo, tokens[2 * len(halves) :][which], actions)
        return logits

    def photo_tokens(self, halves: Tensor) -> Tensor:
        """(B, 2, 3, pixels, pixels) in -1..1 to (B, width)."""
        tokens: Tensor = self.encoder(halves.flatten(0, 1))
        return tokens.reshape(len(halves), 2, -1).mean(1)

    def fetch_encoder(self) -> None:
        """Take the weights that the encoder's makers published; ``compact`` has none and stays as it is."""
        if self.config.encoder != "compact":
            self.encoder = TokenEncoder(self.config, pretrained=True)

    def unfreeze_last(self, blocks: int) -> None:
        """Train only the encoder's last blocks and its final norm (and the decoder).

        Args:
            blocks: How many; below 0 for the whole encoder.

        Raises:
            TiercelError: the encoder has no such blocks.
        """
        self.encoder.requires_grad_(blocks < 0)
        for name, parameter in self.encoder.named_parameters():
            if name.endswith("mask_token"):  # which only the making of DINOv2 used
                parameter.requires_grad_(False)
        if blocks <= 0:
            return
        layers, norm = self.encoder.blocks_and_norm()
        if blocks > len(layers):
            raise TiercelError(
                f"encoder '{self.config.encoder}' has {len(layers)} blocks to train one by one, not {blocks}: "
                "set unfrozen_blocks to that or fewer, or to -1 for the whole encoder."
            )
        for part in (*list(layers)[-blocks:], norm):
            part.requires_grad_(True)


class TokenEncoder(nn.Module):
    """Images to one vector each.

    Args:
        config: Names the encoder.
        pretrained: Fetch its weights.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(self, config: DecoderConfig, pretrained: bool = False) -> None:
        """Makes the backbone."""
        super().__init__()
        self.name = config.encoder
        self.backbone = CompactTokens(config) if config.encoder == "compact" else _transformer(config, pretrained)
        self.register_buffer("mean", torch.tensor(IMAGENET_MEAN).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("deviation", torch.tensor(IMAGENET_DEVIATION).view(1, 3, 1, 1), persistent=False)

    def forward(self, image: Tensor) -> Tensor:
        """(B, 3, pixels, pixels) in -1..1 to (B, width)."""
        if isinstance(self.backbone, CompactTokens):
            compact: Tensor = self.backbone(image)
            return compact
        image = ((image + 1.0) / 2.0 - self.mean) / self.deviation
        if type(self.backbone).__name__ == "Dinov2Model":
            return class_token(self.backbone, image)
        token: Tensor = self.backbone(pixel_values=image).last_hidden_state[:, 0]
        return token

    def blocks_and_norm(self) -> tuple[nn.ModuleList, nn.Module]:
        """The transformer's blocks and the norm behind them; none for other encoders."""
        inner: Any = getattr(self.backbone, "encoder", None)
        layers = getattr(inner, "layer", getattr(inner, "layers", nn.ModuleList()))
        norms = [getattr(self.backbone, name, None) for name in ("layernorm", "post_layernorm", "norm")]
        return layers, next((norm for norm in norms if norm is not None), nn.Identity())


def class_token(model: Any, image: Tensor) -> Tensor:  # noqa: ANN401  (transformers' types say less)
    """``model(image).last_hidden_state[:, 0]`` of a Dinov2Model, without the last block's other tokens.

    Nothing reads them, and they are most of its work.

    Args:
        model: The model.
        image: (B, 3, H, W), normalised.

    Returns:
        (B, width).
    """
    hidden = model.embeddings(image)
    *layers, last = model.encoder.layer
    for layer in layers:
        hidden = layer(hidden)
    attention, normed = last.attention, last.norm1(hidden)

    def split(x: Tensor) -> Tensor:
        return x.reshape(*x.shape[:-1], attention.num_attention_heads, -1).transpose(1, 2)

    query, key, value = attention.q_proj(normed[:, :1]), attention.k_proj(normed), attention.v_proj(normed)
    found = functional.scaled_dot_product_attention(split(query), split(key), split(value))
    found = attention.o_proj(found.transpose(1, 2).flatten(2))
    x = hidden[:, :1] + last.drop_path(last.layer_scale1(found))
    x = x + last.drop_path(last.layer_scale2(last.mlp(last.norm2(x))))
    token: Tensor = model.layernorm(x)[:, 0]
    return token


class CompactTokens(nn.Module):
    """tiercel's compact overhead encoder, its coarse features made one vector, so that a laptop can train it."""

    def __init__(self, config: DecoderConfig) -> None:
        """Makes the layers."""
        super().__init__()
        if config.pixels % 16:
            raise TiercelError(f"the encoder 'compact' needs pixels in multiples of 16, not {config.pixels}.")
        self.features = CompactOverheadEncoder(ModelConfig(width=config.channels), 0)
        self.token = nn.Linear(config.channels[2] * COMPACT_GRID**2, config.width)

    def forward(self, image: Tensor) -> Tensor:
        """(B, 3, pixels, pixels) to (B, width)."""
        cells = functional.adaptive_avg_pool2d(self.features(image)[1].float(), COMPACT_GRID)
        token: Tensor = self.token(cells.flatten(1))
        return token


def _transformer(config: DecoderConfig, pretrained: bool) -> nn.Module:
    """A vision transformer of Hugging Face.

    Raises:
        TiercelError: it cannot be had, has no class token, or one of another width.
    """
    from transformers import AutoConfig, AutoModel, Dinov2Config, Dinov2Model

    factory: Any = AutoModel

    try:
        if config.encoder in DINOV2 and not pretrained:
            width, blocks, heads = DINOV2[config.encoder]
            sizes = {"hidden_size": width, "num_hidden_layers": blocks, "num_attention_heads": heads}
            model: Any = Dinov2Model(Dinov2Config(image_size=518, patch_size=14, **sizes))  # type: ignore[arg-type]
        elif pretrained:
            model = factory.from_pretrained(config.encoder)
        else:
            model = factory.from_config(AutoConfig.from_pretrained(config.encoder))
    except (OSError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise TiercelError(
            f"encoder '{config.encoder}' is neither 'compact' nor a vision transformer that can be loaded ({reason}): "
            "check the id and the connection, or give the folder of a downloaded one."
        ) from None
    model = getattr(model, "vision_model", model)
    if not any(name.endswith(("cls_token", "class_embedding")) for name, _ in model.named_parameters()):
        raise TiercelError(
            f"encoder '{config.encoder}' has no class token: take a vision transformer that has, such as "
            "facebook/dinov2-base."
        )
    if model.config.hidden_size != config.width:
        raise TiercelError(
            f"encoder '{config.encoder}' gives {model.config.hidden_size} channels and the decoder takes "
            f"{config.width}: set the decoder's width to {model.config.hidden_size}."
        )
    whole: nn.Module = model
    return whole


def photo_halves(pixels: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """A photo resized to two squares side by side: (H, W, 3) uint8 to (2, side, side, 3), the left half first."""
    size = (2 * side, side)
    if pixels.shape[:2] != (side, 2 * side):
        image = Image.fromarray(pixels).resize(size, Image.Resampling.BILINEAR, reducing_gap=3.0)
        pixels = np.asarray(image)
    return np.ascontiguousarray(pixels.reshape(side, 2, side, 3).swapaxes(0, 1))


def images_to_tensor(images: NDArray[np.uint8]) -> Tensor:
    """(..., side, side, 3) uint8 to (..., 3, side, side) in -1..1."""
    tensor = torch.from_numpy(np.ascontiguousarray(images))
    flat = image_to_tensor(tensor.flatten(0, -4))
    return flat.reshape(*tensor.shape[:-3], *flat.shape[1:])
