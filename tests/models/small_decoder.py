"""A published zooming network small enough for tests."""

import torch

from tiercel.models.config import DecoderConfig
from tiercel.models.justzoomin import JustZoomInNet

SMALL = DecoderConfig(
    encoder="compact", pixels=64, depth=3, grid=2, width=24, blocks=2, heads=3, hidden=20, channels=(8, 12, 16)
)


def small_net(seed=0, config=SMALL) -> JustZoomInNet:
    """Weights large enough that every part of the network bears on the answer."""
    torch.manual_seed(seed)
    net = JustZoomInNet(config)
    with torch.no_grad():
        for name, value in net.decoder.named_parameters():
            gain = 1.0 if "embed" in name else 1.5 * value.shape[-1] ** -0.5
            value.copy_(1 + 0.3 * torch.randn_like(value) if value.ndim == 1 else gain * torch.randn_like(value))
    return net.eval()
