"""Losses, batches, one loop, and recipes as YAML."""

from tiercel.training.loop import train
from tiercel.training.recipe import Recipe
from tiercel.training.splits import SPLITS, seeds, split_of

__all__ = ["SPLITS", "Recipe", "seeds", "split_of", "train"]
