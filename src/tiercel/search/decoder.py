"""The published decoder as a policy: scores of child cells given the path to them, every shared prefix computed once.

The keys and values of a square depend on the photo and on the squares around it alone, so they are kept while a photo
is searched for: n squares of one level cost n pairs of tokens, whatever was picked before and however many of
them share a way down. See `tiercel.models.decoder`.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tiercel.atlas import Atlas
from tiercel.geo import ZoomTree
from tiercel.models.decoder import KeyValue, ZoomDecoder
from tiercel.models.packing import packed
from tiercel.search.policy import Indices, Scores

AT_ONCE = 256
"""Squares that go through the decoder together, to bound memory."""
MOST_AHEAD = 256
"""Most squares that are scored along with one that is asked for."""


class DecoderSquares:
    """A decoder and the tokens of all squares of a map, ready for any number of photos.

    Args:
        decoder: The decoder.
        tree: The tree of cells, as deep as the decoder picks.
        tokens: For each level but the leaves', (count(level), width) float32 in flat order.
        covered: For each level from 1, (count(level),) whether the map covers a cell; all of them if left out.

    Raises:
        ValueError: The tree is not the decoder's.
    """

    def __init__(
        self,
        decoder: ZoomDecoder,
        tree: ZoomTree,
        tokens: Sequence[NDArray[np.float32]],
        covered: Sequence[NDArray[np.bool_]] | None = None,
    ) -> None:
        """Puts the tokens where the decoder is."""
        config = decoder.config
        if (tree.depth, tree.branching) != (config.depth, config.grid):
            raise ValueError(f"a decoder of {config.depth} picks among {config.grid**2} cannot walk {tree}")
        self.decoder, self.tree = packed(decoder), tree
        device = decoder.freqs.device
        self.tokens = [torch.from_numpy(np.ascontiguousarray(level)).to(device) for level in tokens]
        levels = range(1, tree.depth + 1)
        self.covered = list(covered) if covered else [np.ones(tree.count(level), np.bool_) for level in levels]

    @classmethod
    def of(cls, atlas: Atlas, decoder: ZoomDecoder) -> DecoderSquares:
        """The squares of an atlas that was built for the decoder's model."""
        tree = atlas.tree
        tokens = [atlas.square_tokens(level) for level in atlas.square_levels]
        return cls(decoder, tree, tokens, [atlas.covered(level) for level in range(1, tree.depth + 1)])

    def policy(self, photo: NDArray[np.float32] | Tensor, *, logits: bool = False) -> DecoderPolicy:
        """The policy for one photo.

        Args:
            photo: (width,) from `Model.encode_tokens`.
            logits: Score cells by the decoder's logits, not by their log-probabilities among siblings. The searches
                that walk down rank leaves the same; `posterior` does not.
        """
        return DecoderPolicy(self, torch.as_tensor(photo).to(self.tokens[0].device), logits)


class DecoderPolicy:
    """Scores of child cells for one photo, as `Policy`; what was computed is kept.

    Args:
        squares: The decoder and the map.
        photo: (width,).
        logits: See `DecoderSquares.policy`.

    Attributes:
        expanded: Squares whose children were scored so far.
    """

    def __init__(self, squares: DecoderSquares, photo: Tensor, logits: bool = False) -> None:
        """Nothing is scored yet."""
        self.squares, self.tree, self.photo, self.logits = squares, squares.tree, photo, logits
        self.expanded = 0
        tree = self.tree
        self._scores = [np.full((tree.count(level), tree.branching**2), np.nan, np.float32) for level in self._inner]
        # Log-probability of the way down to each cell, as far as it is known.
        self._reached = [np.full(tree.count(level), -np.inf) for level in self._inner]
        self._reached[0][:] = 0.0
        self._slots = [np.full(tree.count(level), -1) for level in self._inner]
        self._kept = [_Prefixes() for _ in self._inner]
        self._asked = [0] * tree.depth

    @property
    def _inner(self) -> range:
        return range(self.tree.depth)

    def child_scores(self, level: int, row: Indices, col: Indices) -> Scores:
        """Scores of the children of cells, as `Policy.child_scores`.

        A search that asks for one cell of a level after the other is given the likeliest of those that it has not
        asked for yet along with it, more of them the longer it goes on: a few dozen cost hardly more than one.
        """
        cells = self.tree.flat(level, row, col)
        missing = self._unknown(level, np.unique(cells))
        if len(missing):
            if len(cells) == 1:
                missing = self._with_likely(level, missing)
            self._expand(level, missing)
        return np.asarray(self._scores[level][cells])

    def node_scores(self, level: int) -> Scores:
        """Scores of all cells of a level, as `Policy.node_scores`; memory is bounded by `AT_ONCE` squares."""
        above = level - 1
        parents = np.arange(self.tree.count(above))
        alive = parents if above == 0 else parents[self.squares.covered[above - 1]]
        self._expand(above, self._unknown(above, alive))
        scores = np.where(np.isnan(self._scores[above]), np.float32(-np.inf), self._scores[above])
        side, g = self.tree.cells_per_side(above), self.tree.branching
        return np.ascontiguousarray(scores.reshape(side, side, g, g).swapaxes(1, 2)).ravel()

    def _unknown(self, level: int, cells: Indices) -> Indices:
        return np.asarray(cells[np.isnan(self._scores[level][cells, 0])])

    def _with_likely(self, level: int, cell: Indices) -> Indices:
        """The cell, and the likeliest others of its level that are not scored yet."""
        count = min(2 ** self._asked[level] - 1, MOST_AHEAD)
        self._asked[level] += 1
        reached = np.where(np.isnan(self._scores[level][:, 0]), self._reached[level], -np.inf)
        reached[cell] = -np.inf
        count = min(count, int(np.isfinite(reached).sum()))
        if not count:
            return cell
        return np.concatenate([cell, np.argpartition(-reached, count - 1)[:count]])

    @torch.inference_mode()
    def _expand(self, level: int, cells: Indices) -> None:
        """Score the children of cells that are not scored yet, and of their ancestors first."""
        if level and len(cells):
            above = self.tree.flat(level - 1, *self.tree.parent(level, *self.tree.unflat(level, cells)))
            self._expand(level - 1, self._unknown(level - 1, np.unique(above)))
        for start in range(0, len(cells), AT_ONCE):
            self._expand_some(level, cells[start : start + AT_ONCE])
        self.expanded += len(cells)

    def _expand_some(self, level: int, cells: Indices) -> None:
        decoder, tree = self.squares.decoder, self.tree
        row, col = tree.unflat(level, cells)
        squares = self.squares.tokens[level][torch.from_numpy(cells)]
        if level:
            picks = torch.from_numpy(tree.path(level, row, col)[:, -1]).to(squares.device)
            leading = decoder.action_embed(picks)
        else:
            leading = self.photo[None]
        past = self._prefix(level, row, col) if level else []
        logits, new = decoder.extend(torch.stack([leading, squares], 1), level, past)
        if level < tree.depth - 1:
            self._keep(level, cells, past, new)
        self._note(level, cells, logits.float().cpu().numpy())

    def _prefix(self, level: int, row: Indices, col: Indices) -> list[KeyValue]:
        """For each block the keys and values of all pairs above cells of a level."""
        above = self.tree.flat(level - 1, *self.tree.parent(level, row, col))
        return self._kept[level - 1].at(torch.from_numpy(self._slots[level - 1][above]).to(self.photo.device))

    def _keep(self, level: int, cells: Indices, past: Sequence[KeyValue], new: Sequence[KeyValue]) -> None:
        """Remember the keys and values of the whole way down to cells, for what lies below them."""
        pairs = zip(past, new, strict=True) if level else ()
        whole = [tuple(torch.cat(both, 2) for both in zip(*pair, strict=True)) for pair in pairs] or new
        self._slots[level][cells] = self._kept[level].add(whole)

    def _note(self, level: int, cells: Indices, logits: NDArray[np.float32]) -> None:
        """Keep the scores of the children of cells."""
        tree = self.tree
        children = tree.flat(level + 1, *tree.children(level, *tree.unflat(level, cells)))
        logits = np.where(self.squares.covered[level][children], logits, np.float32(-np.inf))
        highest = logits.max(-1, keepdims=True)
        highest = np.where(np.isfinite(highest), highest, 0.0)
        with np.errstate(divide="ignore"):
            total = highest + np.log(np.exp(logits - highest).sum(-1, keepdims=True))
        probability = logits - np.where(np.isfinite(total), total, 0.0)
        self._scores[level][cells] = logits if self.logits else probability
        if level + 1 < tree.depth:
            self._reached[level + 1][children] = self._reached[level][cells][:, None] + probability


class _Prefixes:
    """Keys and values of the ways down to squares of one level, in the order in which they were added."""

    def __init__(self) -> None:
        self._count = 0
        self._tables: list[tuple[Tensor, Tensor]] = []

    def add(self, new: Sequence[Sequence[Tensor]]) -> Indices:
        """Add n squares; for each block keys and values (n, heads, P, head). The rows where they are found."""
        count = self._count + len(new[0][0])
        if not self._tables:
            self._tables = [(key, value) for key, value in new]
        else:
            if count > len(self._tables[0][0]):
                self._tables = [(_grown(key, count), _grown(value, count)) for key, value in self._tables]
            for table, added in zip(self._tables, new, strict=True):
                for part, values in zip(table, added, strict=True):
                    part[self._count : count] = values
        first, self._count = self._count, count
        return np.arange(first, count, dtype=np.int64)

    def at(self, rows: Tensor) -> list[KeyValue]:
        """For each block the keys and values at rows."""
        return [(key[rows], value[rows]) for key, value in self._tables]


def _grown(table: Tensor, rows: int) -> Tensor:
    """A copy with room for at least so many rows, and for twice as many as there are."""
    room = table.new_empty((max(rows, 2 * len(table)), *table.shape[1:]))
    room[: len(table)] = table
    return room
