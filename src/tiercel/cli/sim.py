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
    VIGOR = "vigor"
    CVUSA = "cvusa"
    CVACT = "cvact"


_SIZE = 2000.0
_LARGEST = 4000.0  # metres that one picture and its city may have in memory


def sim(
    out: Annotated[Path, typer.Option("--out", "-o", metavar="DIR", help="Folder to write the city into.")],
    seed: Annotated[
        int, typer.Option(min=0, help="What the city is grown from; the same seed gives the same city.")
    ] = 0,
    size: Annotated[
        float | None,
        typer.Option(
            min=200,
            max=10_000,
            metavar="M",
            help="Side of the city in metres: 2000 by default, 400 or 800 for pairs.",
        ),
    ] = None,
    photos: Annotated[int, typer.Option(min=0, metavar="K", help="How many photos to take in it.")] = 100,
    layout: Annotated[
        Layout,
        typer.Option(
            help="'justzoomin' writes the folder of the published zooming benchmark: a tile pyramid, photos along "
            "drives, and the tables of both splits. 'vigor', 'cvusa' and 'cvact' write miniatures of these data sets "
            "of pairs, of several cities with the seeds that follow."
        ),
    ] = Layout.TIERCEL,
    kind: Annotated[
        list[str] | None,
        typer.Option(
            help="Kind of photos: panorama, photo_90 or photo_70; may be repeated. Pairs have panoramas alone.",
            metavar="KIND",
        ),
    ] = None,
    difficulty: Annotated[
        str,
        typer.Option(
            help="'plain', or 'hard': hills, an older map of another season with leaning buildings, careless cameras.",
            metavar="NAME",
        ),
    ] = "plain",
) -> None:
    """Write a simulated city: its overhead map, and photos with their exact positions and headings.

    The map is a GeoTIFF with overviews; the photos are JPEGs with EXIF, listed in a CSV file. A city of more than 4 km
    needs the layout 'justzoomin', which is made piece by piece. The layouts 'vigor', 'cvusa' and 'cvact' hold pairs of
    panoramas and tiles, in their published sizes.

    [bold]Examples[/bold]

    tiercel sim -o city --seed 7 --photos 200

    tiercel sim -o village --seed 7 --size 500 --photos 10

    tiercel sim -o hard --seed 7 --difficulty hard

    tiercel sim -o pairs --layout vigor --photos 80

    tiercel sim -o metropolis --size 10000 --layout justzoomin --photos 1000 --kind panorama
    """
    from tiercel.cli.terminal import progress

    if size is not None and layout is not Layout.JUSTZOOMIN and size > _LARGEST:
        raise TiercelError(
            f"A city of {size:g} m does not fit into one picture: give --layout justzoomin, or --size {_LARGEST:g}."
        )
    if difficulty != "plain" and layout is not Layout.TIERCEL:
        raise TiercelError(f"The layout '{layout}' is of difficulty 'plain' alone: leave --difficulty or --layout out.")
    if layout in (Layout.VIGOR, Layout.CVUSA, Layout.CVACT):
        _pairs(out, layout, seed, size, photos, kind)
        return
    size, kinds = size or _SIZE, tuple(kind or ("panorama", "photo_90"))
    with progress("Making the city and its photos") as report:
        if layout is Layout.JUSTZOOMIN:
            from tiercel.datasets.simulated_benchmark import simulate_benchmark

            data = simulate_benchmark(out, seed=seed, size=size, photos=photos, kinds=kinds, progress=report)
            leaves = f", {data.division.leaves:,} leaf cells of {size / data.branching**data.depth:g} m"
        else:
            from tiercel.datasets import simulate

            simulate(out, seed=seed, size=size, photos=photos, kinds=kinds, difficulty=difficulty, progress=report)
            leaves = ""
    print(f"{out}: a city of {size:g} m and {photos} photos{leaves}")


def _pairs(out: Path, layout: Layout, seed: int, size: float | None, photos: int, kind: list[str] | None) -> None:
    """Write a miniature of a data set of pairs."""
    from tiercel.cli.terminal import progress
    from tiercel.datasets.simulated_pairs import simulate_pairs

    if kind and set(kind) != {"panorama"}:
        raise TiercelError(f"The layout '{layout}' has panoramas alone: leave --kind out.")
    with progress("Making the cities and their pairs") as report:
        data = simulate_pairs(out, layout=layout, seed=seed, size=size, photos=photos, progress=report)
    counts = ", ".join(f"{len(data.split(name).queries)} in split {name}" for name in data.splits)
    print(f"{out}: {data.name}; photos: {counts}")
