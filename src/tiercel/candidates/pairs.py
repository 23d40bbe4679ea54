"""Candidates from the gallery of a benchmark of pairs, whose pictures are its own tiles."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from tiercel.candidates.files import CandidateFile, read_candidates
from tiercel.candidates.lists import Candidate, CandidateList
from tiercel.candidates.matching import FileIndex
from tiercel.errors import TiercelError
from tiercel.geo.sphere import haversine_m
from tiercel.photos import Position

if TYPE_CHECKING:
    from tiercel.datasets.pairs import PairQuery, PairSplit, Reference


def candidates_of_pairs(split: PairSplit, ranking: ArrayLike, scores: ArrayLike | None = None) -> list[CandidateList]:
    """Candidates of all queries of a split, from a ranking of its gallery.

    A candidate's `crop` is the tile's own file, its `cell` the tile's number in the gallery. The positive is `correct`;
    semi-positives are not, and are marked.

    Args:
        split: The gallery and the queries.
        ranking: (queries, k) integers: numbers of the best tiles of each query, the best first.
        scores: (queries, k) what they were ranked by, not rising along a row; None if not known.

    Returns:
        One list a query, in the order of the split.

    Raises:
        ValueError: A shape is wrong, there is no such tile, a row names a tile twice, or scores rise along one.
    """
    tiles = np.asarray(ranking)
    values = np.full(tiles.shape, np.nan) if scores is None else np.asarray(scores, np.float64)
    _check_ranking(split, tiles, values)
    return [
        _list(split, query, tiles[row].tolist(), None if scores is None else values[row].tolist())
        for row, query in enumerate(split.queries)
    ]


def mark_pairs(path: str | Path, split: PairSplit) -> CandidateFile:
    """Reads candidates that name tiles of a benchmark, as the paper's list does, and says which are right.

    Files are told by their paths, or else, as the list may come from another machine or another variant of the folders,
    by as much of the ends of their paths as is the only one.

    Args:
        path: Either format.
        split: The gallery and the queries; the file may hold fewer of these.

    Returns:
        What the file holds, with the tiles' numbers, coordinates and files as the split has them, and the truth.

    Raises:
        TiercelError: The file cannot be read, or names a photo or a tile that is not in the split.
    """
    content = read_candidates(path)
    photos = FileIndex([query.file for query in split.queries])
    tiles = FileIndex([reference.file for reference in split.gallery])
    lists = []
    for number, one in enumerate(content.lists, 1):
        query = photos.most_like(one.query)
        numbers = [tiles.most_like(it.crop) if it.crop else None for it in one.candidates]
        if query is None:
            raise TiercelError(f"{path}, query {number}: {one.query} is no photo of this split; read it with another.")
        found = [tile for tile in numbers if tile is not None]
        if len(found) < len(numbers):
            name = one.candidates[numbers.index(None)].crop or "a candidate without a picture"
            raise TiercelError(
                f"{path}, query {number}: {name} is no tile of this gallery; read it with another split."
            )
        scores = [it.score for it in one.candidates]
        known = [score for score in scores if score is not None]
        lists.append(_list(split, split.queries[query], found, known if len(known) == len(scores) else None))
    return replace(content, lists=tuple(lists))


def _check_ranking(split: PairSplit, tiles: np.ndarray, scores: np.ndarray) -> None:
    if tiles.ndim != 2 or len(tiles) != len(split.queries) or scores.shape != tiles.shape:
        raise ValueError(
            f"{len(split.queries)} queries need as many rows of tiles and scores, not {tiles.shape} and {scores.shape}"
        )
    if not np.issubdtype(tiles.dtype, np.integer) or (
        tiles.size and not 0 <= tiles.min() <= tiles.max() < len(split.gallery)
    ):
        raise ValueError(f"tiles are numbers from 0 to {len(split.gallery) - 1}")
    if (np.diff(np.sort(tiles, 1), axis=1) == 0).any():
        raise ValueError("a row names a tile twice")
    if (np.diff(scores, axis=1) > 0).any():
        raise ValueError("scores rise along a row: the best tile comes first")


def _list(split: PairSplit, query: PairQuery, tiles: Sequence[int], scores: Sequence[float] | None) -> CandidateList:
    truth = None
    if query.latitude is not None and query.longitude is not None:
        truth = Position(query.latitude, query.longitude, f"{split.name} split")
    candidates = []
    for place, tile in enumerate(tiles):
        reference = split.gallery[tile]
        candidate = Candidate(
            cell=tile,
            score=None if scores is None else scores[place],
            crop=reference.file,
            crop_m=reference.side_m,
            latitude=reference.latitude,
            longitude=reference.longitude,
            side_m=reference.side_m,
            distance_m=_distance(truth, reference),
            correct=tile == query.positive,
            semi_positive=tile in query.semi_positives,
        )
        candidates.append(candidate)
    return CandidateList(
        query=query.file,
        candidates=tuple(candidates),
        truth=truth,
        positive=split.gallery[query.positive].file,
        panorama=query.panorama,
        field_of_view=query.field_of_view,
        heading=query.heading,
    )


def _distance(truth: Position | None, reference: Reference) -> float | None:
    if truth is None or reference.latitude is None or reference.longitude is None:
        return None
    return float(haversine_m(truth.latitude, truth.longitude, reference.latitude, reference.longitude))
