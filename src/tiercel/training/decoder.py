"""Training the published zooming network on photos and a map in the published layout (`tiercel.datasets.justzoomin`).

Photos of a batch share squares of the map: the root always, others where they lie close together. Each is read and
encoded once a batch.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from tiercel.errors import TiercelError
from tiercel.models.blocks import image_to_tensor
from tiercel.models.config import ModelConfig
from tiercel.models.justzoomin import images_to_tensor, photo_halves
from tiercel.models.model import Model
from tiercel.photos.decode import decode
from tiercel.training.photo_augmentation import augment_photo, augment_square
from tiercel.training.recipe import Recipe, Stage

Batch = dict[str, Tensor]
Way = tuple[int, ...]
"""Picks from the root: they name a square."""
SQUARES_KEPT = 512
"""Squares that are kept in memory once they were read: the coarse ones, which most photos lie in."""
AT_ONCE = 64
"""Photos or squares that are encoded together while validating."""
RADII_M = (40, 50, 100)


class Sample(Protocol):
    """A photo with its place."""

    @property
    def file(self) -> Path:
        """The photo."""

    @property
    def latitude(self) -> float:
        """Degrees, WGS84."""

    @property
    def longitude(self) -> float:
        """Degrees, WGS84."""

    @property
    def actions(self) -> tuple[int, ...]:
        """The right picks from the root down."""


class ZoomData(Protocol):
    """What is asked of a data set: `tiercel.datasets.justzoomin.JustZoomIn` is one."""

    def samples(self, split: str) -> Sequence[Sample]:
        """The photos of ``train`` or ``val``."""

    def read_square(self, actions_prefix: Sequence[int], pixels: int) -> NDArray[np.uint8]:
        """The square that picks lead to, (pixels, pixels, 3)."""

    def error_m(self, actions: Sequence[int], latitude: float, longitude: float) -> float:
        """Metres from the centre of the cell that picks lead to, to a place."""


class ZoomPhotos:
    """The photos of one split, and the map.

    Args:
        data: The data set.
        split: ``train`` or ``val``.
        seed: Of the order in which photos come.
        process: Which of several training processes this is.
        processes: How many there are.
    """

    def __init__(self, data: ZoomData, split: str, seed: int = 0, process: int = 0, processes: int = 1) -> None:
        """Lists the photos."""
        self.data, self.samples = data, list(data.samples(split))
        self.seed, self.process, self.processes = seed, process, processes
        self._squares: dict[tuple[Way, int], NDArray[np.uint8]] = {}
        self._order: tuple[object, NDArray[np.int64]] = (None, np.zeros(0, np.int64))

    def __len__(self) -> int:
        """How many photos."""
        return len(self.samples)

    def square(self, path: Way, pixels: int) -> NDArray[np.uint8]:
        """The square that picks lead to, (pixels, pixels, 3)."""
        key = (path, pixels)
        if key in self._squares:
            return self._squares[key]
        square = self.data.read_square(path, pixels)
        if len(self._squares) < SQUARES_KEPT and len(path) <= 2:
            self._squares[key] = square
        return square

    def steps(self, stage: Stage) -> int:
        """Steps of one pass over the photos; what does not fill a batch waits for the next pass."""
        return max(1, len(self) // (stage.photos_per_batch * self.processes))

    def members(self, stage: Stage, step: int) -> NDArray[np.int64]:
        """The photos of this process's batch of a step: every photo comes once a pass."""
        whole = stage.photos_per_batch * self.processes
        epoch, within = divmod(step, self.steps(stage))
        order = self._epoch(epoch, stage.photos_per_place)
        first = within * whole + self.process * stage.photos_per_batch
        return np.take(order, np.arange(first, first + stage.photos_per_batch), mode="wrap")

    def _epoch(self, epoch: int, per_place: int) -> NDArray[np.int64]:
        """All photos in the order of one pass, those of a place in small groups."""
        if self._order[0] != (epoch, per_place):
            rng = np.random.default_rng([self.seed, epoch, 11])
            order = rng.permutation(len(self))
            if per_place > 1:
                places: dict[Way, list[int]] = {}
                for index in order.tolist():
                    places.setdefault(tuple(self.samples[index].actions[:-1]), []).append(index)
                groups = [
                    place[first : first + per_place]
                    for place in places.values()
                    for first in range(0, len(place), per_place)
                ]
                order = np.array([index for group in rng.permutation(len(groups)) for index in groups[group]], np.int64)
            self._order = ((epoch, per_place), order)
        return self._order[1]


def open_photos(recipe: Recipe, process: int, processes: int) -> tuple[ZoomPhotos, ZoomPhotos]:
    """The photos to train on and those to watch progress on, from the folder that a recipe names.

    Raises:
        TiercelError: the folder is not in the published layout, or its tree is not the model's.
    """
    from tiercel.datasets.justzoomin import JustZoomIn

    data, sizes = JustZoomIn.open(recipe.data), recipe.model.decoder
    leaf_m = data.side_m / data.branching**data.depth
    wrong = [
        f"{name}: {wanted:g}"
        for name, given, wanted in (
            ("branching", recipe.model.branching, data.branching),
            ("decoder grid", sizes.grid if sizes else None, data.branching),
            ("decoder depth", sizes.depth if sizes else None, data.depth),
            ("leaf_m", round(recipe.model.leaf_m, 2), round(leaf_m, 2)),
        )
        if given != wanted
    ]
    if wrong:
        raise TiercelError(f"{recipe.data} is divided in another way than the recipe's model: set {', '.join(wrong)}.")
    return ZoomPhotos(data, "train", recipe.seed, process, processes), ZoomPhotos(data, "val", recipe.seed)


def in_steps(stage: Stage, photos: ZoomPhotos) -> Stage:
    """The stage with its passes over the photos counted in steps."""
    return dataclasses.replace(stage, steps=stage.epochs * photos.steps(stage)) if stage.epochs else stage


class DecoderBatches:
    """Batches of photos with the squares they lie in; `sample(rng)` makes one.

    Args:
        photos: Where they come from.
        stage: Sizes of a batch.
        config: The model's sizes.
        augment: Vary photos and squares as published.
    """

    def __init__(self, photos: ZoomPhotos, stage: Stage, config: ModelConfig, augment: bool = True) -> None:
        """Keeps the photos at hand."""
        assert config.decoder is not None
        self.photos, self.stage, self.sizes, self.augment = photos, stage, config.decoder, augment

    def sample(self, rng: np.random.Generator, step: int | None = None) -> Batch:
        """A batch: tensors by name, pictures uint8; see `JustZoomInNet.forward`.

        Args:
            rng: Source of chance.
            step: Step of the run, which says whose turn it is; None for photos drawn at random.
        """
        count = self.stage.photos_per_batch
        members = rng.integers(len(self.photos), size=count) if step is None else self.photos.members(self.stage, step)
        samples = [self.photos.samples[index] for index in members]
        distinct: dict[Way, int] = {}
        which = [
            [distinct.setdefault(tuple(one.actions[:n]), len(distinct)) for n in range(self.sizes.depth)]
            for one in samples
        ]
        return {
            "halves": torch.from_numpy(np.stack([self._photo(one.file, rng) for one in samples])),
            "squares": torch.from_numpy(np.stack([self._square(path, rng) for path in distinct])),
            "which": torch.tensor(which),
            "actions": torch.tensor([one.actions for one in samples]),
        }

    def _varied(self, rng: np.random.Generator) -> bool:
        return self.augment and rng.random() < self.stage.augmented

    def _photo(self, file: Path, rng: np.random.Generator) -> NDArray[np.uint8]:
        pixels, side = decode(file).pixels, self.sizes.pixels
        return photo_halves(augment_photo(pixels, side, rng) if self._varied(rng) else pixels, side)

    def _square(self, path: Way, rng: np.random.Generator) -> NDArray[np.uint8]:
        pixels = self.photos.square(path, self.sizes.pixels)
        return augment_square(pixels, rng) if path and self._varied(rng) else pixels


class DecoderLoss(nn.Module):
    """The published loss: cross-entropy of every pick given those before it.

    Args:
        model: With the head ``decoder``.
        stage: What is trained, and how.
    """

    batches = DecoderBatches

    def __init__(self, model: Model, stage: Stage) -> None:
        """Freezes what is not trained."""
        super().__init__()
        assert model.decoder is not None
        if stage.pretrained:
            model.decoder.fetch_encoder()
        model.decoder.unfreeze_last(stage.unfrozen_blocks)
        self.model, self.net, self.stage = model, model.decoder, stage

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        """Losses and accuracies by name; ``loss`` is minimised.

        Args:
            batch: From `DecoderBatches`.
        """
        halves = image_to_tensor(batch["halves"].flatten(0, 1))
        squares, which, actions = image_to_tensor(batch["squares"]), batch["which"], batch["actions"]
        halves = halves.reshape(len(which), 2, *halves.shape[1:])
        logits = self.net(halves, squares, which, actions).float()
        loss = functional.cross_entropy(
            logits.flatten(0, 1), actions.flatten(), label_smoothing=self.stage.label_smoothing
        )
        right = (logits.detach().argmax(-1) == actions).float()
        out = {f"right_pick_{level + 1}": share for level, share in enumerate(right.mean(0))}
        return out | {
            "loss": loss,
            "right_all": right.prod(1).mean(),
            "encodings_saved": loss.new_tensor(which.numel() / len(squares)),
        }

    @torch.no_grad()
    def measure(self, photos: ZoomPhotos) -> dict[str, float]:
        """Greedy zooming over all photos of a split: shares within metres of the cell's centre, and of all right."""
        net, sizes = self.net.eval(), self.net.config
        device = net.decoder.freqs.device
        known: dict[Way, Tensor] = {}
        errors, strict = [], 0
        for first in range(0, len(photos), AT_ONCE):
            some = photos.samples[first : first + AT_ONCE]
            halves = np.stack([photo_halves(decode(one.file).pixels, sizes.pixels) for one in some])
            tokens = net.photo_tokens(images_to_tensor(halves).to(device))
            paths: list[Way] = [() for _ in some]
            for level in range(sizes.depth):
                self._encode(set(paths) - known.keys(), photos, known)
                squares = torch.stack([torch.stack([known[path[:n]] for n in range(level + 1)]) for path in paths])
                actions = torch.tensor(paths, dtype=torch.int64, device=device).reshape(len(paths), level)
                picks = net.decoder(tokens, squares, actions)[:, level].argmax(-1).tolist()
                paths = [(*path, pick) for path, pick in zip(paths, picks, strict=True)]
            errors += [
                photos.data.error_m(path, one.latitude, one.longitude) for path, one in zip(paths, some, strict=True)
            ]
            strict += sum(path == tuple(one.actions) for path, one in zip(paths, some, strict=True))
        within = {f"r1_{radius}m": float(np.mean(np.array(errors) <= radius)) for radius in RADII_M}
        return within | {"strict": strict / len(photos), "median_m": float(np.median(errors))}

    def _encode(self, paths: set[Way], photos: ZoomPhotos, known: dict[Way, Tensor]) -> None:
        """Add the tokens of squares to those that are known."""
        wanted, sizes, device = sorted(paths), self.net.config, self.net.decoder.freqs.device
        for first in range(0, len(wanted), AT_ONCE):
            some = wanted[first : first + AT_ONCE]
            images = images_to_tensor(np.stack([photos.square(path, sizes.pixels) for path in some]))
            known.update(zip(some, self.net.encoder(images.to(device)).float(), strict=True))
