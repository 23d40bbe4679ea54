"""A model with all its heads, its checkpoint folder, and how photos and map blocks go through it."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from functools import cached_property
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from tiercel.errors import TiercelError
from tiercel.models.blocks import image_to_tensor
from tiercel.models.config import ModelConfig
from tiercel.models.embedding import EmbeddingHead
from tiercel.models.encoders import photo_encoder
from tiercel.models.features import BlockFeatures, PhotoFeatures
from tiercel.models.justzoomin import JustZoomInNet, images_to_tensor, photo_halves
from tiercel.models.match import MatchHead
from tiercel.models.packing import packed
from tiercel.models.retrieval import RetrievalHead, turned
from tiercel.models.strips import Strip, photo_strip
from tiercel.models.zoom import ZoomHead

if TYPE_CHECKING:
    from tiercel.photos import Photo

POSITIONS_AT_ONCE = 4096
"""Keys are computed for this many positions at a time, to bound memory."""
TILES_AT_ONCE = 128


class Model(nn.Module):
    """Encoders and heads that share a photo encoder (the geometric match has encoders of its own).

    Args:
        config: Sizes, and which heads there are.
    """

    def __init__(self, config: ModelConfig) -> None:
        """Makes the encoders and the heads."""
        super().__init__()
        self.config = config
        heads = set(config.heads)
        reads_columns = config.embedding is not None and not config.embedding.shared
        self.photo = photo_encoder(config) if heads & {"retrieval", "zoom"} or reads_columns else None
        self.retrieval = RetrievalHead(config) if "retrieval" in heads else None
        self.zoom = ZoomHead(config) if "zoom" in heads else None
        self.match = MatchHead(config) if "match" in heads else None
        self.embedding = EmbeddingHead(config) if config.embedding is not None else None
        self.decoder = JustZoomInNet(config.decoder) if config.decoder is not None else None
        # In a list, so that it is no part of this module.
        self._fast_encoder: tuple[object, list[nn.Module]] | None = None

    @property
    def name(self) -> str:
        """The model's name."""
        return self.config.name

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next(self.parameters()).device

    @cached_property
    def fingerprint(self) -> str:
        """Hash of the sizes and weights, by which an atlas knows its model. Calibration does not change it."""
        sizes = {name: value for name, value in vars(self.config).items() if name != "calibration"}
        # Heads that came later left no mark on the models before them.
        sizes = {name: v for name, v in sizes.items() if name not in ("decoder", "embedding") or v is not None}
        digest = hashlib.sha256(repr(sizes).encode())
        for name, value in sorted(self.state_dict().items()):
            digest.update(name.encode())
            digest.update(value.detach().to("cpu", torch.float16).numpy().tobytes())
        return digest.hexdigest()[:16]

    def on_grid(self, leaf_m: float) -> Model:
        """The same network for a tree with leaves of another size (see `ModelConfig.on_grid`); this one if it is that.

        Args:
            leaf_m: Side of a leaf in metres.

        Raises:
            TiercelError: the network cannot be laid on such leaves.
        """
        config = self.config.on_grid(leaf_m)
        if config is self.config:
            return self
        model = Model(config)
        model.load_state_dict(self.state_dict())
        return model.eval().to(self.device)

    def with_heads(self, heads: Sequence[str]) -> Model:
        """The same network with some of its heads only, for atlases that are to hold less.

        Args:
            heads: Which heads to keep.

        Raises:
            TiercelError: the model has no such head.
        """
        missing = set(heads) - set(self.config.heads)
        if missing:
            raise TiercelError(
                f"model {self.name} has no head {', '.join(sorted(missing))}: it has {', '.join(self.config.heads)}."
            )
        model = Model(replace(self.config, heads=tuple(heads)))
        model.load_state_dict(self.state_dict(), strict=False)
        return model.eval().to(self.device)

    def strip(self, photo: Photo, *, use_heading: bool = True) -> Strip:
        """The photo as the model's strip; its heading is used when it has one."""
        heading = photo.heading.value if use_heading and photo.heading is not None else None
        return photo_strip(
            photo.pixels,
            panorama=photo.panorama,
            field_of_view=photo.field_of_view.value,
            heading=heading,
            config=self.config,
            seen_rows=photo.seen_rows,
        )

    def encode_photos(self, photos: Sequence[Photo]) -> list[PhotoFeatures]:
        """Photos to features, with their headings where they have them."""
        return self.encode_strips([self.strip(photo) for photo in photos])

    @torch.inference_mode()
    def encode_strips(self, strips: Sequence[Strip]) -> list[PhotoFeatures]:
        """Strips to features. Strips of equal width go through the network together."""
        features: dict[int, PhotoFeatures] = {}
        groups: dict[tuple[int, bool], list[int]] = {}
        for index, strip in enumerate(strips):
            groups.setdefault((strip.pixels.shape[1], strip.around), []).append(index)
        for (_, around), members in groups.items():
            batch = strips_to_tensor(np.stack([strips[i].pixels for i in members])).to(self.device)
            with self._inference():
                columns = self.photo(batch, around).float() if self.photo is not None else None
                polar = self.match.polar(batch, around).cpu().numpy() if self.match is not None else None
                vectors = self.embedding.photos(batch, columns).cpu().numpy() if self.embedding is not None else None
            for row, index in enumerate(members):
                one = columns[row : row + 1] if columns is not None else None
                features[index] = self._photo_features(
                    strips[index],
                    one,
                    None if polar is None else polar[row],
                    None if vectors is None else vectors[row],
                )
        return [features[index] for index in range(len(strips))]

    def _photo_features(
        self,
        strip: Strip,
        columns: Tensor | None,
        polar: NDArray[np.float32] | None,
        vectors: NDArray[np.float32] | None,
    ) -> PhotoFeatures:
        config = self.config
        bins = np.arange(config.headings)
        if strip.heading is not None:
            bins = np.array([round((strip.heading + strip.left_deg) / config.bin_deg) % config.headings])
        weights, zoom, reject = torch.zeros(len(bins), 0), [], []
        if columns is not None and self.retrieval is not None:
            weights = turned(self.retrieval.queries(columns), config.headings)[0].flatten(1)[bins]
        if columns is not None and self.zoom is not None:
            levels = range(config.zoom_lowest, config.zoom_levels + 1)
            zoom = [self.zoom.queries(columns, level)[0][bins].cpu().numpy() for level in levels]
            reject = self.zoom.reject.tolist() if config.zoom_reject else []
        azimuth = bins * config.bin_deg
        return PhotoFeatures(
            headings_deg=((azimuth - strip.left_deg) % 360.0).astype(np.float32),
            retrieval=weights.cpu().numpy(),
            zoom=tuple(zoom),
            polar=np.zeros((0, 0, 0), np.float32) if polar is None else polar,
            polar_start_deg=azimuth.astype(np.float32),
            heading_known=strip.heading is not None,
            reject=tuple(reject),
            embedding=np.zeros((0, 0), np.float32) if vectors is None else vectors[bins],
        )

    @torch.inference_mode()
    def encode_block(self, pixels: NDArray[np.uint8], covered: NDArray[np.bool_]) -> BlockFeatures:
        """Features of the leaves of a block.

        Args:
            pixels: (P, P, 3) uint8, P = (block_leaves + 2 * margin_leaves) * pixels_per_leaf, row 0 in the north.
            covered: (P, P) bool, where the map has pixels.
        """
        config = self.config
        image = overhead_to_tensor(pixels[None], covered[None]).to(self.device)
        leaves, margin = config.block_leaves, config.margin_leaves
        cells = config.match_cells_per_leaf
        keys = np.zeros((leaves, leaves, config.positions_per_leaf**2, config.headings, config.key_width), np.float16)
        bias = np.zeros(keys.shape[:3], np.float16)
        match = np.zeros((leaves, leaves, cells, cells, config.match_width), np.float16)
        with self._inference():
            if self.retrieval is not None:
                self._encode_keys(functional.avg_pool2d(image, 2), keys, bias)
            if self.match is not None:
                inner = slice(margin * cells, (margin + leaves) * cells)
                grid = self.match.features(image)[0, :, inner, inner].permute(1, 2, 0).cpu().numpy()
                grid = grid.reshape(leaves, cells, leaves, cells, config.match_width)
                match[:] = grid.transpose(0, 2, 1, 3, 4)
        return BlockFeatures(keys, bias, match)

    def _encode_keys(self, image: Tensor, keys: NDArray[np.float16], bias: NDArray[np.float16]) -> None:
        assert self.retrieval is not None
        config = self.config
        per_leaf, leaves = config.positions_per_leaf, config.block_leaves
        step = config.leaf_m / per_leaf
        along = (torch.arange(leaves * per_leaf, device=image.device) + 0.5) * step
        along = along + config.margin_leaves * config.leaf_m
        south, east = torch.meshgrid(along, along, indexing="ij")
        # Ordered by leaf, then by position in the leaf, so that the result only needs a reshape.
        positions = torch.stack([east, south], -1).reshape(leaves, per_leaf, leaves, per_leaf, 2)
        positions = positions.permute(0, 2, 1, 3, 4).reshape(1, -1, 2)
        fine, context = self.retrieval.features(image)
        flat_keys, flat_bias = keys.reshape(-1, *keys.shape[3:]), bias.reshape(-1)
        for first in range(0, positions.shape[1], POSITIONS_AT_ONCE):
            some = slice(first, first + POSITIONS_AT_ONCE)
            key, offset = self.retrieval.keys(fine, context, positions[:, some])
            flat_keys[some] = key[0].cpu().numpy()
            flat_bias[some] = offset[0].float().cpu().numpy()  # numpy knows no bfloat16

    @torch.inference_mode()
    def encode_children(
        self,
        pixels: NDArray[np.uint8],
        covered: NDArray[np.bool_],
        parent_keys: NDArray[np.float16] | None,
        level_from_leaf: int,
    ) -> NDArray[np.float16]:
        """Zoom keys of the children of squares.

        Args:
            pixels: (n, zoom_pixels, zoom_pixels, 3) uint8, each square with its margin, row 0 in the north.
            covered: (n, zoom_pixels, zoom_pixels) bool.
            parent_keys: (n, zoom_width) float16, keys of the squares; None for the topmost level.
            level_from_leaf: 1 where the children are leaves, and so on upwards.

        Returns:
            (n, g * g, zoom_width) float16; zeros if the model has no zoom head.
        """
        config = self.config
        if self.zoom is None:
            return np.zeros((len(pixels), config.branching**2, config.zoom_width), np.float16)
        image = overhead_to_tensor(pixels, covered).to(self.device)
        parents = torch.zeros(len(pixels), config.zoom_width)
        if parent_keys is not None:
            parents = torch.from_numpy(np.nan_to_num(parent_keys.astype(np.float32)))
        with self._inference():
            keys = self.zoom.keys(image, parents.to(self.device), level_from_leaf)
        return keys.to("cpu", torch.float16).numpy()

    @torch.inference_mode()
    def encode_tiles(self, pixels: NDArray[np.uint8], covered: NDArray[np.bool_]) -> NDArray[np.float32]:
        """Embeddings of tiles: (n, width) float32 of unit length.

        Args:
            pixels: (n, P, P, 3) uint8, P the embedding's `tile_pixels`, row 0 in the north. At scale 1 a tile shows
                `tile_m` metres of ground, at other scales that many times as much.
            covered: (n, P, P) bool, where the map has pixels.
        """
        assert self.embedding is not None and self.config.embedding is not None
        out = np.zeros((len(pixels), self.config.embedding.width), np.float32)
        for first in range(0, len(pixels), TILES_AT_ONCE):
            some = slice(first, first + TILES_AT_ONCE)
            with self._inference():
                out[some] = self.embedding.tiles(overhead_to_tensor(pixels[some], covered[some]).to(self.device)).cpu()
        return out

    @torch.inference_mode()
    def encode_tokens(self, photos: Sequence[Photo]) -> NDArray[np.float32]:
        """Photos as the decoder sees them: (n, width) float32."""
        assert self.decoder is not None
        halves = np.stack([photo_halves(photo.pixels, self.decoder.config.pixels) for photo in photos])
        tokens = self._tokens(images_to_tensor(halves).flatten(0, 1))
        return np.asarray(tokens.reshape(len(halves), 2, -1).mean(1))

    @torch.inference_mode()
    def encode_squares(self, pixels: NDArray[np.uint8], covered: NDArray[np.bool_]) -> NDArray[np.float32]:
        """Squares as the decoder sees them.

        Args:
            pixels: (n, P, P, 3) uint8, P the decoder's pixels, row 0 in the north.
            covered: (n, P, P) bool, where the map has pixels; elsewhere is mid grey.

        Returns:
            (n, width) float32. In single precision on any device: a pick is a close call now and then.
        """
        return self._tokens(overhead_to_tensor(pixels, covered))

    def _tokens(self, images: Tensor) -> NDArray[np.float32]:
        assert self.decoder is not None
        encoder = self.decoder.encoder.eval()
        # A copy whose layout is made for this; not of weights that have changed since.
        version = (self.device, tuple(parameter._version for parameter in encoder.parameters()))
        if self._fast_encoder is None or self._fast_encoder[0] != version:
            self._fast_encoder = version, [packed(encoder)]
        return np.asarray(self._fast_encoder[1][0](images.to(self.device)).cpu().numpy())

    def _inference(self) -> AbstractContextManager[Any]:
        """Evaluation mode; bf16 on a GPU, where it is fast and safe for these networks."""
        self.eval()
        return torch.autocast("cuda", torch.bfloat16) if self.device.type == "cuda" else nullcontext()


def strips_to_tensor(strips: NDArray[np.uint8]) -> Tensor:
    """Strips (B, rows, columns, 4) uint8 to (B, 4, rows, columns) floats: colours -1..1, masked 0; mask 0 or 1."""
    tensor = torch.from_numpy(np.ascontiguousarray(strips))
    mask = (tensor[..., 3:] > 127).permute(0, 3, 1, 2).float()
    colour = image_to_tensor(tensor[..., :3]) * mask
    return torch.cat([colour, mask], 1).contiguous(memory_format=torch.channels_last)


def overhead_to_tensor(pixels: NDArray[np.uint8], covered: NDArray[np.bool_]) -> Tensor:
    """Overhead pictures (B, H, W, 3) uint8 to (B, 3, H, W) floats -1..1, 0 where not covered."""
    return image_to_tensor(torch.from_numpy(np.ascontiguousarray(pixels))) * torch.from_numpy(covered)[:, None]


def save_model(model: Model, folder: Path, card: str) -> None:
    """Write a checkpoint folder: ``config.json``, ``model.safetensors`` (fp16), its hash, the card ``README.md``."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "model.safetensors.sha256").unlink(missing_ok=True)
    save_weights(model, folder / "model.safetensors")
    (folder / "model.safetensors.sha256").write_text(file_hash(folder / "model.safetensors") + "\n")
    model.config.save(folder / "config.json")
    (folder / "README.md").write_text(card)


def save_weights(model: Model, path: Path) -> None:
    """Write weights alone, in fp16; the file appears when it is whole."""
    from safetensors.torch import save_file

    temporary = path.with_name(f"{path.name}.partial")
    save_file({name: half(value) for name, value in model.state_dict().items()}, temporary)
    temporary.replace(path)


def half(value: Tensor) -> Tensor:
    """fp16 for weights, as they are for counters."""
    value = value.detach().cpu().contiguous()
    return value.half() if value.is_floating_point() else value


def file_hash(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def bundled_folder() -> Path:
    """The folder of the weights that come with tiercel."""
    return Path(str(resources.files("tiercel"))) / "weights" / "compact"


def load_model(name: str | Path = "bundled", device: str | None = None) -> Model:
    """Load a model for inference.

    Args:
        name: ``bundled``, a checkpoint folder, a Hugging Face id ``owner/model`` of one, or a ``.pth`` file of the
            authors of Just Zoom In (with a config.json beside it where its sizes are not those published).
        device: Where to put it; a GPU if there is one.

    Raises:
        TiercelError: there is no such model, or its files are damaged.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    if str(name).endswith(".pth"):
        return _load_published(Path(name)).eval().to(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    folder = bundled_folder() if name == "bundled" else _find(str(name))
    config, weights = ModelConfig.load(folder / "config.json"), folder / "model.safetensors"
    if not weights.is_file():
        raise TiercelError(f"{weights} is missing: a model folder holds config.json and model.safetensors.")
    expected = folder / "model.safetensors.sha256"
    if expected.is_file() and expected.read_text().strip() != file_hash(weights):
        raise TiercelError(
            f"{weights} is damaged, its hash differs from {expected.name}: fetch or train the model again."
        )
    model = Model(config)
    try:
        # Loading copies the halves into the single precision of the parameters.
        model.load_state_dict(load_file(weights))
    except (SafetensorError, RuntimeError) as error:
        reason = str(error).splitlines()[0]
        raise TiercelError(
            f"{weights} does not fit its config.json ({reason}): fetch or train the model again."
        ) from None
    return model.eval().to(device or ("cuda" if torch.cuda.is_available() else "cpu"))


def _load_published(path: Path) -> Model:
    """A model of nothing but the published zooming network."""
    from tiercel.models.published import read_published

    beside = path.with_name("config.json")
    config = ModelConfig.load(beside) if beside.is_file() else None
    net = read_published(path, config.decoder if config is not None else None)
    if config is None or config.decoder is None:
        config = ModelConfig.of_decoder(net.config, name=path.stem)
    with torch.device("meta"):
        model = Model(config)
    model.decoder = net
    return model


def _find(name: str) -> Path:
    folder = Path(name)
    if folder.is_dir():
        return folder
    if name.count("/") == 1 and not name.startswith((".", "/")):
        from huggingface_hub import snapshot_download
        from huggingface_hub.errors import HfHubHTTPError

        try:
            return Path(snapshot_download(name, allow_patterns=["config.json", "model.safetensors*"]))
        except (OSError, ValueError, HfHubHTTPError) as error:
            reason = str(error).splitlines()[0]
            raise TiercelError(
                f"model '{name}' is no folder and could not be fetched from Hugging Face ({reason}): check the name."
            ) from None
    raise TiercelError(f"model '{name}' is not to be found: give 'bundled', a checkpoint folder, or a Hugging Face id.")
