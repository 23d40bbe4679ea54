"""Which photos train and which are asked for, and the blocks of ground that this follows."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tiercel.datasets.curation.choosing import Choices
from tiercel.datasets.curation.ground import shares
from tiercel.datasets.justzoomin import JustZoomIn, ZoomSample
from tiercel.datasets.splits import Split, block_disjoint, random_split, sequence_disjoint
from tiercel.errors import TiercelError

LEFT_OUT = "left out"
"""What a photo is for that is too close to both sides of a split."""

LEFT_OUT_FILE = "metadata/left_out.csv"
"""Their table, with the columns of the published two."""

_BLOCKS = 12  # along a side of a small square
_LARGEST_BLOCK = 500.0  # metres
_BUFFER = 0.2  # of a block's side: 100 m for the largest

Box = tuple[float, float, float, float]
"""West, north, east, south as shares of the root square from its north-western corner."""


@dataclass(frozen=True)
class Block:
    """A block of a split.

    Attributes:
        box: Where it lies.
        split: "train" or "val".
    """

    box: Box
    split: str


def split_photos(folder: Path, choices: Choices) -> tuple[dict[str, str], list[Block]]:
    """What each photo of a benchmark is for, "train", "val" or `LEFT_OUT`, and the blocks that hold any.

    Args:
        folder: The benchmark, with all its photos in its tables.
        choices: Kind of split, share, side of the blocks and seed.

    Raises:
        TiercelError: The photos cannot be split so.
    """
    data = JustZoomIn.open(folder)
    try:
        if choices.validation == 0:
            return {sample.image_id: "train" for sample in data.samples("train")}, []
        side = choices.block or min(_LARGEST_BLOCK, data.side_m / _BLOCKS)
        split = _split(data, choices, side)
        states = {sample.image_id: "train" for sample in split.train}
        states |= {sample.image_id: "val" for sample in split.val}
        states |= {sample.image_id: LEFT_OUT for sample in split.left_out}
        return states, _blocks(data, split, side) if choices.split == "block" else []
    finally:
        data.basemap.close()


def _split(data: JustZoomIn, choices: Choices, side: float) -> Split:
    try:
        if choices.split == "random":
            split = random_split(data, choices.seed, choices.validation)
        elif choices.split == "sequence":
            split = sequence_disjoint(data, choices.seed, choices.validation)
        else:
            split = block_disjoint(data, choices.seed, choices.validation, side, _BUFFER * side)
    except TiercelError as error:
        raise TiercelError(_cannot(choices, side)) from error
    if not split.train:
        raise TiercelError(_cannot(choices, side))
    return split


def _cannot(choices: Choices, side: float) -> str:
    if choices.split == "block":
        return (
            f"The photos lie too close together for blocks of {side:g} m: give a smaller --block, or another --split."
        )
    return f"There are too few photos, or too few sequences, to split them by {choices.split}: give another --split."


def _blocks(data: JustZoomIn, split: Split, side: float) -> list[Block]:
    """The blocks that hold photos, counted from the root's centre as `block_disjoint` does."""
    asked = set(_indices(data, split.val, side))
    others = set(_indices(data, (*split.train, *split.left_out), side)) - asked
    return [Block(_box(data, index, side), "train") for index in sorted(others)] + [
        Block(_box(data, index, side), "val") for index in sorted(asked)
    ]


def _indices(data: JustZoomIn, samples: tuple[ZoomSample, ...], side: float) -> list[tuple[int, int]]:
    """Column to the east and row to the north of the centre, of the block that each photo lies in."""
    place = np.array([(sample.latitude, sample.longitude) for sample in samples], np.float64).reshape(-1, 2)
    east, south = shares(data.division, place[:, 0], place[:, 1])
    column = np.floor((east - 0.5) * data.side_m / side).astype(int)
    row = np.floor((0.5 - south) * data.side_m / side).astype(int)
    return list(zip(column.tolist(), row.tolist(), strict=True))


def _box(data: JustZoomIn, index: tuple[int, int], side: float) -> Box:
    step = side / data.side_m
    column, row = index
    return (0.5 + column * step, 0.5 - (row + 1) * step, 0.5 + (column + 1) * step, 0.5 - row * step)
