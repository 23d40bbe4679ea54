"""A map prepared for one model: the features of every cell of the tree, on disk."""

from tiercel.atlas.atlas import Atlas
from tiercel.atlas.build import build

__all__ = ["Atlas", "build"]
