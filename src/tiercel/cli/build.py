"""``tiercel build``: prepare a map for locating photos on it."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tiercel.errors import TiercelError

if TYPE_CHECKING:
    from tiercel.atlas import Atlas, GalleryPlan
    from tiercel.geo import Square
    from tiercel.maps import Basemap
    from tiercel.models import Model


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
    stride: Annotated[
        float | None,
        typer.Option(metavar="S", help="Gallery: how far apart cells are, in their sides; 0.5 lets them overlap."),
    ] = None,
    scales: Annotated[
        str | None, typer.Option(metavar="A,B", help="Gallery: sides of its cells, in smallest cells, such as 1,2.")
    ] = None,
    around: Annotated[
        str | None,
        typer.Option(
            metavar="LAT,LON,KM", help="Plan for so many kilometres a side around a place, to append districts later."
        ),
    ] = None,
    append: Annotated[
        bool, typer.Option("--append", help="Add the map to the atlas in DIR, and leave what is there as it is.")
    ] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace an atlas that was built from something else.")
    ] = False,
) -> None:
    """Encode every cell of a map, once, so that a photo is located on it in a moment.

    Stopped half-way, the same command goes on where it was. Of tiles from a URL, #area=SOUTH,WEST,NORTH,EAST says which
    part of the world to take.

    --stride and --scales are for models with the head 'embedding'. A map that is to be appended has to lie in what the
    atlas has room for: say so with --around when it is first built.

    [bold]Examples[/bold]

    tiercel build city.tif -o city.atlas

    tiercel build town.mbtiles -o town.atlas --model runs/mine

    tiercel build harbour.tif -o town.atlas --append

    tiercel build 'https://tiles.example/{z}/{x}/{y}.jpg#area=46.94,7.42,46.96,7.47' -o town.atlas
    """
    from tiercel.atlas import build as build_atlas
    from tiercel.cli.terminal import progress
    from tiercel.maps import open_map
    from tiercel.models import load_model

    if append:
        if overwrite or any(option is not None for option in (leaf, stride, scales, around)):
            raise TiercelError("--append leaves the atlas as it was built: give it only MAP, --out, --model and --crs.")
        _append(source, out, model, crs)
        return
    with open_map(source, crs=crs) as basemap, progress("Encoding the map") as report:
        network = load_model(model)
        network = network.on_grid(leaf) if leaf else network
        atlas = build_atlas(
            basemap,
            network,
            out,
            root=_root(around, basemap, network) if around else None,
            gallery=_plan(stride, scales),
            progress=report,
            overwrite=overwrite,
        )
    cells, side = len(atlas.leaf_index), atlas.tree.side(atlas.tree.depth)
    print(f"{out}: {cells:,} cells of {side:g} m, from {atlas.map_name}{_gallery(atlas)}")


def _append(source: str, out: Path, model: str, crs: str | None) -> None:
    from tiercel.atlas import Atlas
    from tiercel.atlas import append as append_district
    from tiercel.cli.terminal import progress
    from tiercel.maps import open_map
    from tiercel.models import load_model

    before = Atlas.open(out)
    cells, side = len(before.leaf_index), before.tree.side(before.tree.depth)
    with open_map(source, crs=crs) as basemap, progress("Encoding the map") as report:
        atlas = append_district(basemap, load_model(model).on_grid(side), out, progress=report)
        new = len(atlas.leaf_index) - cells
        told = f"{new:,} new cells of {side:g} m" if new else "nothing new"
        print(f"{out}: {told} from {basemap.name}, {cells + new:,} in all{_gallery(atlas)}")


def _gallery(atlas: Atlas) -> str:
    """What is to be said of the gallery, if there is one."""
    from tiercel.search.gallery import Gallery

    return "" if atlas.manifest.gallery is None else f"; a gallery of {len(Gallery.of(atlas)):,}"


def _plan(stride: float | None, scales: str | None) -> GalleryPlan | None:
    """The gallery that was asked for, None where nothing was said of it."""
    from tiercel.atlas import GalleryPlan

    if stride is None and scales is None:
        return None
    try:
        sides = tuple(float(part) for part in scales.split(",")) if scales else GalleryPlan().scales
    except ValueError:
        raise TiercelError(f"--scales {scales}: give numbers with commas between them, such as 1,2.") from None
    return GalleryPlan(sides, GalleryPlan().stride if stride is None else stride)


def _root(text: str, basemap: Basemap, model: Model) -> Square:
    """Read ``LAT,LON,KM``."""
    from tiercel.atlas.manifest import root_around

    try:
        latitude, longitude, kilometres = (float(part) for part in text.split(","))
    except ValueError:
        raise TiercelError(f"--around {text}: give LAT,LON,KM.") from None
    if not (-90 <= latitude <= 90 and -180 <= longitude <= 180 and 0 < kilometres < math.inf):
        raise TiercelError(f"--around {text}: latitude, longitude or side is out of range; the order is LAT,LON,KM.")
    return root_around(basemap, model, latitude, longitude, 1000 * kilometres)
