"""A map prepared for one model: the features of every cell of the tree, on disk."""

from tiercel.atlas.append import append
from tiercel.atlas.atlas import Atlas
from tiercel.atlas.build import build
from tiercel.atlas.gallery import GalleryPlan

__all__ = ["Atlas", "GalleryPlan", "append", "build"]
