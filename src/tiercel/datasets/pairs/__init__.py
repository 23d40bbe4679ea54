"""Data sets of pairs: street photos and the overhead tiles they belong to."""

from tiercel.datasets.pairs.pairs import Checked, PairDataset, PairQuery, PairSplit, Part, Reference

__all__ = ["Checked", "PairDataset", "PairQuery", "PairSplit", "Part", "Reference"]
