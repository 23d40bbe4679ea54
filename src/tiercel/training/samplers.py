"""Which pairs meet in a batch: each is a wrong answer for all others there, and the likelier ones teach the most.

As published for Sample4Geo (ICCV 2023): a batch begins with a random pair, which brings some of its neighbours along,
half of them the nearest and half drawn from a larger pool, and goes on with the next random pair until it is full.
Neighbours are those on the ground at first (GPS sampling), later those whose tiles the network takes for the photo's
(dynamic similarity sampling). No two pairs of a batch are such that either photo would fit the other's tile.
"""

from __future__ import annotations

from collections import deque

import numpy as np
from numpy.typing import NDArray

from tiercel.errors import TiercelError
from tiercel.training.pairs import Indices, PairSource
from tiercel.training.recipe import Stage

Neighbours = NDArray[np.int32]
"""(n, pool) pairs, nearest first, filled up with -1; a row for each pair of a source."""
ROWS_AT_ONCE = 512
SAMPLINGS = ("random", "gps", "dynamic")


def members_of_epoch(count: int, stage: Stage, seed: int, epoch: int) -> Indices:
    """The pairs that an epoch takes, in order: all `count` of them, or those that are drawn for it."""
    wanted = min(stage.pairs_per_epoch or count, count)
    # Passes through all pairs are cut into epochs: hardly a pair comes again before the others have come.
    passes, part = divmod(epoch, count // wanted)
    order = np.random.default_rng([seed, passes, 13]).permutation(count)
    return np.sort(order[part * wanted : (part + 1) * wanted])


def geographic_neighbours(source: PairSource, pool: int) -> Neighbours:
    """The pairs whose photos were taken nearest to each pair's, without its rivals.

    Raises:
        TiercelError: the source does not know where its photos were taken.
    """
    if not np.isfinite(source.positions).all():
        raise TiercelError(
            "these photos come without coordinates, so none are known to be neighbours on the ground: "
            "set sampling: random, or dynamic with gps_epochs: 0."
        )
    out = np.full((len(source), pool), -1, np.int32)
    for group in np.unique(source.group):
        members = np.nonzero(source.group == group)[0]
        places = source.positions[members]
        for first in range(0, len(members), ROWS_AT_ONCE):
            some = members[first : first + ROWS_AT_ONCE]
            here = source.positions[some]
            squared = (here[:, :1] - places[:, 0]) ** 2 + (here[:, 1:] - places[:, 1]) ** 2
            out[some] = _nearest(-squared, some, members, source, pool)
    return out


def embedding_neighbours(
    photos: NDArray[np.float32], tiles: NDArray[np.float32], members: Indices, source: PairSource, pool: int
) -> Neighbours:
    """The pairs whose tiles are most like each pair's photo, without its rivals.

    Args:
        photos: (m, width) embeddings of the photos of `members`.
        tiles: (m, width) those of their tiles.
        members: (m,) pairs of the source; the others get no neighbours and are nobody's.
        source: The pairs.
        pool: How many neighbours.
    """
    out = np.full((len(source), pool), -1, np.int32)
    for first in range(0, len(members), ROWS_AT_ONCE):
        some = members[first : first + ROWS_AT_ONCE]
        out[some] = _nearest(photos[first : first + ROWS_AT_ONCE] @ tiles.T, some, members, source, pool)
    return out


def _nearest(
    closeness: NDArray[np.floating], rows: Indices, columns: Indices, source: PairSource, pool: int
) -> Neighbours:
    """For each row the `pool` columns of greatest closeness that are no rivals of it."""
    place = np.full(len(source), -1)
    place[columns] = np.arange(len(columns))
    for row, index in enumerate(rows):
        rivals = place[source.rivals(int(index))]
        closeness[row, rivals[rivals >= 0]] = -np.inf
    taken = min(pool, len(columns))
    best = np.argpartition(-closeness, taken - 1, axis=1)[:, :taken]
    order = np.argsort(-np.take_along_axis(closeness, best, 1), axis=1, kind="stable")
    best = np.take_along_axis(best, order, 1)
    found = np.where(np.take_along_axis(closeness, best, 1) > -np.inf, columns[best], -1)
    return np.pad(found, ((0, 0), (0, pool - taken)), constant_values=-1).astype(np.int32)


def chosen_neighbours(pool: NDArray[np.int32], count: int, rng: np.random.Generator) -> Indices:
    """Half of `count` the nearest of a pool, half drawn from its others, in this order."""
    pool = pool[pool >= 0]
    nearest, others = pool[: count // 2], pool[count // 2 :]
    drawn = rng.permutation(others)[: count - count // 2]
    return np.concatenate([nearest, drawn]).astype(np.int64)


def batches_of_epoch(
    source: PairSource,
    members: Indices,
    size: int,
    neighbours: Neighbours | None,
    chosen: int,
    rng: np.random.Generator,
) -> Indices:
    """The batches of an epoch: (len(members) // size, size) pairs.

    Every pair comes once; but where those that are left would all be rivals of a batch's, it is filled up with pairs
    that came before.

    Args:
        source: The pairs.
        members: The pairs of this epoch.
        size: Of a batch.
        neighbours: Who may join whom; None leaves it to chance.
        chosen: How many neighbours join a pair.
        rng: Source of chance.

    Raises:
        TiercelError: there are too few pairs that are no rivals to fill a batch.
    """
    if len(members) < size:
        raise TiercelError(
            f"an epoch of {len(members)} pairs does not fill one batch of {size}: set pairs_per_batch to that or less."
        )
    waiting = deque(rng.permutation(members).tolist())
    free = np.zeros(len(source), bool)
    free[members] = True
    batches = np.zeros((len(members) // size, size), np.int64)
    for batch in batches:
        filling = _Filling(source, size)
        passed_over = []
        while waiting and not filling.full:
            index = waiting.popleft()
            if not free[index]:
                continue
            if not filling.add(index):
                passed_over.append(index)
                continue
            free[index] = False
            near = () if neighbours is None else chosen_neighbours(neighbours[index], chosen, rng)
            for other in near:
                if free[other] and filling.add(int(other)):
                    free[other] = False
        waiting.extendleft(reversed(passed_over))
        for index in rng.permutation(members) if not filling.full else ():
            filling.add(int(index))
        if not filling.full:
            raise TiercelError(
                f"no {size} pairs of {len(members)} belong to different places: set pairs_per_batch to less than "
                f"{len(filling.pairs) + 1}, or train on more."
            )
        batch[:] = filling.pairs
    return batches


class _Filling:
    """A batch that is being filled."""

    def __init__(self, source: PairSource, size: int) -> None:
        self.source, self.size = source, size
        self.pairs: list[int] = []
        self._barred: set[int] = set()

    @property
    def full(self) -> bool:
        return len(self.pairs) == self.size

    def add(self, index: int) -> bool:
        """Take a pair, unless the batch is full or holds a rival of it."""
        if self.full or index in self._barred:
            return False
        self.pairs.append(index)
        self._barred.update(self.source.rivals(index).tolist())
        return True
