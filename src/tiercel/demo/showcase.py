"""``python -m tiercel.demo.showcase DEMO OUT``: the pictures of the README, from the demo's city."""

from __future__ import annotations

import sys
from pathlib import Path

from PIL import Image

from tiercel.demo import SEED
from tiercel.demo.results import Located
from tiercel.demo.run import locate_city
from tiercel.demo.zooming import draw_zooming
from tiercel.fix.picture import draw_fix
from tiercel.locate import Locator
from tiercel.models import load_model

CITY_PIXELS = 1200
KIND = "photo_90"
"""The kind of photo shown: an ordinary one, looking nobody knows where."""
ZOOMED = "panorama_north"
"""The kind of photo whose ways down the map are shown."""
LOST_M, RIGHT_M = 400.0, 50.0


def showcase(seed: int, demo: Path, out: Path) -> None:
    """Write ``city.jpg``, the city from above, and pictures of two photos taken in it.

    ``fix.jpg`` is the best found photo of :data:`KIND`; ``zooming.jpg`` shows the ways down the map with the best found
    one of :data:`ZOOMED` that greedy zooming loses.

    Args:
        seed: the city's seed.
        demo: the demo's folder, whose city and atlas are used again.
        out: where the pictures go.
    """
    out.mkdir(parents=True, exist_ok=True)
    with locate_city(seed, demo, say=print) as found:
        pixels, _ = found.basemap.read(found.atlas.tree.root, CITY_PIXELS)
        Image.fromarray(pixels).save(out / "city.jpg", quality=85)
        one = next(one for one in found.located if one.kind == KIND)
        draw_fix(one.fix, one.photo, found.basemap.read, (one.x, one.y)).save(out / "fix.jpg", quality=88)
        lost = next(one for one in found.located if _saved_by_the_leaves(one))
        analysis = Locator(found.atlas, load_model(), found.basemap).analyse(lost.photo)
        draw_zooming(analysis, lost.photo, found.basemap.read, (lost.x, lost.y)).save(out / "zooming.jpg", quality=88)


def _saved_by_the_leaves(one: Located) -> bool:
    """Greedy zooming went far astray with a photo that was found all the same."""
    return one.kind == ZOOMED and one.greedy_error_m > LOST_M and one.error_m < RIGHT_M


if __name__ == "__main__":
    showcase(SEED, Path(sys.argv[1]), Path(sys.argv[2]))
