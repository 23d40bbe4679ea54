"""Pictures of the ground around candidates, shared by all photos that have a candidate in common."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from tiercel.errors import TiercelError
from tiercel.geo import Square
from tiercel.photos.decode import BACKDROP
from tiercel.photos.write import replacing

if TYPE_CHECKING:
    from tiercel.locate import Locator

SETTINGS_FILE = "crops.json"
LEAVES_ACROSS = 3
"""Sides of a leaf that a crop spans unless told otherwise: the leaf and the neighbours that it stands for."""
PIXELS = 384

_QUALITY = 92


class Crops:
    """A folder of JPEG pictures of cells, north up, named `level-row-col.jpg`, and `crops.json`, what they show.

    They come from the map itself where the locator has it, else from the atlas's coarse overview. Ground that is not
    covered is mid grey. A picture that is there is not written again.

    Args:
        folder: Where to; made if missing.
        locator: Holds the map.
        side_m: Side of the ground that a picture shows, metres; three leaves if left out.
        pixels: Side of a picture.

    Raises:
        TiercelError: The folder cannot be made, holds crops of another map or size, or the locator's map lies in
            another frame than its atlas.
    """

    def __init__(self, folder: str | Path, locator: Locator, side_m: float | None = None, pixels: int = PIXELS) -> None:
        """Claims the folder."""
        self.folder, self._locator, self.pixels = Path(folder), locator, pixels
        self._tree = locator.atlas.tree
        self.side_m = side_m or LEAVES_ACROSS * self._tree.side(self._tree.depth)
        basemap, frame = locator.basemap, locator.atlas.frame
        if basemap is not None and basemap.frame != frame:
            raise TiercelError(
                f"{basemap.source} lies in {basemap.frame.name} and the atlas in {frame.name}: give the map that the "
                "atlas was built from."
            )
        self._claim()

    @property
    def made_from(self) -> str:
        """``map`` or ``overview``."""
        return "overview" if self._locator.basemap is None else "map"

    @property
    def resolution(self) -> float:
        """Metres a pixel of what the pictures are made from."""
        from tiercel.atlas.overview import PIXELS as OVERVIEW_PIXELS  # whoever only reads candidates needs no atlas

        basemap = self._locator.basemap
        return basemap.resolution if basemap is not None else self._tree.root.side / OVERVIEW_PIXELS

    @property
    def of_another_map(self) -> bool:
        """Whether they show another map than the one that was searched."""
        basemap = self._locator.basemap
        return basemap is not None and basemap.fingerprint() != self._locator.atlas.manifest.map.fingerprint

    def of(self, level: int, row: int, col: int) -> Path:
        """The picture around a cell, made if missing."""
        digits = len(str(self._tree.cells_per_side(level) - 1))
        path = self.folder / f"{level}-{row:0{digits}d}-{col:0{digits}d}.jpg"
        if not path.is_file():
            x, y = self._tree.centre(level, row, col)
            rgb, covered = self._locator.overhead(Square(float(x), float(y), self.side_m), self.pixels)
            picture = Image.fromarray(np.where(covered[..., None], rgb, np.uint8(BACKDROP)))
            with replacing(path) as part:
                picture.save(part, "JPEG", quality=_QUALITY, subsampling=0)
        return path

    def _settings(self) -> dict[str, Any]:
        atlas, basemap, root = self._locator.atlas, self._locator.basemap, self._tree.root
        return {
            "version": 1,
            "map_fingerprint": basemap.fingerprint() if basemap is not None else atlas.manifest.map.fingerprint,
            "made_from": self.made_from,
            "crs": atlas.frame.name,
            "root": {"x": root.x, "y": root.y, "side": root.side},
            "branching": self._tree.branching,
            "crop_m": self.side_m,
            "pixels": self.pixels,
        }

    def _claim(self) -> None:
        """Writes what the folder is going to hold, or makes sure that it holds just that."""
        path, settings = self.folder / SETTINGS_FILE, self._settings()
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            there = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None
        except OSError as error:
            raise TiercelError(f"{self.folder} cannot be made ({error.strerror}): choose another folder.") from error
        except ValueError as error:
            raise TiercelError(f"{path} is damaged ({error}): choose another folder for the crops.") from error
        if there is None:
            with replacing(path) as part:
                part.write_text(json.dumps(settings, indent=1) + "\n", encoding="utf-8")
        elif there != settings:
            differs = next((name for name in settings if there.get(name) != settings[name]), "version")
            raise TiercelError(
                f"{self.folder} holds crops of another {differs} (see {SETTINGS_FILE}): choose another folder for "
                "these."
            )
