"""The two building stones of the compact encoders."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional


class ConvUnit(nn.Module):
    """Convolution, batch normalisation, ReLU.

    Args:
        inputs: Input channels.
        outputs: Output channels.
        kernel: Kernel side in pixels.
        stride: Stride along rows and columns.
    """

    def __init__(self, inputs: int, outputs: int, kernel: int = 3, stride: int | tuple[int, int] = 1) -> None:
        """Makes the layers."""
        super().__init__()
        # A kernel as large as its stride cuts the picture into patches and needs no padding.
        self.padding = 0 if stride == kernel else kernel // 2
        self.convolution = nn.Conv2d(inputs, outputs, kernel, stride, bias=False)
        self.normalisation = nn.BatchNorm2d(outputs)

    def forward(self, x: Tensor, around: bool = False) -> Tensor:
        """(B, inputs, H, W) to (B, outputs, H', W').

        Args:
            x: Features.
            around: The columns go once around the horizon, so the left edge continues at the right.
        """
        pad, convolution = self.padding, self.convolution
        if around and pad:
            x = functional.pad(x, (pad, pad, 0, 0), mode="circular")
        sides = (pad, 0 if around else pad)
        x = functional.conv2d(x, convolution.weight, stride=convolution.stride, padding=sides)
        return functional.relu(self.normalisation(x))


class Residual(nn.Module):
    """A `ConvUnit` added to its input."""

    def __init__(self, channels: int) -> None:
        """Makes the layers."""
        super().__init__()
        self.unit = ConvUnit(channels, channels)

    def forward(self, x: Tensor, around: bool = False) -> Tensor:
        """(B, channels, H, W) to the same shape."""
        refined: Tensor = self.unit(x, around)
        return x + refined


def image_to_tensor(pixels: Tensor) -> Tensor:
    """uint8 or float pixels 0..255 (B, H, W, C) to floats -1..1 (B, C, H, W), channels last in memory."""
    return (pixels.permute(0, 3, 1, 2).float() / 127.5 - 1.0).contiguous(memory_format=torch.channels_last)
