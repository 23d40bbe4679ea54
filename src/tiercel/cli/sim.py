"""``tiercel sim``: make a city and photos taken in it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def sim(
    out: Annotated[Path, typer.Option("--out", "-o", metavar="DIR", help="Folder to write the city into.")],
    seed: Annotated[
        int, typer.Option(min=0, help="What the city is grown from; the same seed gives the same city.")
    ] = 0,
    size: Annotated[float, typer.Option(min=200, max=10_000, metavar="M", help="Side of the city in metres.")] = 2000.0,
    photos: Annotated[int, typer.Option(min=0, metavar="K", help="How many photos to take in it.")] = 100,
) -> None:
    """Write a simulated city: its overhead map, and photos with their exact positions and headings.

    The map is a GeoTIFF with overviews; the photos are JPEGs with EXIF, listed in a CSV file.

    [bold]Examples[/bold]

    tiercel sim -o city --seed 7 --photos 200

    tiercel sim -o village --seed 7 --size 500 --photos 10
    """
    from tiercel.cli.terminal import progress
    from tiercel.datasets import simulate

    with progress("Making the city and its photos") as report:
        samples = simulate(out, seed=seed, size=size, photos=photos, progress=report)
    print(f"{out}: a city of {size:g} m and {len(samples)} photos")
