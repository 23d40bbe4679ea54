"""A small vision-language model of our own, which compares a street photo with places seen from above.

Its architecture is LLaVA's (arXiv 2304.08485): a vision tower, a connector, and a language model that reads pictures as
tokens among words. It is made of the classes of transformers, answers the prompts that large models get, and is run by
the same code. What differs is between tower and connector: each place is laid under the photo at the pose that fits
best (see `tiercel.models.match`), and the connector multiplies what the photo says about each direction and distance
with what lies there, as models of this size do not learn to compare pictures otherwise.

Pictures are squares of `JudgeVisionConfig.image_size` pixels. A photo is a strip on black, as
`tiercel.rerank.views.strip` lays it out; every other picture is a place seen from above, north up, with 0.488 metres a
pixel, and is compared with the photo that came last before it.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import AutoConfig, AutoModel, AutoModelForImageTextToText, PreTrainedConfig, PreTrainedModel
from transformers.modeling_outputs import BaseModelOutput, BaseModelOutputWithPooling
from transformers.models.auto.processing_auto import PROCESSOR_MAPPING
from transformers.models.llava import LlavaConfig, LlavaForConditionalGeneration, LlavaModel, LlavaProcessor

from tiercel.errors import TiercelError
from tiercel.models.config import ModelConfig
from tiercel.models.match import PER_HEADING, RANGES, MatchHead, correlate_spectra, polar_columns, template_spectrum
from tiercel.models.model import Model

SECTORS = 16
"""Directions that the connector makes one token of each."""
TOKENS = SECTORS + 1
"""Tokens of a picture: one a sector, and one about the whole."""
SUMMARY = 6
"""Numbers about the best pose, see `Looks.summary`."""
STRIP_ROWS, STRIP_COLUMNS, RIBBON_ROWS, PER_BIN = 64, 256, 8, 8
"""Of a photo's strip and the ribbon above it (`tiercel.rerank.views.strip`), and columns of an azimuth bin in it."""
REMEMBERED = 512
"""Pictures, and comparisons of two, that are remembered while the model answers questions."""


class JudgeVisionConfig(PreTrainedConfig):
    """Sizes of the vision tower.

    Args:
        image_size: Side of a picture in pixels; a multiple of 16 that leaves the template room.
        width: Channels of its encoders at strides 4, 8 and 16.
        column_width: Channels of a photo's azimuth column.
        match_width: Channels of what it says about the ground.
        photo_encoder: Its photo encoder, as in `ModelConfig`.
        strip_detail: How much finer than a picture's strip the one is that its photo encoder takes.
        template_m: Radius of the ground around the camera that is compared, metres.
    """

    model_type = "tiercel_judge_vision"
    base_config_key = "vision_config"

    def __init__(
        self,
        image_size: int = 320,
        width: tuple[int, int, int] = (48, 96, 128),
        column_width: int = 128,
        match_width: int = 16,
        template_m: float = 48.0,
        photo_encoder: str = "compact",
        strip_detail: int = 1,
        **kwargs: Any,  # noqa: ANN401  (transformers' own settings)
    ) -> None:
        """Keeps the sizes."""
        self.image_size, self.width = image_size, tuple(width)
        self.column_width, self.match_width, self.template_m = column_width, match_width, template_m
        self.photo_encoder, self.strip_detail = photo_encoder, strip_detail
        self.hidden_size = match_width * RANGES * polar_columns(self.sizes) // SECTORS
        super().__init__(**kwargs)

    @property
    def sizes(self) -> ModelConfig:
        """The same as the geometric match has them."""
        fine, middle, coarse = self.width
        return ModelConfig(
            heads=("match",),
            photo_encoder=self.photo_encoder,
            strip_height=self.strip_detail * STRIP_ROWS,
            columns_per_heading=self.strip_detail * PER_BIN,
            width=(fine, middle, coarse),
            column_width=self.column_width,
            match_width=self.match_width,
            template_m=self.template_m,
        )


@dataclass(frozen=True)
class Glimpse:
    """What the tower sees in a photo.

    Attributes:
        polar: (match_width, ranges, columns) what lies where, columns clockwise from the left edge of the strip; zero
            where the photo did not look.
        known: Whether the left edge is north.
        spectra: (1, headings, match_width, S, S // 2 + 1) of the template at each heading that is tried.
    """

    polar: Tensor
    known: bool
    spectra: Tensor


@dataclass(frozen=True)
class Looks:
    """A place laid under a photo at the pose that fits best.

    Attributes:
        ground: (match_width, ranges, columns) what lies at each direction and distance of the photo.
        summary: (SUMMARY,) float: the log-sum-exp of all poses' scores and the best score (both less the log of their
            number), where the camera stands from the middle (metres east and north, in units of 30), and sine and
            cosine of the azimuth of the strip's left edge.
    """

    ground: Tensor
    summary: Tensor


class JudgeVisionModel(PreTrainedModel):
    """The vision tower: encoders of the geometric match, and laying a place under a photo.

    Args:
        config: Sizes.
    """

    config_class = JudgeVisionConfig
    main_input_name = "pixel_values"
    input_modalities = ["image"]  # noqa: RUF012  (transformers' own)

    def __init__(self, config: JudgeVisionConfig) -> None:
        """Makes the layers."""
        super().__init__(config)
        self.match = MatchHead(config.sizes)
        self.post_init()

    def forward(self, pixel_values: Tensor, **kwargs: Any) -> BaseModelOutput:  # noqa: ANN401  (transformers' own)
        """Places (N, 3, S, S) in -1..1 to (N, cells, match_width), rows from north."""
        features = self.places(pixel_values)
        return BaseModelOutput(last_hidden_state=features.flatten(2).transpose(1, 2))

    def places(self, pixel_values: Tensor) -> Tensor:
        """Places (N, 3, S, S) to unit vectors (N, match_width, S / 4, S / 4)."""
        found: Tensor = self.match.features(pixel_values.to(self.dtype))
        return found.float()

    def glimpse(self, picture: Tensor) -> Glimpse:
        """What a photo (3, S, S) says about the ground around it."""
        side = picture.shape[-1]
        top, left = (side - STRIP_ROWS) // 2, (side - STRIP_COLUMNS) // 2
        strip = picture[:, top : top + STRIP_ROWS, left : left + STRIP_COLUMNS]
        known = bool((picture[:, top - RIBBON_ROWS : top] > -1).any())
        seen = (strip > -1).any(0, keepdim=True)
        masked = torch.cat([torch.where(seen, strip, torch.zeros_like(strip)), seen.to(strip.dtype)])
        polar = self._polar(masked, seen[0].any(0))
        columns = polar_columns(self.match.config)
        headings = 1 if known else columns
        start = torch.arange(headings, device=picture.device) * (2 * torch.pi / headings)
        template = self.match.template(polar[None], start[None])
        return Glimpse(polar, known, template_spectrum(template, side // 4))

    def _polar(self, strip: Tensor, seen: Tensor) -> Tensor:
        """(4, rows, columns) and which columns hold something to (match_width, ranges, columns / 4), zero elsewhere."""
        blocks = seen.reshape(-1, PER_BIN).any(1)
        if bool(blocks.all()):
            return self._through_match(strip, True)
        polar = torch.zeros(self.config.match_width, RANGES, polar_columns(self.match.config), device=strip.device)
        if not bool(blocks.any()):
            return polar
        first, count = _run(blocks.tolist())
        part = self._through_match(strip.roll(-PER_BIN * first, 2)[:, :, : PER_BIN * count], False)
        polar[:, :, : part.shape[2]] = part
        return polar.roll(PER_HEADING * first, 2)

    def _through_match(self, strip: Tensor, around: bool) -> Tensor:
        """(4, rows, columns) of a picture to (match_width, ranges, columns), by an encoder that may take finer ones."""
        fine = strip[None].to(self.dtype)
        if self.config.strip_detail > 1:
            fine = functional.interpolate(fine, scale_factor=self.config.strip_detail)
        polar: Tensor = self.match.polar(fine, around)[0]
        return polar.float()

    def look(self, photo: Glimpse, places: Tensor) -> list[Looks]:
        """Lays places (N, match_width, C, C) under a photo, each at the pose that fits it best."""
        cells, side = places.shape[-1], 2 * self.match.radius + 1
        found = correlate_spectra(photo.spectra, torch.fft.rfft2(places)[None], side)[0] * self.match.scale()
        headings, count, inside = found.shape[0], found.shape[1], found.shape[-1]
        flat = found.permute(1, 0, 2, 3).flatten(1)
        level = torch.tensor(float(flat.shape[1])).log()
        whole, (peak, best) = flat.logsumexp(1) - level, flat.max(1)
        turn, row, col = best // inside**2, best // inside % inside, best % inside
        start = turn * (2 * torch.pi / headings)
        middle = self.match.radius
        ground = self._ground(places, start, row + middle, col + middle)
        cell, half = self.match.config.match_cell_m, (cells - 1) / 2
        east, north = (col + middle - half) * cell / 30.0, (half - row - middle) * cell / 30.0
        summary = torch.stack([whole / 8.0, (peak - level) / 8.0, east, north, start.sin(), start.cos()], 1)
        return [Looks(ground[i], summary[i]) for i in range(count)]

    def _ground(self, places: Tensor, start: Tensor, row: Tensor, col: Tensor) -> Tensor:
        """(N, match_width, ranges, columns): what lies around cells, columns clockwise from an azimuth in radians."""
        columns, cells = polar_columns(self.match.config), places.shape[-1]
        steps = torch.arange(columns, device=places.device) + 0.5
        azimuth = start[:, None, None] + steps * (2 * torch.pi / columns)
        config = self.match.config
        distance = (torch.arange(RANGES, device=places.device) + 0.5) * config.template_m / RANGES / config.match_cell_m
        x = col[:, None, None] + distance[:, None] * azimuth.sin()
        y = row[:, None, None] - distance[:, None] * azimuth.cos()
        grid = torch.stack([(x + 0.5) / cells * 2 - 1, (y + 0.5) / cells * 2 - 1], -1)
        return functional.grid_sample(places, grid, align_corners=False)


def tower_of(model: Model) -> JudgeVisionModel:
    """A vision tower with the encoders of a model's geometric match.

    Raises:
        TiercelError: The model has none, or one of other sizes.
    """
    if model.match is None:
        raise TiercelError(f"model {model.name} has no geometric match to look with: use one with the head 'match'.")
    sizes = model.config
    config = JudgeVisionConfig(
        width=sizes.width,
        column_width=sizes.column_width,
        match_width=sizes.match_width,
        template_m=sizes.template_m,
        photo_encoder=sizes.photo_encoder,
        strip_detail=sizes.columns_per_heading // PER_BIN,
    )
    tower = JudgeVisionModel(config)
    tower.match.load_state_dict(model.match.state_dict())
    return tower


def _run(blocks: list[bool]) -> tuple[int, int]:
    """First and number of the blocks from the first to the last that is set, around the circle, over the widest gap."""
    total = len(blocks)
    firsts = [i for i in range(total) if blocks[i] and not blocks[i - 1]]
    gaps = {first: next(step for step in range(1, total + 1) if blocks[first - step]) - 1 for first in firsts}
    first = max(firsts, key=lambda one: gaps[one])
    return first, total - gaps[first]


class JudgeConnector(nn.Module):
    """From what a photo says and what lies under it to tokens for the language model.

    Args:
        config: The whole model's sizes.
    """

    def __init__(self, config: JudgeConfig) -> None:
        """Makes the layers."""
        super().__init__()
        vision, text = config.vision_config, config.text_config
        assert isinstance(vision, PreTrainedConfig) and isinstance(text, PreTrainedConfig)
        inputs, width = int(vision.hidden_size), int(text.hidden_size)
        self.photo_norm, self.photo = nn.LayerNorm(inputs), nn.Linear(inputs, width)
        self.product, self.place = nn.Linear(inputs, width), nn.Linear(inputs, width, bias=False)
        self.summary = nn.Sequential(nn.Linear(SUMMARY, width), nn.GELU(), nn.Linear(width, width))
        self.photo_whole = nn.Parameter(torch.zeros(width))
        self.sectors = nn.Parameter(torch.zeros(SECTORS, width))
        self.kinds = nn.Parameter(torch.zeros(2, width))

    def photos(self, polar: Tensor) -> Tensor:
        """(N, match_width, ranges, columns) to (N, TOKENS, width)."""
        sectors = self.photo(self.photo_norm(_by_sector(polar))) + self.sectors + self.kinds[0]
        whole = self.photo_whole.expand(len(polar), 1, -1)
        return torch.cat([sectors, whole.to(sectors.dtype)], 1)

    def places(self, polar: Tensor, ground: Tensor, summary: Tensor) -> Tensor:
        """Photos and what lies under them, and (N, SUMMARY) about the pose, to (N, TOKENS, width)."""
        # Ground features are unit vectors; photos say something only where they looked.
        product, looked = polar * ground * 16.0, (polar != 0).any(1, keepdim=True)
        sectors = self.product(_by_sector(product)) + self.place(_by_sector(ground * looked))
        whole = self.summary(summary.to(sectors.dtype))[:, None]
        return torch.cat([sectors + self.sectors + self.kinds[1], whole], 1)


def _by_sector(polar: Tensor) -> Tensor:
    """(N, match_width, ranges, columns) to (N, SECTORS, match_width * ranges * columns / SECTORS)."""
    count, width, ranges, columns = polar.shape
    split = polar.reshape(count, width, ranges, SECTORS, columns // SECTORS)
    return split.permute(0, 3, 1, 2, 4).flatten(2)


class JudgeConfig(LlavaConfig):
    """Sizes of the model; LLaVA's settings with our vision tower.

    Attributes:
        shares_prefix: A place's tokens depend on the photo, so what a question's beginning leaves behind is not enough
            to go on with.
    """

    model_type = "tiercel_judge"
    shares_prefix: bool = False


class _Memory(OrderedDict[Any, Any]):
    """What was computed last, by key."""

    def keep(self, key: Any, value: Any) -> None:  # noqa: ANN401
        """Adds an entry, or makes it the newest, and drops the oldest beyond `REMEMBERED`."""
        self[key] = value
        self.move_to_end(key)
        while len(self) > REMEMBERED:
            self.popitem(last=False)


class JudgeModel(LlavaModel):
    """LLaVA with pictures that are looked at together.

    Args:
        config: Sizes.
    """

    config_class = JudgeConfig

    def __init__(self, config: JudgeConfig) -> None:
        """Makes the layers."""
        super().__init__(config)
        self.multi_modal_projector: Any = JudgeConnector(config)
        self._seen, self._compared = _Memory(), _Memory()
        self.post_init()

    def get_image_features(self, pixel_values: Tensor, **kwargs: Any) -> BaseModelOutputWithPooling:  # noqa: ANN401
        """Pictures (N, 3, S, S) in -1..1 in the order of the questions to `pooler_output`, N times (TOKENS, width).

        A picture whose border is black is a photo; every other one is compared with the last photo before it.
        """
        connector, tower = self.multi_modal_projector, self.vision_tower
        pixels = pixel_values.float()
        keys = _keys(pixels)
        black = torch.stack([(pixels[:, :, edge] == -1).flatten(1).all(1) for edge in (0, -1)]).all(0).tolist()
        seen = self._looked_at(pixels, keys, black)
        order: list[tuple[Tensor, Looks | None]] = []
        last: Glimpse | None = None
        last_key: Any = None
        for key, photo in zip(keys, black, strict=True):
            if photo:
                last, last_key = seen[key], key
                order.append((last.polar, None))
            elif last is None:
                raise ValueError("a place is shown before any photo: show the photo first, as a strip on black")
            else:
                look = self._compared.get((last_key, key)) or tower.look(last, seen[key][None])[0]
                self._compared.keep((last_key, key), look)
                order.append((last.polar, look))
        dtype = connector.photo.weight.dtype
        features = [
            connector.photos(polar[None].to(dtype))[0]
            if looks is None
            else connector.places(polar[None].to(dtype), looks.ground[None].to(dtype), looks.summary[None])[0]
            for polar, looks in order
        ]
        return BaseModelOutputWithPooling(pooler_output=features)  # type: ignore[arg-type]  # as LLaVA's own is

    def _looked_at(self, pixels: Tensor, keys: list[Any], black: list[bool]) -> dict[Any, Any]:
        """What the tower sees in pictures, by key; it looks once at each that it does not remember."""
        seen = {key: self._seen[key] for key in keys if key in self._seen}
        new = {key: index for index, key in enumerate(keys) if key not in seen}
        places = [index for index in new.values() if not black[index]]
        for some in (places[first : first + 16] for first in range(0, len(places), 16)):
            features = self.vision_tower.places(pixels[some])
            seen.update({keys[index]: one for index, one in zip(some, features, strict=True)})
        seen.update({keys[index]: self.vision_tower.glimpse(pixels[index]) for index in new.values() if black[index]})
        for key, value in seen.items():
            self._seen.keep(key, value)
        return seen


def _keys(pixels: Tensor) -> list[bytes]:
    """What tells pictures apart."""
    import hashlib

    arrays = (pixels * 127.5 + 127.5).round().to(torch.uint8).cpu().numpy()
    return [hashlib.blake2b(one.tobytes(), digest_size=16).digest() for one in arrays]


class JudgeForConditionalGeneration(LlavaForConditionalGeneration):
    """The model with its language head.

    Args:
        config: Sizes.
    """

    config_class = JudgeConfig
    _keep_in_fp32_modules_strict = ["vision_tower"]  # noqa: RUF012  (transformers' own; transforms need fp32)

    def __init__(self, config: JudgeConfig) -> None:
        """Makes the layers."""
        super().__init__(config)
        self.model = JudgeModel(config)
        self.post_init()


def register() -> None:
    """Makes the automatic classes of transformers know the model; may be called any number of times."""
    AutoConfig.register(JudgeVisionConfig.model_type, JudgeVisionConfig, exist_ok=True)
    AutoConfig.register(JudgeConfig.model_type, JudgeConfig, exist_ok=True)
    AutoModel.register(JudgeVisionConfig, JudgeVisionModel, exist_ok=True)
    AutoModelForImageTextToText.register(JudgeConfig, JudgeForConditionalGeneration, exist_ok=True)
    PROCESSOR_MAPPING.register(JudgeConfig, LlavaProcessor, exist_ok=True)  # type: ignore[arg-type]
