"""``tiercel build``: prepare a map for locating photos on it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def build(
    source: Annotated[
        str,
        typer.Argument(
            metavar="MAP",
            help="GeoTIFF, COG, VRT, MBTiles, tile folder, tile URL with {z}/{x}/{y}, or the layout.yaml of a pyramid.",
        ),
    ],
    out: Annotated[Path, typer.Option("--out", "-o", metavar="DIR", help="Folder of the atlas to write.")],
    model: Annotated[
        str, typer.Option(help="Model: 'bundled', a checkpoint folder, or a Hugging Face id.")
    ] = "bundled",
    crs: Annotated[
        str | None, typer.Option(metavar="EPSG:n", help="Coordinate system, for a map that does not say its own.")
    ] = None,
    leaf: Annotated[
        float | None,
        typer.Option(min=1, metavar="M", help="Side of the smallest cells in metres, instead of the model's own."),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace an atlas that was built from something else.")
    ] = False,
) -> None:
    """Encode every cell of a map, once, so that a photo is located on it in a moment.

    Stopped half-way, the same command goes on where it was. Of tiles from a URL, #area=SOUTH,WEST,NORTH,EAST says which
    part of the world to take.

    [bold]Examples[/bold]

    tiercel build city.tif -o city.atlas

    tiercel build town.mbtiles -o town.atlas --model runs/mine

    tiercel build 'https://tiles.example/{z}/{x}/{y}.jpg#area=46.94,7.42,46.96,7.47' -o town.atlas
    """
    from tiercel.atlas import build as build_atlas
    from tiercel.cli.terminal import progress
    from tiercel.maps import open_map
    from tiercel.models import load_model

    with open_map(source, crs=crs) as basemap, progress("Encoding the map") as report:
        network = load_model(model)
        network = network.on_grid(leaf) if leaf else network
        atlas = build_atlas(basemap, network, out, progress=report, overwrite=overwrite)
    cells, side = len(atlas.leaf_index), atlas.tree.side(atlas.tree.depth)
    print(f"{out}: {cells:,} cells of {side:g} m, from {atlas.map_name}")
