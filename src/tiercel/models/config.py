"""What a model is, in numbers: the part of a checkpoint that is not weights."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from tiercel.errors import TiercelError

FORMAT = 1
"""Version of ``config.json``; raised when an older reader would misread a newer file."""
GRID_SLACK = 1e-6
"""Parts of a pixel that a grid may be off."""
GRID_PIXELS = 32
"""The encoders need blocks and tiles of a multiple of so many pixels."""
POOLINGS = ("azimuth", "mean")


@dataclass(frozen=True)
class RegionFit:
    """What makes the region around an answer hold the truth as often as it says (see `tiercel.search.disc`).

    Attributes:
        scale_m: typical error of a right match in metres; 0 for answers that are centres of leaves.
        shares: raw share of the probability for each share that may be asked for, growing.
    """

    scale_m: float = 0.0
    shares: tuple[float, ...] = ()


@dataclass(frozen=True)
class Calibration:
    """Numbers fitted on validation cities, never on test cities.

    Attributes:
        retrieval_temperature: divides retrieval's leaf scores before the softmax over the map.
        zoom_weight: weight of the zoom head's scores when added to retrieval's, over all leaves.
        first_weight: weight of the first stage's log-probability of a pose, beside the geometric match.
        match_weight: weight of the geometric match's score of a pose.
        effort: how much of the map the geometric match judges (see `Matcher.sweep`). 1,024 are the likeliest fifth of
            the poses in a city of 2 km where the heading is unknown, and 25 square kilometres where it is known.
        candidates: in how many of the likeliest leaves it then looks for the exact pose.
        sibling_temperatures: divide the zoom head's scores before a softmax among siblings, one for each level, from
            the leaves upwards; levels beyond them count as 1.
        global_temperature: divides the zoom head's scores, summed along paths, before the softmax over all leaves.
        regions: for ``<method>/<kind of query>`` (see `tiercel.locate.Analysis.kind`) what its regions need.
    """

    retrieval_temperature: float = 1.0
    zoom_weight: float = 0.5
    first_weight: float = 1.0
    match_weight: float = 1.0
    effort: int = 1024
    candidates: int = 16
    sibling_temperatures: tuple[float, ...] = ()
    global_temperature: float = 1.0
    regions: dict[str, RegionFit] = field(default_factory=dict)


@dataclass(frozen=True)
class DecoderConfig:
    """Sizes of the published zooming network (see `tiercel.models.justzoomin`); the defaults are the published ones.

    Attributes:
        encoder: ``compact``, or the Hugging Face id (or a local folder) of a vision transformer with a class token.
        pixels: Side in pixels of a square, and of either half of a photo.
        depth: Picks, one a level of the tree.
        grid: Children along a side of a square; the head has ``grid**2`` ways.
        width: Channels of a token: those of the encoder's class token.
        blocks: Decoder blocks.
        heads: Attention heads.
        hidden: Hidden channels of the SwiGLU.
        dropout: Share of channels dropped while training.
        channels: Channels of the ``compact`` encoder, at strides 4, 8 and 16.
    """

    encoder: str = "facebook/dinov2-base"
    pixels: int = 384
    depth: int = 4
    grid: int = 4
    width: int = 768
    blocks: int = 6
    heads: int = 8
    hidden: int = 512
    dropout: float = 0.1
    channels: tuple[int, int, int] = (48, 96, 128)


@dataclass(frozen=True)
class EmbeddingConfig:
    """Sizes of the dual encoder (see `tiercel.models.embedding`).

    Attributes:
        width: Numbers in an embedding.
        tile_pixels: Side of a tile in pixels.
        tile_m: Ground side of a tile at scale 1 in metres: a cell with what lies around it.
        shared: One backbone for both views, each photo seen as a whole picture.
        pooling: ``azimuth`` where it matters in which direction and where in a tile something lies: one layer over all
            azimuth bins, and over all cells of a tile. ``mean`` for the average over a view, as Sample4Geo has it.
    """

    width: int = 256
    tile_pixels: int = 128
    tile_m: float = 125.0
    shared: bool = False
    pooling: str = "azimuth"

    def __post_init__(self) -> None:
        """Refuses what no network can be made of.

        Raises:
            TiercelError: a size is out of range, or the settings do not go together.
        """
        if self.pooling not in POOLINGS:
            raise TiercelError(f"embedding has no pooling '{self.pooling}': use one of {', '.join(POOLINGS)}.")
        if self.shared and self.pooling != "mean":
            raise TiercelError("an embedding with one shared backbone averages over its views: set pooling: mean.")
        if self.tile_pixels < GRID_PIXELS or self.tile_pixels % GRID_PIXELS:
            raise TiercelError(
                f"embedding tiles of {self.tile_pixels} pixels cannot be: set a multiple of {GRID_PIXELS}."
            )
        if self.width < 1 or not self.tile_m > 0:
            raise TiercelError("an embedding needs a width and a tile_m above 0: mend the settings.")


@dataclass(frozen=True)
class ModelConfig:
    """Sizes of a model. Lengths are metres, angles degrees.

    Attributes:
        name: Its name, for messages and model cards.
        photo_encoder: Registry name or Hugging Face id of the photo encoder.
        overhead_encoder: Registry name or Hugging Face id of the overhead encoder.
        heads: Which heads it has: any of ``retrieval``, ``zoom``, ``match``, ``embedding``; or ``decoder`` alone.
        leaf_m: Side of the smallest map cell.
        branching: Children along one side of a cell.
        zoom_levels: Number of picks that zooming is trained for, counted from the leaves.
        zoom_lowest: Level of the last pick that the zoom head makes by itself: 1 where its children are leaves. With 2,
            leaves are told apart by retrieval's keys, as part of the same path.
        zoom_keys: ``child`` where a child cell's key is made of what its own ground looks like, ``action`` where it is
            made of the whole square's pooled feature, as by the class head over actions that was published.
        zoom_reject: Whether the scores among the children of a square are normalised beside "not in this square".
        pixels_per_leaf: Overhead pixels along a leaf, as given to `Model.encode_block`.
        block_leaves: Leaves along the side of a block that is encoded at once.
        margin_leaves: Leaves of context on each side of a block.
        positions_per_leaf: Positions along the side of a leaf at which retrieval compares.
        match_cells_per_leaf: Cells along the side of a leaf in the geometric match.
        headings: Number of azimuth bins in a full turn.
        ranges_m: Distances at which the map is sampled around each position for retrieval.
        strip_height: Rows of a photo strip (see `tiercel.models.strips`).
        columns_per_heading: Strip columns in one azimuth bin.
        vertical_tangent: Tangent of the highest (and minus that of the lowest) elevation in a strip.
        width: Channels of the convolutional encoders, at strides 4, 8 and 16.
        column_width: Channels of a photo's azimuth column.
        key_width: Channels of a retrieval key, per azimuth bin.
        shared_rays: Whether the rays of all azimuths are read by one layer, instead of each by its own.
        zoom_width: Channels of a zoom key.
        match_width: Channels of the geometric match.
        zoom_pixels: Side in pixels of a square as the zoom head sees it.
        zoom_margin: Context around it on each side, as a share of the square's side.
        template_m: Radius of ground around the camera that the geometric match uses.
        calibration: See `Calibration`.
        decoder: Sizes of the head ``decoder``, the published ones if left out; None where the model has no such head.
        embedding: Sizes of the head ``embedding``, likewise.
    """

    name: str = "compact"
    photo_encoder: str = "compact"
    overhead_encoder: str = "compact"
    heads: tuple[str, ...] = ("retrieval", "zoom", "match")
    leaf_m: float = 31.25
    branching: int = 4
    zoom_levels: int = 3
    zoom_lowest: int = 1
    zoom_keys: str = "child"
    zoom_reject: bool = False
    pixels_per_leaf: int = 64
    block_leaves: int = 16
    margin_leaves: int = 4
    positions_per_leaf: int = 4
    match_cells_per_leaf: int = 16
    headings: int = 32
    ranges_m: tuple[float, ...] = (0.0, 4.0, 9.0, 15.0, 24.0, 36.0, 51.0, 73.0, 103.0)
    strip_height: int = 64
    columns_per_heading: int = 8
    vertical_tangent: float = 0.786
    width: tuple[int, int, int] = (48, 96, 128)
    column_width: int = 128
    key_width: int = 16
    shared_rays: bool = False
    zoom_width: int = 64
    match_width: int = 16
    zoom_pixels: int = 160
    zoom_margin: float = 0.125
    template_m: float = 48.0
    calibration: Calibration = field(default_factory=Calibration)
    decoder: DecoderConfig | None = None
    embedding: EmbeddingConfig | None = None

    def __post_init__(self) -> None:
        """Fills in the sizes of heads that have their own.

        Raises:
            TiercelError: the head ``decoder`` is not alone, or both views cannot share the backbone they are to share.
        """
        if "decoder" in self.heads and len(self.heads) > 1:
            raise TiercelError(f"model {self.name} has heads {list(self.heads)}: 'decoder' stands alone.")
        for head, sizes in (("decoder", DecoderConfig), ("embedding", EmbeddingConfig)):
            if head not in self.heads:
                object.__setattr__(self, head, None)
            elif getattr(self, head) is None:
                object.__setattr__(self, head, sizes())
        if self.embedding is not None and self.embedding.shared:
            encoders = {self.photo_encoder, self.overhead_encoder}
            if len(encoders) > 1 or "compact" in encoders:
                raise TiercelError(
                    f"model {self.name} cannot share one encoder between {self.photo_encoder} and "
                    f"{self.overhead_encoder}: name one and the same backbone for both."
                )

    @classmethod
    def of_decoder(cls, decoder: DecoderConfig, name: str = "justzoomin", leaf_m: float = 39.0625) -> ModelConfig:
        """The settings of a model that is the published zooming network and nothing else.

        Args:
            decoder: Its sizes.
            name: What to call it.
            leaf_m: Side in metres of the cell that its last pick chooses; published: 10 km / 4**4.
        """
        # Leaves are looked at only to see whether the map covers them.
        sizes = {"pixels_per_leaf": 8, "margin_leaves": 0, "branching": decoder.grid}
        return cls(name=name, heads=("decoder",), leaf_m=leaf_m, decoder=decoder, **sizes)  # type: ignore[arg-type]

    @property
    def strip_columns(self) -> int:
        """Columns of a strip that covers the full turn."""
        return self.headings * self.columns_per_heading

    @property
    def bin_deg(self) -> float:
        """Width of an azimuth bin in degrees."""
        return 360.0 / self.headings

    @property
    def resolution(self) -> float:
        """Metres per overhead pixel, as given to `Model.encode_block`."""
        return self.leaf_m / self.pixels_per_leaf

    @property
    def match_cell_m(self) -> float:
        """Side of a cell of the geometric match in metres."""
        return self.leaf_m / self.match_cells_per_leaf

    @property
    def match_cells_per_position(self) -> int:
        """Cells of the geometric match from one of retrieval's positions to the next."""
        return self.match_cells_per_leaf // self.positions_per_leaf

    def on_grid(self, leaf_m: float) -> ModelConfig:
        """The same network on a tree with leaves of another size.

        Pixels, the cells of the geometric match and, as far as possible, the positions that retrieval compares stay as
        far apart on the ground as they were trained to be.

        Args:
            leaf_m: Side of a leaf in metres.

        Raises:
            TiercelError: the side is no multiple of the pixels and of the cells of the match.
        """
        if leaf_m == self.leaf_m:
            return self
        if set(self.heads) <= {"decoder", "embedding"}:  # which resample whatever they look at to their own pixels
            return replace(self, leaf_m=leaf_m)
        per_leaf, cells = leaf_m / self.resolution, leaf_m / self.match_cell_m
        pixels = (self.block_leaves + 2 * self.margin_leaves) * round(per_leaf)
        if max(abs(per_leaf - round(per_leaf)), abs(cells - round(cells))) > GRID_SLACK or pixels % GRID_PIXELS:
            step = self.match_cell_m
            raise TiercelError(
                f"model {self.name} cannot be laid on cells of {leaf_m:g} m: give a multiple of {step:g} m, "
                f"such as {max(1, round(leaf_m / step / 4)) * 4 * step:g}."
            )
        positions = max(1, round(leaf_m / self.leaf_m * self.positions_per_leaf))
        return replace(
            self,
            leaf_m=leaf_m,
            pixels_per_leaf=round(per_leaf),
            match_cells_per_leaf=round(cells),
            positions_per_leaf=positions,
        )

    def save(self, path: Path) -> None:
        """Write as JSON."""
        path.write_text(json.dumps({"format": FORMAT, **dataclasses.asdict(self)}, indent=2) + "\n")

    @classmethod
    def load(cls, path: Path) -> ModelConfig:
        """Read from JSON.

        Raises:
            TiercelError: the file is missing, is no JSON, or is of another format.
        """
        try:
            content = json.loads(path.read_text())
        except FileNotFoundError:
            raise TiercelError(f"{path} is missing: a model folder holds config.json and model.safetensors.") from None
        except (json.JSONDecodeError, UnicodeDecodeError):
            raise TiercelError(f"{path} is not valid JSON: fetch or train the model again.") from None
        return cls.from_dict(content, str(path))

    @classmethod
    def from_dict(cls, content: Any, where: str = "config") -> ModelConfig:  # noqa: ANN401  (whatever a file held)
        """From plain values, as in JSON or YAML.

        Raises:
            TiercelError: these are no settings, a key is unknown, or the format is another one.
        """
        if not isinstance(content, dict):
            raise TiercelError(f"{where} holds no settings: fetch or train the model again.")
        content = dict(content)
        if content.pop("format", FORMAT) != FORMAT:
            raise TiercelError(f"{where} is of another format than this version reads ({FORMAT}): upgrade tiercel.")
        _check_known(cls, content, where)
        if isinstance(content.get("calibration"), dict):
            content["calibration"] = _calibration(content["calibration"], f"{where}, calibration,")
        kinds: tuple[tuple[str, type[Any]], ...] = (("decoder", DecoderConfig), ("embedding", EmbeddingConfig))
        for head, kind in kinds:
            if isinstance(content.get(head), dict):
                _check_known(kind, content[head], f"{where}, {head},")
                if head not in content.get("heads", ()):
                    raise TiercelError(f"{where} has sizes of the head '{head}', but not that head: add it to heads.")
                content[head] = kind(**{k: tuple(v) if isinstance(v, list) else v for k, v in content[head].items()})
        for key in ("heads", "ranges_m", "width"):
            if key in content:
                content[key] = tuple(content[key])
        return cls(**content)


def _calibration(content: dict[str, Any], where: str) -> Calibration:
    _check_known(Calibration, content, where)
    content = dict(content)
    regions = content.pop("regions", {})
    if not isinstance(regions, dict) or not all(isinstance(fit, dict) for fit in regions.values()):
        raise TiercelError(f"{where} regions: these are no settings: calibrate the model again.")
    for name, fit in regions.items():
        _check_known(RegionFit, fit, f"{where} regions, {name},")
    fits = {name: RegionFit(**{**fit, "shares": tuple(fit.get("shares", ()))}) for name, fit in regions.items()}
    temperatures = tuple(content.pop("sibling_temperatures", ()))
    return Calibration(**content, regions=fits, sibling_temperatures=temperatures)


def _check_known(kind: type[Any], content: dict[str, Any], where: str) -> None:
    unknown = sorted(set(content) - {item.name for item in dataclasses.fields(kind)})
    if unknown:
        raise TiercelError(f"{where} has unknown settings ({', '.join(unknown)}): remove them or upgrade tiercel.")
