"""Places: a projected frame in metres, squares and areas in it, and the tree of cells.

Importing this room needs numpy alone; a `Frame` imports pyproj when it is first asked to project.
"""

from tiercel.geo.area import Area
from tiercel.geo.frame import Frame
from tiercel.geo.square import Square
from tiercel.geo.tree import ZoomTree

__all__ = ["Area", "Frame", "Square", "ZoomTree"]
