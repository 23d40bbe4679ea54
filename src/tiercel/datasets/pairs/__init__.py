"""Data sets of pairs: street photos and the overhead tiles they belong to."""

from tiercel.datasets.pairs.files import read_tile
from tiercel.datasets.pairs.folders import Folders
from tiercel.datasets.pairs.opening import open_pairs
from tiercel.datasets.pairs.pairs import Checked, PairDataset, PairQuery, PairSplit, Part, Reference

__all__ = [
    "Checked", "Folders", "PairDataset", "PairQuery", "PairSplit", "Part", "Reference", "open_pairs", "read_tile",
]  # fmt: skip
