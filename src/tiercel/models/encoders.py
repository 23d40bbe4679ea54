"""Encoders: from pixels to features, for photos and for the map, by name.

A *photo encoder* turns a strip (see `tiercel.models.strips`) into one vector for each azimuth bin. An *overhead
encoder* turns an overhead picture into a fine and a coarse feature map. ``compact`` is our own pair, small enough for a
laptop's CPU; ``timm:NAME`` is a model of the package timm; any other name is taken as a Hugging Face id (or a local
folder) of a vision backbone.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from tiercel.errors import TiercelError
from tiercel.models.blocks import ConvUnit, Residual
from tiercel.models.config import ModelConfig

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_DEVIATION = (0.229, 0.224, 0.225)
TIMM = "timm:"
"""What the names of timm's models begin with here."""


class CompactPhotoEncoder(nn.Module):
    """Convolutions to strides 4, 8 and 16 along the rows, then one vector a column from all three.

    The fine rows go into a column as they are: how far away something stands on the ground is how far below the horizon
    it appears, and most of the ground lies within a few rows of the horizon.

    Args:
        config: Sizes.
        columns_per_output: Strip columns per output column; 8 (one azimuth bin) or 4.
    """

    def __init__(self, config: ModelConfig, columns_per_output: int = 8) -> None:
        """Makes the layers."""
        super().__init__()
        fine, middle, coarse = config.width
        rows, width, self.narrowing = config.strip_height, config.column_width, columns_per_output // 4
        self.stem = ConvUnit(4, fine, 4, 4)
        self.at4 = Residual(fine)
        self.down8 = nn.ModuleList([ConvUnit(fine, middle, 3, (2, self.narrowing)), Residual(middle)])
        self.down16 = nn.ModuleList([ConvUnit(middle, coarse, 3, (2, 1)), *(Residual(coarse) for _ in range(3))])
        self.column4 = nn.Linear(fine * rows // 4 * self.narrowing, width)
        self.column8 = nn.Linear(middle * rows // 8, width)
        self.column16 = nn.Linear(coarse * rows // 16, width)
        self.mix = nn.Conv1d(width, width, 3)

    def forward(self, strip: Tensor, around: bool) -> Tensor:
        """(B, 4, rows, columns) to (B, columns / columns_per_output, column_width).

        Args:
            strip: RGB in -1..1 and a mask channel, 0 where the photo saw nothing.
            around: The strip goes once around the horizon.
        """
        at4, close = self.look(strip, around)
        at8 = at16 = at4
        for stage in self.down8:
            at8 = at16 = stage(at8, around)
        for stage in self.down16:
            at16 = stage(at16, around)
        # (B, columns, rows and channels); at stride 4 two columns may share one azimuth bin.
        stacked = [level.permute(0, 3, 2, 1).flatten(2) for level in (at4, at8, at16)]
        stacked[0] = stacked[0].reshape(*stacked[1].shape[:2], -1)
        x = self.column4(stacked[0]) + self.column8(stacked[1]) + self.column16(stacked[2])
        x = functional.relu(x if close is None else x + close)
        padded = functional.pad(x.transpose(1, 2), (1, 1), mode="circular" if around else "constant")
        return x + functional.relu(self.mix(padded)).transpose(1, 2)

    def look(self, strip: Tensor, around: bool) -> tuple[Tensor, Tensor | None]:
        """Features at stride 4, and what else goes into the columns."""
        return self.at4(self.stem(strip, around), around), None


class FinePhotoEncoder(CompactPhotoEncoder):
    """A `CompactPhotoEncoder` for strips at half their resolution, and beside it a closer look at the whole of them.

    From 20 to 40 metres away the ground takes up two rows of 64: how far off a kerb or the foot of a wall is can only
    be read from finer ones. What the closer look finds is added to the columns, and to the features that the other
    layers go on with. It begins as nothing, so that a trained `CompactPhotoEncoder` can be grown into one of these.

    Args:
        config: Sizes; strips are twice as fine as those that the compact encoder would see.
        columns_per_output: Strip columns per output column; 16 (one azimuth bin) or 8.
    """

    def __init__(self, config: ModelConfig, columns_per_output: int = 16) -> None:
        """Makes the layers."""
        half = dataclasses.replace(
            config, strip_height=config.strip_height // 2, columns_per_heading=config.columns_per_heading // 2
        )
        super().__init__(half, columns_per_output // 2)
        fine = config.width[0]
        rows, self.gathered = config.strip_height // 4, columns_per_output // 4
        self.close = nn.ModuleList([ConvUnit(4, fine, 4, 4), Residual(fine)])
        self.shrink = ConvUnit(fine, fine, 3, 2)
        self.lend = nn.Conv2d(fine, fine, 1, bias=False)
        self.column2 = nn.Linear(fine * rows * self.gathered, config.column_width, bias=False)
        for layer in (self.lend.weight, self.column2.weight):
            nn.init.zeros_(layer)

    def look(self, strip: Tensor, around: bool) -> tuple[Tensor, Tensor | None]:
        """Features at stride 4 of the halved strip, and what the closer look says of each column."""
        near = strip
        for stage in self.close:
            near = stage(near, around)
        at4, _ = super().look(functional.avg_pool2d(strip, 2), around)
        at4 = at4 + self.lend(self.shrink(near, around))
        columns = near.permute(0, 3, 2, 1).flatten(2)
        return at4, self.column2(columns.reshape(len(columns), -1, columns.shape[2] * self.gathered))


class CompactOverheadEncoder(nn.Module):
    """Convolutions to stride 16 and back up to stride 4 (a small U-Net).

    Args:
        config: Sizes.
        outputs: Channels of the fine features; 0 leaves the way back up out.
    """

    def __init__(self, config: ModelConfig, outputs: int) -> None:
        """Makes the layers."""
        super().__init__()
        fine, middle, coarse = config.width
        self.stem = ConvUnit(3, fine, 4, 4)
        self.down8 = nn.ModuleList([ConvUnit(fine, middle, 3, 2), Residual(middle)])
        self.down16 = nn.ModuleList([ConvUnit(middle, coarse, 3, 2), *(Residual(coarse) for _ in range(3))])
        self.outputs = outputs
        if outputs:
            self.skip16, self.skip8 = nn.Conv2d(coarse, 64, 1), nn.Conv2d(middle, 64, 1)
            self.up8, self.narrow = ConvUnit(64, 64), nn.Conv2d(64, fine, 1)
            self.skip4, self.up4 = nn.Conv2d(fine, fine, 1), ConvUnit(fine, fine)
            self.output = nn.Conv2d(fine, outputs, 1)

    def forward(self, image: Tensor) -> tuple[Tensor | None, Tensor]:
        """(B, 3, H, W) to fine features (B, outputs, H / 4, W / 4), or None, and coarse (B, C, H / 16, W / 16)."""
        at4 = self.stem(image)
        at8 = at4
        for stage in self.down8:
            at8 = stage(at8)
        at16 = at8
        for stage in self.down16:
            at16 = stage(at16)
        if not self.outputs:
            return None, at16
        up = functional.relu(self.skip8(at8) + functional.interpolate(self.skip16(at16), scale_factor=2))
        up = self.narrow(self.up8(up))
        up = functional.relu(self.skip4(at4) + functional.interpolate(up, scale_factor=2))
        return self.output(self.up4(up)), at16


class BackboneEncoder(nn.Module):
    """A vision backbone of Hugging Face as a grid of features.

    Works with every model of ``transformers.AutoModel`` whose vision part returns either a feature map (B, C, h, w), as
    ConvNeXt does, or a sequence of patches in row order behind any number of class or register tokens, as DINOv2 and
    SigLIP do.

    Args:
        name: Hugging Face id or local folder.

    Raises:
        TiercelError: the backbone cannot be had.
    """

    def __init__(self, name: str) -> None:
        """Loads the backbone."""
        super().__init__()
        from transformers import AutoConfig, AutoModel

        try:
            config = AutoConfig.from_pretrained(name)
            model: Any = AutoModel.from_pretrained(name)
        except (OSError, ValueError) as error:
            reason = str(error).splitlines()[0]
            raise TiercelError(
                f"encoder '{name}' is neither 'compact' nor a vision backbone that can be loaded ({reason}): "
                "check the id and the connection, or give the folder of a downloaded one."
            ) from None
        self.model = getattr(model, "vision_model", model)
        config = getattr(config, "vision_config", config)
        self.patch = int(getattr(config, "patch_size", 0) or 0)
        sizes = getattr(config, "hidden_sizes", None)
        self.channels = int(sizes[-1] if sizes else config.hidden_size)
        self.register_buffer("mean", torch.tensor(IMAGENET_MEAN).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("deviation", torch.tensor(IMAGENET_DEVIATION).view(1, 3, 1, 1), persistent=False)

    def forward(self, image: Tensor) -> Tensor:
        """(B, 3, H, W) in -1..1 to (B, channels, h, w)."""
        assert isinstance(self.mean, Tensor) and isinstance(self.deviation, Tensor)
        image = ((image + 1.0) / 2.0 - self.mean) / self.deviation
        if not self.patch or getattr(self.model.config, "hidden_sizes", None):
            return self._as_map(self.model(pixel_values=image).last_hidden_state, 0, 0)
        rows, columns = (max(1, round(side / self.patch)) for side in image.shape[2:])
        size = (rows * self.patch, columns * self.patch)
        image = functional.interpolate(image, size=size, mode="bilinear", antialias=True)
        extra = {"interpolate_pos_encoding": True} if self._interpolates() else {}
        return self._as_map(self.model(pixel_values=image, **extra).last_hidden_state, rows, columns)

    def _interpolates(self) -> bool:
        import inspect

        return "interpolate_pos_encoding" in inspect.signature(self.model.forward).parameters

    @staticmethod
    def _as_map(hidden: Tensor, rows: int, columns: int) -> Tensor:
        if hidden.ndim == 4:
            return hidden
        patches = hidden[:, hidden.shape[1] - rows * columns :]
        return patches.transpose(1, 2).reshape(len(hidden), -1, rows, columns)


class TimmEncoder(nn.Module):
    """A model of the package timm as a grid of features.

    Args:
        name: As timm has it, such as ``convnext_base.fb_in22k_ft_in1k_384``.

    Raises:
        TiercelError: timm is not installed, or the model cannot be had.
    """

    def __init__(self, name: str) -> None:
        """Loads the model."""
        super().__init__()
        try:
            import timm
        except ImportError:
            raise TiercelError(f"encoder '{TIMM}{name}' needs the package timm: pip install 'tiercel[timm]'.") from None
        try:
            self.model: Any = timm.create_model(name, pretrained=True, num_classes=0)
        except (RuntimeError, OSError, ValueError) as error:
            reason = str(error).splitlines()[0]
            raise TiercelError(
                f"encoder '{TIMM}{name}' cannot be loaded ({reason}): check the name and the connection."
            ) from None
        if not hasattr(self.model, "forward_intermediates"):
            raise TiercelError(f"encoder '{TIMM}{name}' gives no grid of features: choose another model of timm.")
        made_for = self.model.pretrained_cfg
        self.channels = int(self.model.num_features)
        self.size = tuple(made_for["input_size"][1:]) if made_for.get("fixed_input_size") else None
        self.register_buffer("mean", torch.tensor(made_for["mean"]).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("deviation", torch.tensor(made_for["std"]).view(1, 3, 1, 1), persistent=False)

    def forward(self, image: Tensor) -> Tensor:
        """(B, 3, H, W) in -1..1 to (B, channels, h, w)."""
        assert isinstance(self.mean, Tensor) and isinstance(self.deviation, Tensor)
        image = ((image + 1.0) / 2.0 - self.mean) / self.deviation
        if self.size is not None:
            image = functional.interpolate(image, size=self.size, mode="bilinear", antialias=True)
        grids: list[Tensor] = self.model.forward_intermediates(
            image, indices=1, norm=True, output_fmt="NCHW", intermediates_only=True
        )
        return grids[-1]


def vision_backbone(name: str) -> BackboneEncoder | TimmEncoder:
    """The vision backbone of that name: of timm behind ``timm:``, else of Hugging Face."""
    if name.startswith(TIMM):
        return TimmEncoder(name.removeprefix(TIMM))
    return BackboneEncoder(name)


class BackbonePhotoEncoder(nn.Module):
    """A vision backbone read column by column."""

    def __init__(self, name: str, config: ModelConfig, columns_per_output: int = 8) -> None:
        """Loads the backbone."""
        super().__init__()
        self.backbone = vision_backbone(name)
        self.columns_per_output = columns_per_output
        self.column = nn.Linear(self.backbone.channels * 4, config.column_width)

    def forward(self, strip: Tensor, around: bool) -> Tensor:
        """(B, 4, rows, columns) to (B, columns / columns_per_output, column_width)."""
        # Enlarged so that one patch of the backbone is about one azimuth bin wide.
        size = (strip.shape[2] * 4, strip.shape[3] * 4)
        grid = self.backbone(functional.interpolate(strip[:, :3] * strip[:, 3:], size=size, mode="bilinear"))
        grid = functional.interpolate(grid, size=(4, strip.shape[3] // self.columns_per_output), mode="bilinear")
        columns: Tensor = self.column(grid.permute(0, 3, 2, 1).flatten(2))
        return functional.relu(columns)


class BackboneOverheadEncoder(nn.Module):
    """A vision backbone brought to the strides of the compact one."""

    def __init__(self, name: str, config: ModelConfig, outputs: int) -> None:
        """Loads the backbone."""
        super().__init__()
        self.backbone = vision_backbone(name)
        self.coarse = nn.Conv2d(self.backbone.channels, config.width[2], 1)
        self.outputs = outputs
        if outputs:
            self.fine = nn.Conv2d(self.backbone.channels + 3 * 16, config.width[0], 1)
            self.output = nn.Conv2d(config.width[0], outputs, 3, padding=1)

    def forward(self, image: Tensor) -> tuple[Tensor | None, Tensor]:
        """(B, 3, H, W) to fine features (B, outputs, H / 4, W / 4), or None, and coarse (B, C, H / 16, W / 16)."""
        grid = self.backbone(image)
        height, width = image.shape[2:]
        coarse = functional.interpolate(self.coarse(grid), size=(height // 16, width // 16), mode="bilinear")
        if not self.outputs:
            return None, coarse
        up = functional.interpolate(grid, size=(height // 4, width // 4), mode="bilinear")
        # The pixels themselves carry the detail that a stride of 14 or 32 has lost.
        detail = functional.pixel_unshuffle(image, 4)
        return self.output(functional.relu(self.fine(torch.cat([up, detail], 1)))), coarse


PhotoFactory = Callable[[ModelConfig, int], nn.Module]
OverheadFactory = Callable[[ModelConfig, int], nn.Module]
PHOTO_ENCODERS: dict[str, PhotoFactory] = {"compact": CompactPhotoEncoder, "fine": FinePhotoEncoder}
OVERHEAD_ENCODERS: dict[str, OverheadFactory] = {"compact": CompactOverheadEncoder}


def photo_encoder(config: ModelConfig, per_heading: int = 1) -> nn.Module:
    """The photo encoder that `config` names; to add one of your own, put it into `PHOTO_ENCODERS`.

    Args:
        config: Sizes.
        per_heading: Output columns in one azimuth bin.
    """
    columns_per_output = config.columns_per_heading // per_heading
    factory = PHOTO_ENCODERS.get(config.photo_encoder)
    if factory is not None:
        return factory(config, columns_per_output)
    return BackbonePhotoEncoder(config.photo_encoder, config, columns_per_output)


def overhead_encoder(config: ModelConfig, outputs: int) -> nn.Module:
    """The overhead encoder that `config` names; to add one of your own, put it into `OVERHEAD_ENCODERS`."""
    factory = OVERHEAD_ENCODERS.get(config.overhead_encoder)
    if factory is not None:
        return factory(config, outputs)
    return BackboneOverheadEncoder(config.overhead_encoder, config, outputs)
