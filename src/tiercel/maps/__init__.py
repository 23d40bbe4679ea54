"""Overhead imagery, whatever it is stored in."""

from tiercel.maps.basemap import Basemap
from tiercel.maps.geotiff import write_geotiff
from tiercel.maps.opening import open_map
from tiercel.maps.write_pyramid import write_pyramid

__all__ = ["Basemap", "open_map", "write_geotiff", "write_pyramid"]
