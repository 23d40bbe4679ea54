"""The whole path on one city: make it, prepare its map, locate photos taken in it, show what came out."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from rich.table import Table

from tiercel.atlas import Atlas, build
from tiercel.datasets import SimulatedSample, simulate
from tiercel.datasets.simulated import MAP_FILE
from tiercel.demo.page import City, Timing, render
from tiercel.demo.pictures import draw
from tiercel.demo.results import KINDS, RADII_M, Located, methods, recalls
from tiercel.locate import Locator
from tiercel.maps import Basemap, open_map
from tiercel.models import load_model
from tiercel.photos import Photo
from tiercel.photos.write import replacing

PHOTOS = 50
SIZE_M = 2000.0
CITY_PIXELS = 1600

Say = Callable[[str], None]


@dataclass(frozen=True)
class Demo:
    """What came out of a city.

    Attributes:
        basemap: its map, open for reading.
        atlas: the map, prepared.
        model: name of the model.
        located: its photos, the best located first.
        timing: seconds spent.
    """

    basemap: Basemap
    atlas: Atlas
    model: str
    located: list[Located]
    timing: Timing

    @property
    def methods(self) -> dict[str, list[float]]:
        """Recall within :data:`RADII_M` by method, in percent."""
        depth = self.atlas.tree.depth
        return methods(
            self.located, self.atlas.tree.centre(depth, *self.atlas.tree.unflat(depth, self.atlas.leaf_index))
        )

    @property
    def kinds(self) -> dict[str, list[float]]:
        """Recall of the answers within :data:`RADII_M` by kind of photo, in percent."""
        errors = {name: [one.error_m for one in self.located if one.kind == kind] for kind, name in KINDS.items()}
        return {name: recalls(some) for name, some in errors.items() if some}


def run(
    seed: int, folder: Path, *, say: Say, model: str = "bundled", photos: int = PHOTOS, size: float = SIZE_M
) -> tuple[Path, Table]:
    """Make a city, locate photos in it, and write the page.

    Args:
        seed: the city's seed.
        folder: where the city, its atlas and the page go; what is there already is used again.
        say: told what is being done.
        model: name or folder of the model.
        photos: how many.
        size: side of the city in metres.

    Returns:
        The page, and a table of the results for the terminal.

    Raises:
        TiercelError: the folder holds something else, or the model does not load.
    """
    with locate_city(seed, folder, say=say, model=model, photos=photos, size=size) as demo:
        say("Drawing the page ...")
        page = folder / "index.html"
        with replacing(page) as part:
            part.write_text(_page(seed, demo), encoding="utf-8")
        return page, _table(demo)


@contextmanager
def locate_city(
    seed: int, folder: Path, *, say: Say, model: str = "bundled", photos: int = PHOTOS, size: float = SIZE_M
) -> Iterator[Demo]:
    """Make a city and locate photos taken in it.

    Args:
        seed: the city's seed.
        folder: where the city and its atlas go.
        say: told what is being done.
        model: name or folder of the model.
        photos: how many: panoramas and 90 degree photos in turn, of both every second with its heading.
        size: side of the city in metres.

    Yields:
        What came out; its map is open while the block runs.
    """
    seconds: dict[str, float] = {}

    @contextmanager
    def timed(what: str, words: str) -> Iterator[None]:
        say(f"{words} ...")
        start = time.perf_counter()
        yield
        seconds[what] = time.perf_counter() - start

    city = folder / f"city-{seed}"
    with timed("making the city", f"Making a city of seed {seed} and taking {photos} photos in it"):
        samples = simulate(city, seed=seed, size=size, photos=photos)
    with open_map(city / MAP_FILE) as basemap:
        with timed("encoding the map", "Encoding its map"):
            network = load_model(model)
            atlas = build(basemap, network, folder / f"city-{seed}.atlas", overwrite=True)
        locator = Locator(atlas, network, basemap)
        with timed("locating", "Locating the photos"):
            located = [_locate(locator, sample, index) for index, sample in enumerate(samples)]
        located.sort(key=lambda one: one.error_m)
        yield Demo(basemap, atlas, network.name, located, Timing(seconds))


def _locate(locator: Locator, sample: SimulatedSample, index: int) -> Located:
    photo = Photo.open(sample.file)
    north_known = index // 2 % 2 == 0  # the two kinds come in turn
    if not north_known:
        photo = dataclasses.replace(photo, heading=None)
    analysis = locator.analyse(photo)
    zoomed = analysis.zoom_greedy.steps()[-1]
    return Located(
        kind=f"{sample.kind}_north" if north_known else sample.kind,
        photo=photo,
        x=sample.x,
        y=sample.y,
        fix=locator.fix(analysis, photo.name),
        greedy=(zoomed.x, zoomed.y),
    )


def _page(seed: int, demo: Demo) -> str:
    tree = demo.atlas.tree
    pixels, _ = demo.basemap.read(tree.root, CITY_PIXELS)
    city = City(seed, tree.root, pixels, tree.side(tree.depth), len(demo.atlas.leaf_index))
    pictures = [draw(one, demo.basemap.read) for one in demo.located]
    return render(city, demo.located, pictures, demo.methods, demo.kinds, demo.model, demo.timing)


def _table(demo: Demo) -> Table:
    count = len(demo.located)
    table = Table(title=f"{count} photos located in a city never seen", title_justify="left")
    table.add_column("share found within")
    for radius in RADII_M:
        table.add_column(f"{radius} m", justify="right")
    for rows, emphasis in ((demo.methods, "bold"), (demo.kinds, "")):
        for index, (name, values) in enumerate(rows.items()):
            table.add_row(name, *(f"{value:.1f} %" for value in values), style=emphasis if index == 0 else "")
        table.add_section()
    return table
