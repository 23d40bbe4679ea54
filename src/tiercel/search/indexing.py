"""Building the approximate index of an atlas, and finding out how thoroughly it has to search.

An index that searches too little misses cells, and how much is enough depends on the gallery. So it is asked for the
neighbours of made-up photos after it was built, and its search is widened until it finds what an exact search finds. A
made-up photo is the embedding of a cell plus the difference of two others: as far from its cell as cells are from each
other, in the directions in which they differ.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tiercel.atlas import Atlas
from tiercel.atlas.index import Index, create_index, partitions_for
from tiercel.atlas.manifest import IndexRecord
from tiercel.atlas.tables import forget_versions
from tiercel.search.gallery import Gallery

Scores = NDArray[np.float32]
Step = Callable[[str], Callable[[int, int], None]]

NEIGHBOURS = 10
"""Neighbours of which recall is measured."""
RECALL = 0.99
"""What an index has to reach, of the most similar cells."""
SPARE = 0.003
"""By how much it has to exceed this on the made-up photos, for real ones are others."""
SURE = 1.645
"""Standard errors that the mean over the made-up photos has to lie above that: 95 %, on one side."""
PHOTOS = 1000
FEW = 200
"""Photos that are asked first: an effort that is too small for them is not tried on all."""
FIRST_EFFORT = 64
MARGIN = 2
"""How many times as thoroughly is searched as the made-up photos need: real ones may be farther from every cell."""
_GROWTH = 1.25
_SEED = 0


def index_atlas(folder: str | Path, *, steps: Step | None = None) -> IndexRecord:
    """Builds the approximate index of an atlas, in place of one that it has.

    Until it is complete the atlas stays as it was.

    Args:
        folder: The atlas.
        steps: Called with what is done next; gives a function to call with the work done and all work.

    Returns:
        What was built.

    Raises:
        TiercelError: There is no such atlas, it has no gallery, or holds embeddings that are no numbers.
    """
    atlas = Atlas.open(folder)
    gallery = Gallery.of(atlas)
    record = build_index(gallery, steps=steps)
    before = gallery.version
    versions = atlas.versions | {gallery.table.stem: record.version}
    atlas.manifest.model_copy(update={"index": record, "versions": versions}).write(atlas.folder)
    forget_versions(gallery.table, {before, record.version})
    return record


def build_index(gallery: Gallery, *, steps: Step | None = None) -> IndexRecord:
    """Builds the index of a gallery that may stand alone.

    Args:
        gallery: The gallery.
        steps: As for `index_atlas`.

    Returns:
        What was built. A `Gallery` of its version that is given this searches by it.
    """
    steps = steps or (lambda _what: lambda _done, _total: None)
    photos = _made_up(gallery)
    truth = gallery.search(photos, NEIGHBOURS, exact=True, progress=steps("Searching exactly")).cells
    version = create_index(gallery.table, gallery.version, steps("Building the index"))
    index, partitions = Index(gallery.table, version), partitions_for(len(gallery))
    effort, recall = FIRST_EFFORT, 0.0
    while True:

        def ask(some: slice, effort: int = effort) -> Scores:
            return _recalls(index.nearest(photos[some], NEIGHBOURS, probes=partitions, effort=effort)[0], truth[some])

        recalls = ask(slice(FEW))
        if recalls.mean() >= RECALL + SPARE or effort >= len(gallery):
            recalls = np.concatenate([recalls, ask(slice(FEW, None))])
            recall = float(recalls.mean())
            if recall - SURE * recalls.std() / np.sqrt(len(recalls)) >= RECALL + SPARE or effort >= len(gallery):
                break
        effort = round(_GROWTH * effort)
    effort = min(MARGIN * effort, max(len(gallery), FIRST_EFFORT))
    return IndexRecord(
        version=version, cells=len(gallery), partitions=partitions, probes=partitions, effort=effort, recall=recall
    )


def _recalls(found: NDArray[np.int64], truth: NDArray[np.int64]) -> Scores:
    """For each photo the share of the cells that were to be found."""
    hit = (found[:, :, None] == truth[:, None, :]).any(1) & (truth >= 0)
    return np.asarray(hit.sum(1) / (truth >= 0).sum(1), np.float32)


def _made_up(gallery: Gallery) -> Scores:
    """(PHOTOS, width) embeddings of photos that are none."""
    rows = np.random.default_rng(_SEED).integers(len(gallery), size=3 * PHOTOS)
    cell, plus, minus = np.split(gallery.vectors(rows), 3)
    photos = cell + (plus - minus) / np.sqrt(np.float32(2))
    return np.asarray(photos / np.maximum(np.linalg.norm(photos, axis=1, keepdims=True), np.finfo(np.float32).tiny))
