"""``python -m tiercel.demo.showcase DEMO OUT``: the pictures of the README, from the demo's city."""

from __future__ import annotations

import sys
from pathlib import Path

from PIL import Image

from tiercel.demo import SEED
from tiercel.demo.run import locate_city
from tiercel.fix.picture import draw_fix

CITY_PIXELS = 1200
KIND = "photo_90"
"""The kind of photo shown: an ordinary one, looking nobody knows where."""


def showcase(seed: int, demo: Path, out: Path) -> None:
    """Write ``city.jpg``, the city from above, and ``fix.jpg``, the best found photo of :data:`KIND`.

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


if __name__ == "__main__":
    showcase(SEED, Path(sys.argv[1]), Path(sys.argv[2]))
