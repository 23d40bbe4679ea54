"""What the camera saw, and what it knew: heading, field of view, panorama or not, position.

`Photo.open` reads a file, `Photo.from_array` takes pixels that never were a file, and `write_photo` writes a JPEG
whose metadata `Photo.open` reads back. Needs numpy and Pillow alone.
"""

from tiercel.photos.metadata import Known, Position
from tiercel.photos.photo import ASSUMED_FIELD_OF_VIEW, Photo
from tiercel.photos.write import write_photo

__all__ = ["ASSUMED_FIELD_OF_VIEW", "Known", "Photo", "Position", "write_photo"]
