"""What is minimised, for each kind of stage. Each is a module, so that it can be spread over GPUs as one."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional

from tiercel.errors import TiercelError
from tiercel.models.match import RANGES, MatchHead, correlate, polar_columns
from tiercel.models.model import Model
from tiercel.models.retrieval import FEATURES, RetrievalHead, pose_scores
from tiercel.models.zoom import ZoomHead
from tiercel.sim.landcover import BUILDINGS, CLASSES
from tiercel.training.batches import Batch, MatchBatches, RetrievalBatches
from tiercel.training.contrastive import ContrastiveLoss
from tiercel.training.decoder import DecoderLoss
from tiercel.training.recipe import Stage

HIDDEN_SCORE = -1e4
"""Takes the place of a score that must not compete."""
ANYWHERE = 0.2
"""Share of `likely_headings` that are drawn at random."""


def exactly(device: torch.device) -> torch.autocast:
    """No bf16 in here: scores reach tens, where it rounds to eighths, and a softmax would turn that into noise."""
    return torch.autocast(device.type, enabled=False)


UNSEEN = -100
"""The class that no loss counts."""


def cover_in_view(cover: Tensor, crop: Tensor, truth: Tensor, azimuth: Tensor, ranges: Tensor, cell_m: float) -> Tensor:
    """What lies at each distance in each direction from a camera, as far as a wall.

    Args:
        cover: (C, S, S) classes of `tiercel.sim.landcover` around, rows from north.
        crop: (B,) which of them each camera stands in.
        truth: (B, 2) metres east and south of its north-west corner.
        azimuth: (B, n) directions in radians, clockwise from north.
        ranges: (R,) metres.
        cell_m: Side of a cell in metres.

    Returns:
        (B, R, n) int64; `UNSEEN` behind the first wall and beyond the edge.
    """
    side = cover.shape[1]
    steps = torch.arange(1, int(float(ranges.max()) / cell_m) + 2, device=cover.device) * cell_m
    x = truth[:, 0, None, None] + azimuth.sin()[:, None] * steps[:, None]
    y = truth[:, 1, None, None] - azimuth.cos()[:, None] * steps[:, None]
    col, row = (x / cell_m).floor().long(), (y / cell_m).floor().long()
    outside = (col < 0) | (row < 0) | (col >= side) | (row >= side)
    found = cover[crop[:, None, None], row.clamp(0, side - 1), col.clamp(0, side - 1)].long()
    wall = torch.isin(found, torch.tensor(BUILDINGS, device=cover.device)).long()
    found = found.masked_fill((wall.cumsum(1) > wall) | outside, UNSEEN)
    return found[:, ((ranges / cell_m).round().long() - 1).clamp_min(0)]


def naming_loss(logits: Tensor, classes: Tensor) -> tuple[Tensor, Tensor]:
    """Cross-entropy and share of right answers of (..., CLASSES) logits, over what is seen."""
    logits, classes = logits.float().flatten(0, -2), classes.flatten()
    seen = classes != UNSEEN
    loss = functional.cross_entropy(logits, classes, ignore_index=UNSEEN, reduction="sum") / seen.sum().clamp_min(1)
    right = ((logits.detach().argmax(1) == classes) & seen).sum() / seen.sum().clamp_min(1)
    return loss, right


class RetrievalLoss(nn.Module):
    """The losses of retrieval and zooming.

    Retrieval: a softmax over all poses of all crops, one over positions for known headings, one over the photos; and,
    if the stage asks for it, the classes of land cover named from the map's features and from the photo's columns,
    which teaches distances and surfaces much faster than being right or wrong about a whole place.
    Zooming: what the stage's `zoom_objective` says. Where retrieval's keys make the last pick, a position's score is
    that of its whole path, and the softmax over poses is the one over the tree.

    Args:
        model: With the head ``retrieval``, ``zoom``, or both.
        stage: Weights.
    """

    batches = RetrievalBatches

    def __init__(self, model: Model, stage: Stage) -> None:
        """Keeps the model."""
        super().__init__()
        self.model, self.stage = model, stage
        self.ranges = model.config.ranges_m[1:]
        # In a list, so that it is no part of this module: it neither learns nor is kept.
        self.teachers: list[Model] = []
        if stage.land_cover_loss:
            self.name_on_map = nn.Linear(FEATURES, CLASSES)
            self.name_in_photo = nn.Linear(model.config.column_width, len(self.ranges) * CLASSES)

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        """Losses and accuracies by name; ``loss`` is minimised.

        Args:
            batch: From `RetrievalBatches`, C crops with P photos and N positions each.
        """
        model = self.model
        assert model.photo is not None
        crops, photos = batch["strips"].shape[:2]
        around = batch["strips"].shape[-1] == model.config.strip_columns
        columns = model.photo(batch["strips"].flatten(0, 1), around)
        start = batch["start"].flatten().float()
        target = torch.arange(crops * photos, device=start.device)
        target = target // photos * batch["positions"].shape[1] + target % photos
        out, path = {"loss": columns.new_zeros(()).float()}, None
        if model.zoom is not None:
            out, levels = zoom_losses(model.zoom, columns, start, batch, self.stage.zoom_objective)
            out["loss"] = self.stage.zoom_loss * out["zoom_loss"]
            if model.config.zoom_lowest > 1:
                path = path_of_positions(levels, batch)
        if model.retrieval is not None:
            found = self._retrieval(model.retrieval, columns, start, target, batch, path)
            out |= found | {"loss": out["loss"] + found["loss"]}
        return out

    def _retrieval(
        self, head: RetrievalHead, columns: Tensor, start: Tensor, target: Tensor, batch: Batch, path: Tensor | None
    ) -> dict[str, Tensor]:
        fine, context = head.features(batch["image"])
        keys, bias = head.keys(fine, context, batch["positions"])
        count, (crops, per_crop) = len(columns), batch["positions"].shape[:2]
        with exactly(columns.device):
            scores = pose_scores(head.queries(columns.float()), keys.float().flatten(0, 1), bias.float().flatten())
            scores = scores if path is None else scores + path
        ignored = torch.zeros(count, crops, per_crop, dtype=torch.bool, device=scores.device)
        crop = torch.arange(crops, device=scores.device).repeat_interleave(count // crops)
        ignored[torch.arange(count, device=scores.device), crop] = batch["ignore"].flatten(0, 1)
        scores = scores.masked_fill(ignored.flatten(1)[..., None], HIDDEN_SCORE)
        rows = torch.arange(count, device=scores.device)
        lower, share = start.floor().long(), start - start.floor()
        headings = scores.shape[2]
        # A left edge between two azimuth bins belongs to both, in proportion.
        log_pose = scores.flatten(1).log_softmax(1)
        right = (1 - share) * log_pose[rows, target * headings + lower % headings]
        right = right + share * log_pose[rows, target * headings + (lower + 1) % headings]
        nearest = start.round().long() % headings
        known = scores[rows, :, nearest]
        aligned = (share == 0).float()
        to_map = functional.cross_entropy(known, target, reduction="none")
        to_map = (to_map * aligned).sum() / aligned.sum().clamp_min(1)
        to_photo = functional.cross_entropy(known[:, target].T, rows)
        best = scores.detach().flatten(1).argmax(1)
        cover_loss, named = self._land_cover(head, fine, columns, start, crop, batch)
        beside = self.stage.land_cover_loss * cover_loss
        for teacher in self.teachers:
            named["taught"] = self._taught(teacher, log_pose, ignored, batch)
            beside = beside + self.stage.teacher_loss * named["taught"]
        return named | {
            "loss": -right.mean() + 0.5 * to_map + 0.25 * to_photo + beside,
            "unknown_heading": -right.mean().detach(),
            "known_heading": to_map.detach(),
            "right_unknown": (best // headings == target).float().mean(),
            "right_known": (known.detach().argmax(1) == target).float().mean(),
        }

    @staticmethod
    def _taught(teacher: Model, log_pose: Tensor, ignored: Tensor, batch: Batch) -> Tensor:
        """How far what is said of all poses is from what a teacher says: the mean relative entropy, in nats."""
        assert teacher.retrieval is not None and teacher.photo is not None
        head, strips = teacher.retrieval, batch["strips"].flatten(0, 1)
        with torch.no_grad():
            columns = teacher.photo(strips, strips.shape[-1] == teacher.config.strip_columns)
            keys, bias = head.keys(*head.features(batch["image"]), batch["positions"])
            with exactly(columns.device):
                scores = pose_scores(head.queries(columns.float()), keys.float().flatten(0, 1), bias.float().flatten())
            said = scores.masked_fill(ignored.flatten(1)[..., None], HIDDEN_SCORE).flatten(1).log_softmax(1)
        return functional.kl_div(log_pose, said, reduction="batchmean", log_target=True)

    def _land_cover(
        self, head: RetrievalHead, fine: Tensor, columns: Tensor, start: Tensor, crop: Tensor, batch: Batch
    ) -> tuple[Tensor, dict[str, Tensor]]:
        if not self.stage.land_cover_loss:
            return fine.new_zeros(()), {}
        cover = batch["land_cover"]
        map_loss, on_map = naming_loss(self.name_on_map(fine.permute(0, 2, 3, 1)), cover.long())
        count = columns.shape[1]
        bins = torch.arange(count, device=start.device) + 0.5
        azimuth = (start[:, None] + bins) * (2 * math.pi / head.config.headings)
        ranges = torch.tensor(self.ranges, device=start.device)
        truth = batch["truth"].flatten(0, 1)
        seen = cover_in_view(cover, crop, truth, azimuth, ranges, 4 * head.pixel_m)
        logits = self.name_in_photo(columns).reshape(len(columns), count, len(ranges), CLASSES).transpose(1, 2)
        photo_loss, in_photo = naming_loss(logits, seen)
        return map_loss + photo_loss, {"named_on_map": on_map, "named_in_photo": in_photo}


OBJECTIVES = ("siblings", "branches", "reject", "tree")
SMOOTHING = 0.1
"""Label smoothing of the published loss over siblings."""
INNER = 0.3
"""Weight of the beginnings of paths beside whole ones, in the loss over the tree."""
REJECTED = 16.0
"""How much the mean over wrong squares and headings counts beside the right one."""


@dataclass(frozen=True)
class LevelOfSquares:
    """The children of all squares of one level in a batch, as scored by each photo.

    Attributes:
        scores: (B, N, headings); the children of a square stand together.
        above: (N,) for each child the index of its square among the children of the level above; 0 at the top.
        target: (B,) the right child; negative where its square was not encoded.
        real: (N,) False for copies that fill up a batch.
    """

    scores: Tensor
    above: Tensor
    target: Tensor
    real: Tensor


def squares_of_batch(head: ZoomHead, columns: Tensor, batch: Batch) -> list[LevelOfSquares]:
    """Every square of a batch scored by every photo, from the top. Each square is encoded once for all photos.

    Args:
        head: The head.
        columns: (B, n, column_width) of the photos, crop by crop.
        batch: From `RetrievalBatches`.
    """
    children, crops = head.config.branching**2, len(batch["strips"])
    crop, each = torch.arange(crops, device=columns.device), torch.arange(children, device=columns.device)
    top = head.config.zoom_levels
    nothing = columns.new_zeros(len(batch["root_image"]), head.config.zoom_width).float()
    root = head.keys(batch["root_image"], nothing, top)
    square = batch["city"] * children + batch["root_child"][:, 0]
    middle = head.keys(batch["middle_image"], root.flatten(0, 1)[square], top - 1)
    all_real = torch.ones_like(each, dtype=torch.bool)
    found = [
        (root, 0 * each, batch["city"][:, None] * children + batch["root_child"], all_real),
        (middle, square[:, None] + 0 * each, crop[:, None] * children + batch["middle_child"], all_real),
    ]
    if "fine_images" in batch:
        squares = batch["fine_parent"].shape[1]
        square = (crop[:, None] * children + batch["fine_parent"]).flatten()
        fine = head.keys(batch["fine_images"].flatten(0, 1), middle.flatten(0, 1)[square], top - 2)
        first = batch["fine_square"] + crop[:, None] * squares
        target = torch.where(batch["fine_square"] >= 0, first * children + batch["fine_child"], -1)
        found.append((fine, square[:, None] + 0 * each, target, batch["fine_real"].flatten()[:, None] | (each < 0)))
    levels = []
    for number, (keys, above, target, real) in enumerate(found):
        with exactly(columns.device):
            scores = torch.einsum("bhk,nk->bnh", head.queries(columns, top - number), keys.flatten(0, 1).float())
        above, real = (of_children.expand(keys.shape[:2]).flatten() for of_children in (above, real))
        levels.append(LevelOfSquares(scores, above, target.flatten(), real))
    return levels


def path_of_positions(levels: list[LevelOfSquares], batch: Batch) -> Tensor:
    """The score of the path to each position of a batch: (B, crops * positions, headings)."""
    root, middle = levels
    children = middle.scores.shape[1] // len(batch["strips"])
    crop = torch.arange(len(batch["strips"]), device=middle.scores.device)
    cell = (crop[:, None] * children + batch["position_child"]).flatten()
    return (root.scores[:, middle.above] + middle.scores)[:, cell]


def zoom_losses(
    head: ZoomHead, columns: Tensor, start: Tensor, batch: Batch, objective: str
) -> tuple[dict[str, Tensor], list[LevelOfSquares]]:
    """The loss of zooming, the share of right picks at each level, and the scores behind them.

    Args:
        head: The head.
        columns: (B, n, column_width) of the photos.
        start: (B,) azimuth bin of their left edges.
        batch: From `RetrievalBatches`.
        objective: One of `OBJECTIVES`.
    """
    levels = squares_of_batch(head, columns, batch)
    children, total = head.config.branching**2, columns.new_zeros(()).float()
    out: dict[str, Tensor] = {}
    path: Tensor | None = None
    for number, level in enumerate(levels):
        name = head.config.zoom_levels - number
        asked = level.target >= 0
        scores, target, begin = level.scores[asked], level.target[asked], start[asked]
        scores = scores.masked_fill(~level.real[None, :, None], HIDDEN_SCORE)
        if objective == "tree":
            path = level.scores if path is None else path[:, level.above] + level.scores
            scores = path[asked].masked_fill(~level.real[None, :, None], HIDDEN_SCORE)
        if not len(target):
            continue
        if objective == "siblings":
            families = scores.reshape(len(scores), -1, children, scores.shape[2])
            scores = families[torch.arange(len(target), device=target.device), target // children]
            loss, right = _child_loss(scores, target % children, begin, SMOOTHING)
        elif objective == "reject":
            loss, right = _reject_loss(scores, target, begin, head.reject[head.row(name)], children, level.real)
        else:
            loss, right = _child_loss(scores, target, begin)
        whole = name == head.config.zoom_lowest == 1
        total = total + loss * (1.0 if objective != "tree" or whole else INNER)
        out[f"right_zoom_{name}"] = right
    return out | {"zoom_loss": total}, levels


def _child_loss(scores: Tensor, target: Tensor, start: Tensor, smoothing: float = 0.0) -> tuple[Tensor, Tensor]:
    """Cross-entropies over (B, N, headings) scores of N children, and the share of right answers with north known.

    One is over children and headings together: where the heading is summed out from the start, nothing says which
    heading to learn from. The others are what is asked for in the end: the child with the heading known, and unknown.
    """
    heading = start.round().long() % scores.shape[2]
    known = scores[torch.arange(len(scores), device=scores.device), :, heading]
    cross_entropy = partial(functional.cross_entropy, label_smoothing=smoothing)
    loss = cross_entropy(scores.flatten(1), target * scores.shape[2] + heading)
    loss = loss + 0.5 * cross_entropy(known, target) + 0.5 * cross_entropy(scores.logsumexp(2), target)
    return loss, (known.argmax(1) == target).float().mean().detach()


def _reject_loss(
    scores: Tensor, target: Tensor, start: Tensor, reject: Tensor, children: int, real: Tensor
) -> tuple[Tensor, Tensor]:
    """Cross-entropy of the right child, or of "not in this square", for every square at every heading.

    Wrong squares and headings count `REJECTED` times their mean.
    """
    rows, headings = torch.arange(len(scores), device=scores.device), scores.shape[2]
    families = scores.reshape(len(scores), -1, children, headings)
    heading, square = start.round().long() % headings, target // children
    total = torch.logaddexp(families.logsumexp(2), reject)
    right = scores[rows, target, heading] - total[rows, square, heading]
    wrong = real[::children, None].expand_as(total).clone()
    wrong[rows, square, heading] = False
    share = ((reject - total) * wrong).sum((1, 2)) / wrong.sum((1, 2)).clamp_min(1)
    # Only a few of the wrong squares are close calls, so their mean alone would be near nothing at once.
    loss = -(right + REJECTED * share).mean()
    normalised = (families - total[:, :, None]).flatten(1, 2)
    return loss, (normalised[rows, :, heading].argmax(1) == target).float().mean().detach()


def held_right(log_pose: Tensor, cells: Tensor, error: float) -> Tensor:
    """How likely the right place is held to be.

    Args:
        log_pose: (B, S, S) log-probability of each cell, rows from north.
        cells: (B, 2) where the photo is said to have been taken, cells east and south of the first cell's centre.
        error: Standard deviation of that along each axis, in cells. Without one the four cells around share it by how
            near they are; with one, the truth may be any cell, weighed by how likely it makes what was said.

    Returns:
        (B,) log-probability.
    """
    steps = torch.arange(log_pose.shape[1], device=cells.device)
    off = (cells.T[..., None] - steps).abs()  # east and south, (2, B, S)
    if error:
        weight = (-0.5 * (off / error) ** 2).log_softmax(2)
        return (log_pose + weight[1][:, :, None] + weight[0][:, None]).flatten(1).logsumexp(1)
    share = (1.0 - off).clamp_min(0.0)
    return torch.einsum("byx,by,bx->b", log_pose, share[1], share[0])


@torch.no_grad()
def said_by_retrieval(model: Model, batch: Batch, inside: int) -> Tensor:
    """Retrieval's scores of the poses around those that the match scores in a batch.

    Args:
        model: With the head ``retrieval``.
        batch: From `MatchBatches` of a stage that has another model beside it.
        inside: Cells along the side of what the match scores in a crop.

    Returns:
        (photos, azimuth bins, crops, n, n): left edge in a bin, at positions that are `match_cells_per_position`
        cells apart, the first in the middle of the first so many cells.
    """
    head, photo, config = model.retrieval, model.photo, model.config
    assert head is not None and photo is not None
    strips, apart = batch["strips"].flatten(0, 1), config.match_cells_per_position
    count, crops = math.ceil(inside / apart), len(batch["image"])
    beyond = (batch["around_image"].shape[-1] * head.pixel_m - batch["image"].shape[-1] * config.resolution) / 2
    edge = beyond + (batch["image"].shape[-1] * config.resolution - inside * config.match_cell_m) / 2
    steps = edge + (torch.arange(count, device=strips.device) + 0.5) * apart * config.match_cell_m
    south, east = torch.meshgrid(steps, steps, indexing="ij")
    places = torch.stack([east, south], -1).reshape(1, -1, 2).expand(crops, -1, -1)
    columns = photo(strips, strips.shape[-1] == config.strip_columns)
    keys, bias = head.keys(*head.features(batch["around_image"]), places)
    with exactly(columns.device):
        scores = pose_scores(head.queries(columns.float()), keys.float().flatten(0, 1), bias.float().flatten())
    by_bin = scores.transpose(1, 2)
    return by_bin.reshape(*by_bin.shape[:2], crops, count, count)


def in_cells(said: Tensor, start: Tensor, apart: int, inside: int) -> Tensor:
    """What retrieval says of the poses that the match scores.

    Args:
        said: (photos, azimuth bins, crops, n, n) from `said_by_retrieval`.
        start: (photos, headings) azimuth of the left edge, radians.
        apart: Cells from one position to the next.
        inside: Cells along a side.

    Returns:
        (photos, headings, crops, inside, inside), the same for all cells around a position, and for all headings in one
        azimuth bin.
    """
    bins = (start / (2 * math.pi) * said.shape[1]).round().long() % said.shape[1]
    chosen = said[torch.arange(len(said), device=said.device)[:, None], bins]
    return chosen.repeat_interleave(apart, 3).repeat_interleave(apart, 4)[..., :inside, :inside]


def likely_headings(said: Tensor, right: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Wrong headings, drawn mostly where they are held likely, and weighed so that they stand for all wrong ones.

    The sum over all wrong headings of what a softmax has in its denominator is estimated without bias, by importance
    sampling: where retrieval is mistaken is where the match has to know better.

    Args:
        said: (photos, azimuth bins) how likely each is held to be, as logarithms with any constant.
        right: (photos,) the right azimuth, radians; its bin and those beside it are not drawn.
        count: How many to draw for each photo.

    Returns:
        Azimuths (photos, count), radians, and what is to be added to the scores of poses that have them.
    """
    bins = torch.arange(said.shape[1], device=said.device)
    off = (bins - (right[:, None] / (2 * math.pi) * said.shape[1]).round()) % said.shape[1]
    wrong = (off > 1) & (off < said.shape[1] - 1)
    share = said.masked_fill(~wrong, -math.inf).softmax(1)
    # Some are drawn at random, so that no weight grows without bound.
    share = (1.0 - ANYWHERE) * share + ANYWHERE * wrong / wrong.sum(1, keepdim=True)
    drawn = torch.multinomial(share, count, replacement=True)
    within = torch.rand(drawn.shape, device=said.device) - 0.5
    return (drawn + within) * (2 * math.pi / said.shape[1]), -(share.gather(1, drawn) * count).log()


class MatchLoss(nn.Module):
    """The geometric match: a softmax over all positions of all crops, and over right and wrong headings.

    If the stage asks for it, one layer also names the classes of land cover from the map's features and from what the
    photo says lies where, and so brings both into one space.

    Where retrieval has its say beside the match (`Stage.beside`), what both say of a pose is added, as it is when a
    photo is located, and the softmax runs over that; the match's own word counts as well, but less.

    Args:
        model: With the head ``match``.
        stage: Weight of land cover.
    """

    batches = MatchBatches
    ALONE = 0.3
    """Weight of what the match says by itself, where retrieval has its say beside it."""
    CLOSE_CELLS = 5
    SHARPNESS = 8.0
    """Features are of unit length; times this, a layer of the usual size can be sure of a class."""

    def __init__(self, model: Model, stage: Stage) -> None:
        """Keeps the model."""
        super().__init__()
        self.model, self.stage = model, stage
        # In a list, so that it is no part of this module: it neither learns nor is kept.
        self.beside: list[Model] = []
        if stage.land_cover_loss:
            self.name = nn.Linear(model.config.match_width, CLASSES)

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        """Losses and accuracies by name; ``loss`` is minimised.

        Args:
            batch: From `MatchBatches`, C crops with P photos each.
        """
        head = self.model.match
        assert isinstance(head, MatchHead)
        crops, photos = batch["strips"].shape[:2]
        around = batch["strips"].shape[-1] == head.config.strip_columns
        polar = head.polar(batch["strips"].flatten(0, 1), around)
        features = head.features(batch["image"])
        inside = features.shape[-1] - 2 * head.radius
        start = batch["start"].flatten(0, 1)
        said = [said_by_retrieval(other, batch, inside) * self.stage.beside_weight for other in self.beside]
        weight = torch.zeros_like(start)
        if said and self.stage.likely_headings:
            wrong, weight[:, 1:] = likely_headings(
                said[0].flatten(2).logsumexp(2), start[:, 0], self.stage.wrong_headings
            )
            start = torch.cat([start[:, :1], wrong], 1)
        scores = correlate(head.template(polar, start), features[None]) * head.scale()
        # From metres to cells of the correlation, whose first entry has its centre `radius` cells in.
        cells = batch["truth"].flatten(0, 1) / head.config.match_cell_m - 0.5 - head.radius
        crop = torch.arange(crops, device=cells.device).repeat_interleave(photos)
        loss, together = self._right(scores, cells, crop), {}
        for one in said:
            scores = scores + in_cells(one, start, head.config.match_cells_per_position, inside)
            scores = scores + weight[:, :, None, None, None]
            alone = loss
            loss = self._right(scores, cells, crop)
            together = {"match_alone": alone.detach(), "both": loss.detach()}
            loss = loss + self.ALONE * alone
        best = scores.detach().flatten(1).argmax(1)
        x, y, found = best % inside, best // inside % inside, best // inside**2
        near = (torch.stack([x, y], 1) - cells).norm(dim=1) < self.CLOSE_CELLS
        cover_loss, named = self._land_cover(head, features, polar, crop, batch)
        return (
            named
            | together
            | {
                "loss": loss + self.stage.land_cover_loss * cover_loss,
                "right_place": (near & (found == crop)).float().mean(),
                "match_scale": head.scale().detach(),
            }
        )

    def _right(self, scores: Tensor, cells: Tensor, crop: Tensor) -> Tensor:
        """Minus the mean log-probability of the right poses, (photos, headings, crops, cells, cells) being scores."""
        log_pose = scores.flatten(1).log_softmax(1).reshape(scores.shape)
        own = log_pose[torch.arange(len(cells), device=cells.device), 0, crop]
        return -held_right(own, cells, self.stage.position_error / self.model.config.match_cell_m).mean()

    def _land_cover(
        self, head: MatchHead, features: Tensor, polar: Tensor, crop: Tensor, batch: Batch
    ) -> tuple[Tensor, dict[str, Tensor]]:
        if not self.stage.land_cover_loss:
            return features.new_zeros(()), {}
        cover, config = batch["land_cover"], head.config
        map_loss, on_map = naming_loss(self.name(self.SHARPNESS * features.permute(0, 2, 3, 1)), cover.long())
        columns = torch.arange(polar.shape[3], device=polar.device) + 0.5
        azimuth = batch["start"][..., 0].flatten()[:, None] + columns * (2 * math.pi / polar_columns(config))
        ranges = (torch.arange(RANGES, device=polar.device) + 0.5) * (config.template_m / RANGES)
        seen = cover_in_view(cover, crop, batch["truth"].flatten(0, 1), azimuth, ranges, config.match_cell_m)
        photo_loss, in_photo = naming_loss(self.name(self.SHARPNESS * polar.permute(0, 2, 3, 1)), seen)
        return map_loss + photo_loss, {"named_on_map": on_map, "named_in_photo": in_photo}


def loss_for(model: Model, stage: Stage) -> RetrievalLoss | MatchLoss | ContrastiveLoss | DecoderLoss:
    """The loss of a stage.

    Raises:
        TiercelError: the stage's heads cannot be trained together.
    """
    if set(stage.heads) == {"decoder"}:
        return DecoderLoss(model, stage)
    if set(stage.heads) == {"match"}:
        if stage.likely_headings and not stage.beside:
            raise TiercelError(
                f"stage '{stage.name}': likely_headings are those that another model holds likely: name it by beside."
            )
        return MatchLoss(model, stage)
    if set(stage.heads) == {"embedding"}:
        return ContrastiveLoss(model, stage)
    if stage.zoom_objective not in OBJECTIVES:
        raise TiercelError(
            f"stage '{stage.name}' has the zoom objective '{stage.zoom_objective}': "
            f"choose from {', '.join(OBJECTIVES)}."
        )
    if (stage.zoom_objective == "reject") != model.config.zoom_reject and model.zoom is not None:
        raise TiercelError(
            f"stage '{stage.name}': the zoom objective 'reject' and the model's zoom_reject go together: "
            "set both or none."
        )
    if stage.heads and set(stage.heads) <= {"retrieval", "zoom"}:
        return RetrievalLoss(model, stage)
    raise TiercelError(
        f"stage '{stage.name}' has heads {list(stage.heads)}: "
        "a stage trains [match], [retrieval], [zoom], [retrieval, zoom], [embedding] or [decoder]."
    )
