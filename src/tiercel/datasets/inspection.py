"""What a folder is, and whether it is whole: any data set of tiercel, or an atlas."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from tiercel.atlas.manifest import FILE as ATLAS_FILE
from tiercel.datasets import justzoomin, simulated
from tiercel.datasets.curation import ground
from tiercel.datasets.curation.pictures import coverage_map
from tiercel.datasets.pairs import Checked, Part, open_pairs
from tiercel.datasets.pairs.files import Listing, parts_of
from tiercel.datasets.pairs.opening import recognise
from tiercel.datasets.pairs.plot import plot, save
from tiercel.datasets.pairs.vigor import labels_in
from tiercel.errors import TiercelError

ZOOMING_SOURCE = (
    "The published one is at huggingface.co/datasets/pcvlab/justzoomin; `tiercel dataset build` and `tiercel sim "
    "--layout justzoomin` make others."
)

Kind = Literal["an atlas", "a simulated city", "a zooming benchmark", "pairs"]

_OVERVIEW = 1600  # pixels
_MAP = "satellite/layout.yaml"
_SPLITS = tuple(justzoomin.SPLITS)


@dataclass(frozen=True)
class Inspected:
    """What a folder is.

    Attributes:
        checked: What it has and lacks.
        draw: Writes a picture of it to a PNG or JPEG file; raises `TiercelError` where it cannot.
    """

    checked: Checked
    draw: Callable[[Path], None]


def inspect(folder: str | Path) -> Inspected:
    """Recognises a data set or an atlas and checks that its files are there; opens no photo of a published data set.

    Args:
        folder: Where it lies.

    Raises:
        TiercelError: There is no such folder, or it is nothing that is known.
    """
    folder = Path(folder)
    match kind_of(folder):
        case "an atlas":
            return Inspected(_check_atlas(folder), lambda path: _draw_atlas(folder, path))
        case "a simulated city":
            return Inspected(_check_simulated(folder), lambda path: _draw_simulated(folder, path))
        case "a zooming benchmark":
            return Inspected(_check_zooming(folder), lambda path: _draw_zooming(folder, path))
        case "pairs":
            pairs = open_pairs(folder, labels=next(iter(labels_in(folder)), "original"))
            return Inspected(pairs.check(), lambda path: plot(pairs, path))


def kind_of(folder: Path) -> Kind:
    """What a folder holds, by the names of a few files; opens none of them.

    Raises:
        TiercelError: There is no such folder, or it is nothing that is known.
    """
    if not folder.is_dir():
        raise TiercelError(f"{folder} is no folder; give the folder of a data set or of an atlas.")
    if (folder / ATLAS_FILE).is_file():
        return "an atlas"
    if any((folder / name).is_file() for name in (simulated.SETTINGS_FILE, simulated.MAP_FILE)):
        return "a simulated city"
    if any((folder / name).is_file() for name in (_MAP, *justzoomin.SPLITS.values())):
        return "a zooming benchmark"
    if recognise(folder) is not None:
        return "pairs"
    raise TiercelError(
        f"{folder} is no data set that is known: it has neither the lists or folders of VIGOR, CVUSA or CVACT, nor "
        f"{_MAP} (the zooming benchmark), {simulated.MAP_FILE} (a simulated city), {ATLAS_FILE} (an atlas), nor "
        "the two folders photos and tiles."
    )


def _check_zooming(folder: Path) -> Checked:
    listing = Listing()

    def of_split(split: str) -> list[Part]:
        path = folder / justzoomin.SPLITS[split]
        table = listing.part(f"table of split {split}", [path], folder)
        if not table.there or not listing.has(folder / _MAP):
            return [table]
        samples = justzoomin.JustZoomIn.open(folder).samples(split)
        return [table, listing.part(f"photos of split {split}", (sample.file for sample in samples), folder)]

    parts, problems = parts_of(
        lambda: [listing.part("map", [folder / _MAP], folder)], *(partial(of_split, split) for split in _SPLITS)
    )
    return Checked("a zooming benchmark", folder, parts, problems, source=ZOOMING_SOURCE)


def _check_simulated(folder: Path) -> Checked:
    listing = Listing()
    files = [folder / simulated.MAP_FILE, folder / simulated.TABLE_FILE]
    steps: list[Callable[[], list[Part]]] = [lambda: [listing.part("map and table", files, folder)]]
    if listing.has(folder / simulated.TABLE_FILE):
        steps.append(lambda: [listing.part("photos", (one.file for one in simulated.read_dataset(folder)), folder)])
    parts, problems = parts_of(*steps)
    return Checked("a simulated city", folder, parts, problems, source="Run the `tiercel sim` that made it again.")


def _check_atlas(folder: Path) -> Checked:
    from tiercel.atlas import Atlas

    source = "Run the `tiercel build` that made it again."
    try:
        atlas = Atlas.open(folder)
        leaves = Part(f"leaf cells of {atlas.tree.side(atlas.tree.depth):g} m", len(atlas.leaf_index))
    except TiercelError as error:
        return Checked("an atlas", folder, (), (str(error),), source=source)
    made = f"It was made of {atlas.map_name} ({atlas.map_source}) for the model {atlas.manifest.model.name}."
    return Checked("an atlas", folder, (leaves,), notes=(made,), source=source)


def _draw_zooming(folder: Path, path: Path) -> None:
    data = justzoomin.JustZoomIn.open(folder)
    places: list[tuple[float, float, str]] = []
    for split in _SPLITS:
        samples = data.samples(split)
        latitude, longitude = np.array([(one.latitude, one.longitude) for one in samples]).reshape(-1, 2).T
        east, south = ground.shares(data.division, latitude, longitude)
        places += [(u, v, split) for u, v in zip(east.tolist(), south.tolist(), strict=True)]
    overhead = data.read_square((), _OVERVIEW)
    data.basemap.close()
    _save_map(path, overhead, places, data.side_m, f"{data.name}: a zooming benchmark")


def _draw_simulated(folder: Path, path: Path) -> None:
    from tiercel.geo import Square
    from tiercel.maps import open_map

    with open_map(folder / simulated.MAP_FILE) as basemap:
        west, south, east, north = basemap.bounds
        square = Square((west + east) / 2, (south + north) / 2, max(east - west, north - south))
        overhead, _ = basemap.read(square, _OVERVIEW)
    side = square.side
    places = [
        ((sample.x - square.west) / side, (square.north - sample.y) / side, "photo")
        for sample in simulated.read_dataset(folder)
    ]
    _save_map(path, overhead, places, side, f"{folder.resolve().name}: a simulated city")


def _draw_atlas(folder: Path, path: Path) -> None:
    from tiercel.atlas import Atlas

    atlas = Atlas.open(folder)
    overhead, _ = atlas.overview(_OVERVIEW)
    _save_map(path, overhead, [], atlas.tree.root.side, f"{folder.resolve().name}: an atlas of {atlas.map_name}")


def _save_map(
    path: Path, overhead: NDArray[np.uint8], places: Sequence[tuple[float, float, str]], side: float, title: str
) -> None:
    save(coverage_map(overhead, places, [], side, title), path)
