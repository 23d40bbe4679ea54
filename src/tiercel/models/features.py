"""What a model hands to the rooms behind it: plain arrays."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Half = NDArray[np.float16]
Single = NDArray[np.float32]


@dataclass(frozen=True)
class BlockFeatures:
    """Features of the leaves of a block, rows from north.

    Attributes:
        keys: (leaves, leaves, positions, headings, key_width) float16; positions row by row from the leaf's north-west.
        bias: (leaves, leaves, positions) float16.
        match: (leaves, leaves, cells, cells, match_width) float16.
    """

    keys: Half
    bias: Half
    match: Half


@dataclass(frozen=True)
class PhotoFeatures:
    """A photo as the model sees it, at every heading that is possible for it (H of them).

    Attributes:
        headings_deg: (H,) float32, heading of the photo's centre column for each row below.
        retrieval: (H, headings * key_width) float32 weights for flattened keys.
        zoom: one (H, zoom_width) float32 for each level of the zoom head, from the lowest upwards.
        reject: for each of these levels what "not in this square" scores; empty if the model does not say.
        embedding: (H, width) float32 unit vectors; (0, 0) if the model has no such head.
        polar: (match_width, ranges, columns) float32 for the geometric match.
        polar_start_deg: (H,) float32, azimuth of the left edge of `polar` for each row.
        heading_known: whether there is just one heading.
    """

    headings_deg: Single
    retrieval: Single
    zoom: tuple[Single, ...]
    polar: Single
    polar_start_deg: Single
    heading_known: bool
    reject: tuple[float, ...] = ()
    embedding: Single = field(default_factory=lambda: np.zeros((0, 0), np.float32))
