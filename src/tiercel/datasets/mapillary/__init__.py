"""Photos from Mapillary, with the licence and the author of each."""

from tiercel.datasets.mapillary.download import Downloaded, download

__all__ = ["Downloaded", "download"]
