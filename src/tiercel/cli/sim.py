"""``tiercel sim``: make a city and photos taken in it."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from tiercel.errors import TiercelError


class Layout(StrEnum):
    """How a city is laid out on disk."""

    TIERCEL = "tiercel"
    JUSTZOOMIN = "justzoomin"


_LARGEST = 4000.0  # metres that one picture and its city may have in memory


def sim(
    out: Annotated[Path, typer.Option("--out", "-o", metavar="DIR", help="Folder to write the city into.")],
    seed: Annotated[
        int, typer.Option(min=0, help="What the city is grown from; the same seed gives the same city.")
    ] = 0,
    size: Annotated[float, typer.Option(min=200, max=10_000, metavar="M", help="Side of the city in metres.")] = 2000.0,
    photos: Annotated[int, typer.Option(min=0, metavar="K", help="How many photos to take in it.")] = 100,
    layout: Annotated[
        Layout,
        typer.Option(
            help="'justzoomin' writes the folder of the published zooming benchmark: a tile pyramid, photos along "
            "drives, and the tables of both splits."
        ),
    ] = Layout.TIERCEL,
    kind: Annotated[
        list[str] | None,
        typer.Option(help="Kind of photos: panorama, photo_90 or photo_70; may be repeated.", metavar="KIND"),
    ] = None,
) -> None:
    """Write a simulated city: its overhead map, and photos with their exact positions and headings.

    The map is a GeoTIFF with overviews; the photos are JPEGs with EXIF, listed in a CSV file. A city of more than 4 km
    needs the layout 'justzoomin', which is made piece by piece.

    [bold]Examples[/bold]

    tiercel sim -o city --seed 7 --photos 200

    tiercel sim -o village --seed 7 --size 500 --photos 10

    tiercel sim -o metropolis --size 10000 --layout justzoomin --photos 1000 --kind panorama
    """
    from tiercel.cli.terminal import progress

    kinds = tuple(kind or ("panorama", "photo_90"))
    if layout is Layout.TIERCEL and size > _LARGEST:
        raise TiercelError(
            f"A city of {size:g} m does not fit into one picture: give --layout justzoomin, or --size {_LARGEST:g}."
        )
    with progress("Making the city and its photos") as report:
        if layout is Layout.JUSTZOOMIN:
            from tiercel.datasets.simulated_benchmark import simulate_benchmark

            data = simulate_benchmark(out, seed=seed, size=size, photos=photos, kinds=kinds, progress=report)
            leaves = f", {data.division.leaves:,} leaf cells of {size / data.branching**data.depth:g} m"
        else:
            from tiercel.datasets import simulate

            simulate(out, seed=seed, size=size, photos=photos, kinds=kinds, progress=report)
            leaves = ""
    print(f"{out}: a city of {size:g} m and {photos} photos{leaves}")
