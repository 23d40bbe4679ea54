"""A benchmark of one's own: photos and a map in, the published folder out."""

from tiercel.datasets.curation.build import Built, build_dataset
from tiercel.datasets.curation.choosing import Choices
from tiercel.datasets.curation.quality import Thresholds

__all__ = ["Built", "Choices", "Thresholds", "build_dataset"]
