"""Training a dual encoder: batches of pairs, and the symmetric contrastive loss over all pairs of all processes.

All photos of a batch turn and mirror with their tiles. They are cut as those of the other heads are (`cut_photos`):
whole panoramas, or pieces of them under the mask of a camera. Where the heading is known a strip lies at its azimuth;
where it is not, it begins anywhere, and a pooling that knows azimuths has the right shift of it as the answer, among
wrong ones.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from tiercel.errors import TiercelError
from tiercel.models.config import ModelConfig
from tiercel.models.embedding import EmbeddingHead
from tiercel.models.model import Model, overhead_to_tensor, strips_to_tensor
from tiercel.training.augmentation import augment_overhead, augment_photos
from tiercel.training.batches import Batch, Turn, cut_photos, photo_bins
from tiercel.training.pairs import Indices, PairSource, Tile, View
from tiercel.training.recipe import Stage
from tiercel.training.samplers import (
    SAMPLINGS,
    Neighbours,
    batches_of_epoch,
    embedding_neighbours,
    geographic_neighbours,
    members_of_epoch,
)

Encode = Callable[[Indices], tuple[NDArray[np.float32], NDArray[np.float32]]]
"""From pairs to the embeddings of their photos and of their tiles."""
AT_ONCE = 64
"""Pairs that are encoded together outside of training."""
MEASURED = 4096
"""Pairs of a validation set that recall is measured on."""
NEAR_HEADINGS = 1
"""Azimuth bins off the right heading that are not counted as wrong."""


class PairBatches:
    """Batches of pairs; `sample(rng, step)` makes one.

    A run goes in rounds, each with its own neighbours (see `begin`).

    Args:
        source: The pairs.
        stage: Sizes of a batch, and which pairs meet in it.
        config: The model's sizes.
        augment: Vary light, colours and sharpness.
    """

    def __init__(self, source: PairSource, stage: Stage, config: ModelConfig, augment: bool = True) -> None:
        """Keeps the source at hand.

        Raises:
            TiercelError: there is no such sampling, or no scale to cut tiles at.
        """
        assert config.embedding is not None
        _check(stage)
        self.source, self.stage, self.config, self.augment = source, stage, config, augment
        self.seed, self.process, self.processes = 0, 0, 1
        self.neighbours: Neighbours | None = None
        self.round = -1
        self._epoch: tuple[int, Indices] = (-1, np.zeros((0, 0), np.int64))
        self._semi = max((len(semi) for semi in source.semi_positives), default=0)

    def run_in(self, seed: int, process: int, processes: int) -> None:
        """Give pairs in the order of a seed, and of several training processes each its own."""
        self.seed, self.process, self.processes = seed, process, processes

    @property
    def size(self) -> int:
        """Pairs in a batch of all processes together."""
        return self.stage.pairs_per_batch * self.processes

    @property
    def steps_per_epoch(self) -> int:
        """Steps of a pass."""
        return steps_per_epoch(self.stage, self.source, self.processes)

    def begin(self, step: int, encode: Encode) -> int:
        """Look for the neighbours of the round that a step belongs to, unless they are known.

        Args:
            step: Step of the run.
            encode: Computes embeddings with the network as it is.

        Returns:
            The step that the next round begins with.
        """
        epoch, stage = step // self.steps_per_epoch, self.stage
        last = stage.steps // self.steps_per_epoch + 1
        begun, ends = 0, last
        if stage.sampling == "dynamic":
            ends = stage.gps_epochs
            while ends <= epoch:
                begun, ends = ends, ends + stage.refresh_epochs
        if self.round != begun:
            self._epoch = (-1, self._epoch[1])
            self.round, self.neighbours = begun, self._neighbours(begun, min(ends, last), encode)
        return min(ends * self.steps_per_epoch, stage.steps)

    def _neighbours(self, begun: int, ends: int, encode: Encode) -> Neighbours | None:
        """Those of the round that these epochs make."""
        stage = self.stage
        if stage.sampling == "random":
            return None
        if stage.sampling == "gps" or begun < stage.gps_epochs:
            return geographic_neighbours(self.source, stage.neighbours_pool)
        epochs = [members_of_epoch(len(self.source), stage, self.seed, epoch) for epoch in range(begun, ends)]
        members = np.unique(np.concatenate(epochs))
        return embedding_neighbours(*encode(members), members, self.source, stage.neighbours_pool)

    def state(self) -> dict[str, Any]:
        """What a checkpoint has to hold for a run to go on in the middle of a round."""
        found = None if self.neighbours is None else torch.from_numpy(self.neighbours)
        return {"round": self.round, "neighbours": found}

    def restore(self, state: dict[str, Any] | None) -> None:
        """Go on from `state`, or from the beginning."""
        if state is None:
            return
        self.round = int(state["round"])
        self.neighbours = None if state["neighbours"] is None else state["neighbours"].numpy()

    def members(self, step: int) -> Indices:
        """The pairs of this process's batch of a step."""
        epoch, within = divmod(step, self.steps_per_epoch)
        if self._epoch[0] != epoch:
            rng = np.random.default_rng([self.seed, epoch, 17])
            members = members_of_epoch(len(self.source), self.stage, self.seed, epoch)
            chosen = self.stage.neighbours_chosen
            self._epoch = epoch, batches_of_epoch(self.source, members, self.size, self.neighbours, chosen, rng)
        return self._epoch[1][within, self.process :: self.processes]

    def sample(self, rng: np.random.Generator, step: int | None = None) -> Batch:
        """A batch of B pairs: tensors by name.

        ``strips`` (B, 4, rows, columns), ``start`` (B,) azimuth bin of the left edge, -1 where unknown, ``wrong``
        (B, K) bins that wrong headings are off, ``tiles`` (B, 3, P, P), and those of `places`.

        Args:
            rng: Source of chance.
            step: Step of the run, which says whose turn it is; None for pairs drawn at random.
        """
        stage, count = self.stage, min(self.stage.pairs_per_batch, len(self.source))
        members = rng.choice(len(self.source), count, replace=False) if step is None else self.members(step)
        turn, bins = Turn.sample(rng), photo_bins(stage, self.config, rng, step)
        views = [turned_view(self.source.view(int(index)), turn, self.config) for index in members]
        strips, start = self._cut(views, bins, rng)
        scales = rng.choice(np.array(stage.tile_scales), len(members))
        tiles = [self.source.tile(int(index), float(scale)) for index, scale in zip(members, scales, strict=True)]
        batch = self.places(members, tiles) | {
            "strips": strips_to_tensor(strips),
            "start": torch.from_numpy(start),
            "wrong": torch.from_numpy(self._wrong(len(members), rng)),
            "tiles": tiles_to_tensor(tiles, turn),
        }
        return self._augmented(batch, rng, step) if self.augment else batch

    def plain(self, members: Indices) -> Batch:
        """Pairs as they are, for looking at embeddings: headings as far as they are known, tiles of the first scale."""
        views = [self.source.view(int(index)) for index in members]
        tiles = [self.source.tile(int(index), self.stage.tile_scales[0]) for index in members]
        rows = self.config.strip_height
        strips, start = _laid([_level(view, rows) for view in views], self.config)
        return {
            "strips": strips_to_tensor(strips),
            "start": torch.from_numpy(start),
            "tiles": tiles_to_tensor(tiles, Turn(0, False)),
        }

    def places(self, members: Indices, tiles: Sequence[Tile]) -> Batch:
        """What says which photos fit which tiles; see `fitting`."""
        semi = np.full((len(members), self._semi), -1)
        for row, index in enumerate(members):
            also = self.source.semi_positives[index]
            semi[row, : len(also)] = also
        places = self.source.positions[members]
        cells = np.array([(*tile.centre, tile.reach) for tile in tiles])
        return {
            "tile": torch.from_numpy(self.source.identity[members]),
            "semi": torch.from_numpy(semi),
            "group": torch.from_numpy(self.source.group[members]),
            "place": torch.from_numpy(places.astype(np.float32)),
            "cell": torch.from_numpy(cells.astype(np.float32)),
        }

    def _cut(self, views: list[View], bins: int, rng: np.random.Generator) -> tuple[NDArray[np.uint8], Indices]:
        """Strips as a camera would have taken them, and the bins of their left edges."""
        around = [index for index, view in enumerate(views) if view.around]
        if around:
            whole = np.stack([_with_mask(views[index].strip) for index in around])
            cut = cut_photos(whole, bins, self.stage, self.config, rng, 1.0 - self.stage.unknown_headings)
            per_bin, total = self.config.columns_per_heading, self.config.strip_columns
            for index, strip, start in zip(around, cut.strips, cut.start.tolist(), strict=True):
                if cut.around and start % per_bin == 0:  # as a panorama is laid out whose heading is known
                    strip, start = np.roll(strip, start, axis=1), 0
                known = views[index].start is not None
                views[index] = View(strip, start % total if known else None, cut.around)
        return _laid(views, self.config)

    def _wrong(self, count: int, rng: np.random.Generator) -> Indices:
        assert self.config.embedding is not None
        low, high = NEAR_HEADINGS + 1, self.config.headings - NEAR_HEADINGS
        wanted = min(self.stage.wrong_headings, high - low) if self.config.embedding.pooling == "azimuth" else 0
        return np.array([rng.permutation(np.arange(low, high))[:wanted] for _ in range(count)], np.int64)

    def _augmented(self, batch: Batch, rng: np.random.Generator, step: int | None) -> Batch:
        stage = self.stage
        if stage.plain_from and (step is None or step >= stage.plain_from):
            return batch
        tiles = augment_overhead(batch["tiles"], stage.augmented, rng)
        return batch | {"tiles": tiles, "strips": augment_photos(batch["strips"], stage.augmented, rng)}


def _check(stage: Stage) -> None:
    """Refuse settings that no batch can be made by."""
    wrong = ""
    if stage.sampling not in SAMPLINGS:
        wrong = f"the sampling '{stage.sampling}': use one of {', '.join(SAMPLINGS)}"
    elif stage.sampling == "dynamic" and stage.refresh_epochs < 1:
        wrong = f"refresh_epochs {stage.refresh_epochs}: neighbours can be looked for every epoch (1) or more rarely"
    elif not stage.tile_scales or min(stage.tile_scales) <= 0:
        wrong = f"tile_scales {list(stage.tile_scales)}: give one or more above 0, such as [1]"
    elif stage.pairs_per_batch < 2:
        wrong = f"pairs_per_batch {stage.pairs_per_batch}: give 2 or more"
    if wrong:
        raise TiercelError(f"stage '{stage.name}' has {wrong}.")


def steps_per_epoch(stage: Stage, source: PairSource, processes: int) -> int:
    """Steps of a pass; what does not fill a batch waits for another."""
    _check(stage)
    taken = min(stage.pairs_per_epoch or len(source), len(source))
    return max(1, taken // (stage.pairs_per_batch * processes))


def turned_view(view: View, turn: Turn, config: ModelConfig) -> View:
    """A photo of the turned world."""
    total, columns = config.strip_columns, view.strip.shape[1]
    if view.around:
        return dataclasses.replace(view, strip=turn.strips(view.strip[None])[0])
    start = view.start
    if start is not None:
        start = start - turn.quarters * (total // 4)
        start = (total - start - columns if turn.mirror else start) % total
    return View(view.strip[:, ::-1] if turn.mirror else view.strip, start, False)


def tiles_to_tensor(tiles: Sequence[Tile], turn: Turn) -> Tensor:
    """Tiles of the turned world: (B, 3, P, P)."""
    pixels = np.stack([turn.image(tile.pixels) for tile in tiles])
    covered = np.stack([turn.image(tile.covered[..., None].astype(np.uint8))[..., 0] > 0 for tile in tiles])
    return overhead_to_tensor(pixels, covered)


def _with_mask(strip: NDArray[np.uint8]) -> NDArray[np.uint8]:
    if strip.shape[2] > 3:
        return strip
    return np.concatenate([strip, np.full((*strip.shape[:2], 1), 255, np.uint8)], 2)


def _level(view: View, rows: int) -> View:
    """Without the spare rows."""
    spare = (len(view.strip) - rows) // 2
    return dataclasses.replace(view, strip=view.strip[spare : spare + rows])


def _laid(views: Sequence[View], config: ModelConfig) -> tuple[NDArray[np.uint8], Indices]:
    """Strips (B, rows, columns, 4) as wide as the widest, and the nearest bins of their left edges (-1: unknown)."""
    columns = max(view.strip.shape[1] for view in views)
    out = np.zeros((len(views), config.strip_height, columns, 4), np.uint8)
    start = np.full(len(views), -1, np.int64)
    for row, view in enumerate(views):
        strip = _with_mask(view.strip)
        out[row, :, : strip.shape[1]] = np.where(strip[..., 3:] > 127, strip, 0)
        if view.start is not None:
            start[row] = round(view.start / config.columns_per_heading) % config.headings
    return out, start


def fitting(batch: Batch) -> Tensor:
    """Which photos of a batch fit which tiles: (B, B) bool, a row for each photo.

    A photo fits its own tile, others that the data set names for it, and those around a cell that it was taken in.

    Args:
        batch: ``tile`` (B,) numbers of the tiles, ``semi`` (B, S) those that also show the photo (-1: none), ``group``
            (B,), ``place`` (B, 2) of the photos, and ``cell`` (B, 3), the tiles' centres and reach.
    """
    tile, semi, group, place, cell = (batch[name] for name in ("tile", "semi", "group", "place", "cell"))
    named = (semi[:, :, None] == tile).any(1) | (tile[:, None] == tile)
    off = (place[:, None] - cell[None, :, :2]).abs().amax(2)
    return named | ((group[:, None] == group) & (off <= cell[:, 2]))


class ContrastiveLoss(nn.Module):
    """Symmetric InfoNCE with a learned temperature and smoothed labels, as Sample4Geo's.

    Photos look for their tiles among those of all processes, and tiles for their photos; what fits but is not meant
    counts neither way. With wrong headings, a photo also looks for its tile and heading among all tiles at all of them.

    Args:
        model: With the head ``embedding``.
        stage: What is trained, and how.
    """

    batches = PairBatches

    def __init__(self, model: Model, stage: Stage) -> None:
        """Keeps the model."""
        super().__init__()
        assert model.embedding is not None
        self.model, self.stage = model, stage

    @property
    def head(self) -> EmbeddingHead:
        """The model's head."""
        assert self.model.embedding is not None
        return self.model.embedding

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        """Losses and accuracies by name; ``loss`` is minimised.

        Args:
            batch: From `PairBatches.sample`.
        """
        strips, smoothing = batch["strips"], self.stage.label_smoothing
        tiles, columns = self.head.tiles(batch["tiles"]), self._columns(strips)
        start = self._right(strips, columns, batch["start"], tiles)
        headings = torch.cat([start[:, None], (start[:, None] + batch["wrong"]) % self.model.config.headings], 1)
        photos = self.head.photos(strips, columns, headings)
        names = ("tile", "semi", "group", "place", "cell")
        masked = fitting({name: gathered(batch[name]) for name in names})
        masked.fill_diagonal_(False)
        own = torch.arange(len(photos), device=photos.device) + len(photos) * _rank()
        all_photos, all_tiles = gathered(photos[:, 0].contiguous()), gathered(tiles)
        with torch.autocast(photos.device.type, enabled=False):
            scale = self.head.scale.float()
            to_tile = scale * photos @ all_tiles.T  # (B, headings, all tiles)
            to_photo = scale * tiles @ all_photos.T
        barred = masked[own][:, None].expand_as(to_tile)
        loss_tile = smoothed(to_tile[:, 0], own, barred[:, 0], smoothing)
        loss_photo = smoothed(to_photo, own, masked[:, own].T, smoothing)
        out = {
            "right_tile": _share_right(to_tile[:, 0], own, barred[:, 0]),
            "right_photo": _share_right(to_photo, own, masked[:, own].T),
            "scale": scale.detach(),
        }
        if headings.shape[1] > 1:
            loss_pose = smoothed(to_tile.flatten(1), own, barred.flatten(1), smoothing)
            out["right_pose"] = _share_right(to_tile.flatten(1), own, barred.flatten(1))
            loss_tile = (loss_tile + loss_pose) / 2
        return out | {"loss": (loss_tile + loss_photo) / 2}

    def _columns(self, strips: Tensor) -> Tensor | None:
        if self.model.photo is None:
            return None
        columns: Tensor = self.model.photo(strips, strips.shape[3] == self.model.config.strip_columns)
        return columns

    @torch.no_grad()
    def _right(self, strips: Tensor, columns: Tensor | None, start: Tensor, tiles: Tensor) -> Tensor:
        """The bins of the left edges; where they are unknown, those that make a photo most like its tile."""
        unknown = start < 0
        if not unknown.any():
            return start
        some = None if columns is None else columns[unknown]
        photos = self.head.photos(strips[unknown], some)
        best = torch.einsum("bhw,bw->bh", photos, tiles[unknown]).argmax(1)
        return start.masked_scatter(unknown, best)

    @torch.no_grad()
    def encode(self, batches: PairBatches, members: Indices) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Embeddings of pairs as they are: photos (m, headings, width) at headings known or found, tiles (m, width).

        Each process computes some of them and gets all.
        """
        was_training = self.training
        self.eval()
        world, device = _world(), self.head.log_scale.device
        share = -(-len(members) // world)
        mine = np.resize(members, share * world)[_rank() * share : (_rank() + 1) * share]
        photos, tiles = [], []
        for first in range(0, share, AT_ONCE):
            batch = {name: value.to(device) for name, value in batches.plain(mine[first : first + AT_ONCE]).items()}
            vectors, columns = self.head.tiles(batch["tiles"]), self._columns(batch["strips"])
            start = self._right(batch["strips"], columns, batch["start"], vectors)
            photos.append(self.head.photos(batch["strips"], columns, start[:, None])[:, 0])
            tiles.append(vectors)
        self.train(was_training)
        whole = [gathered(torch.cat(part).contiguous())[: len(members)].cpu().numpy() for part in (photos, tiles)]
        return whole[0], whole[1]

    def measure(self, batches: PairBatches) -> dict[str, float]:
        """Recall among the tiles of a validation set: shares of photos whose tile is among the first few."""
        source = batches.source
        members = np.unique(np.linspace(0, len(source) - 1, min(len(source), MEASURED)).astype(np.int64))
        photos, tiles = self.encode(batches, members)
        identity, first, own = np.unique(source.identity[members], return_index=True, return_inverse=True)
        scores = photos @ tiles[first].T
        rank = (scores > scores[np.arange(len(scores)), own][:, None]).sum(1)
        percent = max(1, len(identity) // 100)
        recall = {f"r{k}": float((rank < k).mean()) for k in (1, 5, 10)}
        return recall | {"r1pct": float((rank < percent).mean())}


def smoothed(logits: Tensor, target: Tensor, barred: Tensor, smoothing: float) -> Tensor:
    """Cross-entropy with smoothed labels over the classes that are not barred.

    Args:
        logits: (B, n).
        target: (B,), never barred.
        barred: (B, n) bool, classes that are neither right nor wrong.
        smoothing: Share of the target that is spread evenly over all classes that count.
    """
    log = logits.float().masked_fill(barred, -torch.inf).log_softmax(1)
    right = log.gather(1, target[:, None])[:, 0]
    spread = log.masked_fill(barred, 0.0).sum(1) / (~barred).sum(1)
    return -((1 - smoothing) * right + smoothing * spread).mean()


def _share_right(logits: Tensor, target: Tensor, barred: Tensor) -> Tensor:
    return (logits.detach().masked_fill(barred, -torch.inf).argmax(1) == target).float().mean()


class _Gather(torch.autograd.Function):
    """Tensors of all processes one after the other; a gradient goes back to the process whose it is, summed."""

    @staticmethod
    def forward(_: Any, own: Tensor) -> Tensor:  # noqa: ANN401  (autograd's context)
        """(B, ...) to (processes * B, ...)."""
        parts = [torch.empty_like(own) for _ in range(_world())]
        torch.distributed.all_gather(parts, own)
        return torch.cat(parts)

    @staticmethod
    def backward(_: Any, gradient: Tensor) -> Tensor:  # noqa: ANN401
        """The sum of what all processes have for this one."""
        gradient = gradient.contiguous()
        torch.distributed.all_reduce(gradient)
        return gradient.chunk(_world())[_rank()]


def gathered(own: Tensor) -> Tensor:
    """A tensor (B, ...) of each process, of equal shapes, as one of all (processes * B, ...), with gradients."""
    if _world() == 1:
        return own
    whole: Tensor = _Gather.apply(own)  # type: ignore[no-untyped-call]
    return whole


def _world() -> int:
    return torch.distributed.get_world_size() if torch.distributed.is_initialized() else 1


def _rank() -> int:
    return torch.distributed.get_rank() if torch.distributed.is_initialized() else 0
