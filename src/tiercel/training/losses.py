"""What is minimised, for each kind of stage. Each is a module, so that it can be spread over GPUs as one."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from tiercel.errors import TiercelError
from tiercel.models.match import MatchHead, correlate
from tiercel.models.model import Model
from tiercel.models.retrieval import RetrievalHead, pose_scores
from tiercel.models.zoom import ZoomHead
from tiercel.training.batches import Batch, MatchBatches, RetrievalBatches
from tiercel.training.recipe import Stage

HIDDEN_SCORE = -1e4
"""Takes the place of a score that must not compete."""


def exactly(device: torch.device) -> torch.autocast:
    """No bf16 in here: scores reach tens, where it rounds to eighths, and a softmax would turn that into noise."""
    return torch.autocast(device.type, enabled=False)


class RetrievalLoss(nn.Module):
    """The losses of retrieval and zooming.

    Retrieval: a softmax over all poses of all crops, one over positions for known headings, and one over the photos.
    Zooming: for each level a softmax over the children of all squares in the batch.

    Args:
        model: With the head ``retrieval``, ``zoom``, or both.
        stage: Weights.
    """

    batches = RetrievalBatches

    def __init__(self, model: Model, stage: Stage) -> None:
        """Keeps the model."""
        super().__init__()
        self.model, self.stage = model, stage

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
        out = {"loss": columns.new_zeros(()).float()}
        if model.retrieval is not None:
            out = self._retrieval(model.retrieval, columns, start, target, batch)
        if model.zoom is not None:
            zoom = self._zoom(model.zoom, columns, start, batch)
            out |= zoom | {"loss": out["loss"] + self.stage.zoom_loss * zoom["zoom_loss"]}
        return out

    def _retrieval(
        self, head: RetrievalHead, columns: Tensor, start: Tensor, target: Tensor, batch: Batch
    ) -> dict[str, Tensor]:
        keys, bias = head.keys(*head.features(batch["image"]), batch["positions"])
        count, (crops, per_crop) = len(columns), batch["positions"].shape[:2]
        with exactly(columns.device):
            scores = pose_scores(head.queries(columns.float()), keys.float().flatten(0, 1), bias.float().flatten())
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
        return {
            "loss": -right.mean() + 0.5 * to_map + 0.25 * to_photo,
            "unknown_heading": -right.mean().detach(),
            "known_heading": to_map.detach(),
            "right_unknown": (best // headings == target).float().mean(),
            "right_known": (known.detach().argmax(1) == target).float().mean(),
        }

    def _zoom(self, head: ZoomHead, columns: Tensor, start: Tensor, batch: Batch) -> dict[str, Tensor]:
        crops = len(batch["strips"])
        levels, children = head.config.zoom_levels, head.config.branching**2
        crop = torch.arange(crops, device=columns.device)
        nothing = columns.new_zeros(len(batch["root_image"]), head.config.zoom_width).float()
        root = head.keys(batch["root_image"], nothing, levels)
        above = root[batch["city"], batch["root_child"][:, 0]]
        middle = head.keys(batch["middle_image"], above, levels - 1)
        above = middle[crop[:, None], batch["fine_parent"]]
        fine = head.keys(batch["fine_images"].flatten(0, 1), above.flatten(0, 1), levels - 2)
        squares = batch["fine_parent"].shape[1]
        hidden = ~batch["fine_real"].flatten().repeat_interleave(children)
        first_square = batch["fine_square"] + crop[:, None] * squares
        leaf_target = torch.where(batch["fine_square"] >= 0, first_square * children + batch["fine_child"], -100)
        targets = [
            (root, batch["city"][:, None] * children + batch["root_child"], None),
            (middle, crop[:, None] * children + batch["middle_child"], None),
            (fine, leaf_target, hidden),
        ]
        total, out = columns.new_zeros(()).float(), {}
        for number, (keys, target, hide) in enumerate(targets):
            level = levels - number
            with exactly(columns.device):
                scores = torch.einsum("bhk,nk->bnh", head.queries(columns, level), keys.flatten(0, 1).float())
            if hide is not None:
                scores = scores.masked_fill(hide[None, :, None], HIDDEN_SCORE)
            loss, right = _child_loss(scores, target.flatten(), start)
            total, out[f"right_zoom_{level}"] = total + loss, right
        return {"zoom_loss": total} | out


def _child_loss(scores: Tensor, target: Tensor, start: Tensor) -> tuple[Tensor, Tensor]:
    """Cross-entropies over (B, N, headings) scores of N children, and the share of right answers with north known.

    One is over children and headings together: where the heading is summed out from the start, nothing says which
    heading to learn from. The others are what is asked for in the end: the child with the heading known, and unknown.
    """
    asked = target >= 0
    if not bool(asked.any()):
        return scores.sum() * 0.0, scores.new_zeros(())
    scores, target = scores[asked], target[asked]
    heading = start[asked].round().long() % scores.shape[2]
    known = scores[torch.arange(len(scores), device=scores.device), :, heading]
    loss = functional.cross_entropy(scores.flatten(1), target * scores.shape[2] + heading)
    loss = loss + 0.5 * functional.cross_entropy(known, target)
    loss = loss + 0.5 * functional.cross_entropy(scores.logsumexp(2), target)
    return loss, (known.argmax(1) == target).float().mean().detach()


class MatchLoss(nn.Module):
    """The geometric match: a softmax over all positions of all crops, and over right and wrong headings.

    Args:
        model: With the head ``match``.
        stage: Unused; there is one loss.
    """

    batches = MatchBatches
    CLOSE_CELLS = 5

    def __init__(self, model: Model, stage: Stage) -> None:
        """Keeps the model."""
        super().__init__()
        self.model = model

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
        templates = head.template(polar, batch["start"].flatten(0, 1))
        features = head.features(batch["image"])
        scores = correlate(templates, features[None]) * head.scale()
        inside = scores.shape[-1]
        # From metres to cells of the correlation, whose first entry has its centre `radius` cells in.
        cells = batch["truth"].flatten(0, 1) / head.config.match_cell_m - 0.5 - head.radius
        crop = torch.arange(crops, device=cells.device).repeat_interleave(photos)
        log_pose = scores.flatten(1).log_softmax(1)
        loss = log_pose.new_zeros(())
        low, share = cells.floor().long(), cells - cells.floor()
        for right, down in ((0, 0), (1, 0), (0, 1), (1, 1)):
            x, y = ((low[:, axis] + step).clamp(0, inside - 1) for axis, step in ((0, right), (1, down)))
            weight = (share[:, 0] if right else 1 - share[:, 0]) * (share[:, 1] if down else 1 - share[:, 1])
            index = (crop * inside + y) * inside + x
            loss = loss - (weight * log_pose.gather(1, index[:, None])[:, 0]).mean()
        best = scores.detach().flatten(1).argmax(1)
        x, y, found = best % inside, best // inside % inside, best // inside**2
        near = (torch.stack([x, y], 1) - cells).norm(dim=1) < self.CLOSE_CELLS
        return {
            "loss": loss,
            "right_place": (near & (found == crop)).float().mean(),
            "match_scale": head.scale().detach(),
        }


def loss_for(model: Model, stage: Stage) -> RetrievalLoss | MatchLoss:
    """The loss of a stage.

    Raises:
        TiercelError: the stage's heads cannot be trained together.
    """
    if set(stage.heads) == {"match"}:
        return MatchLoss(model, stage)
    if stage.heads and set(stage.heads) <= {"retrieval", "zoom"}:
        return RetrievalLoss(model, stage)
    raise TiercelError(
        f"stage '{stage.name}' has heads {list(stage.heads)}: "
        "a stage trains [match], [retrieval], [zoom] or [retrieval, zoom]."
    )
