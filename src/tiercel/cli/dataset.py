"""``tiercel dataset``: make a benchmark of one's own, and get photos for one."""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from tiercel.cli.terminal import progress_of_steps, say, stoppable
from tiercel.errors import TiercelError

dataset = typer.Typer(
    name="dataset",
    no_args_is_help=True,
    rich_markup_mode="rich",
    help="Make a benchmark of your own: photos and a map in, the published folder out.",
)


@dataset.command()
def build(
    source: Annotated[
        str, typer.Option("--map", metavar="MAP", help="Overhead map of any kind that `tiercel build` takes.")
    ],
    out: Annotated[Path, typer.Option("--out", "-o", metavar="DIR", help="Folder of the benchmark to make.")],
    photos: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Folder of photos, searched with all folders in it.")
    ] = None,
    table: Annotated[
        Path | None,
        typer.Option("--csv", metavar="FILE", help="Says where they were taken: columns image, latitude, longitude."),
    ] = None,
    crs: Annotated[
        str | None, typer.Option(metavar="EPSG:n", help="Coordinate system, for a map that does not say its own.")
    ] = None,
    leaf: Annotated[float, typer.Option(min=1, metavar="M", help="Side of a leaf cell in metres.")] = 39.0625,
    depth: Annotated[
        int | None, typer.Option(min=1, max=8, help="Picks from the root to a leaf; the side is leaf x 4^depth.")
    ] = None,
    centre: Annotated[
        str | None, typer.Option(metavar="LAT,LON", help="Centre of the square; chosen around the photos otherwise.")
    ] = None,
    split: Annotated[
        Literal["block", "sequence", "random"], typer.Option(help="What is never on both sides of the split.")
    ] = "block",
    validation: Annotated[float, typer.Option(min=0.0, max=0.9, help="Share of the photos for validation.")] = 0.1,
    block: Annotated[float | None, typer.Option(min=1, metavar="M", help="Side of the blocks in metres.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of the split.")] = 0,
    blur: Annotated[float, typer.Option(help="Drop as blurred above this; 1 keeps all.")] = 0.5,
    dark: Annotated[float, typer.Option(help="Drop as dark below this mean brightness; 0 keeps all.")] = 0.1,
    obstructed: Annotated[
        float, typer.Option(help="Drop as obstructed where something bare hides more than this; 1 keeps all.")
    ] = 0.4,
    sky: Annotated[float, typer.Option(help="Drop as sky only above this share of sky; 1 keeps all.")] = 0.85,
    indoors: Annotated[
        float, typer.Option(help="Drop as indoors, without sky, above this bare share of the upper third; 1 keeps all.")
    ] = 0.6,
    duplicates: Annotated[
        float, typer.Option(min=0, metavar="M", help="Within how many metres to look for near-duplicates; 0 keeps all.")
    ] = 10.0,
    alike: Annotated[
        float, typer.Option(min=0, max=1, help="Share of the bits of two photos' hashes in which duplicates differ.")
    ] = 0.12,
    pause: Annotated[float, typer.Option(min=0, metavar="S", help="Seconds after which a new sequence begins.")] = 60.0,
    step_m: Annotated[
        float, typer.Option("--step", min=0, metavar="M", help="Metres after which a new sequence begins.")
    ] = 100.0,
    max_side: Annotated[int, typer.Option(min=64, metavar="PX", help="Shrink longer photos to this.")] = 2048,
    photo_licence: Annotated[str, typer.Option(help="Licence of the photos that do not say their own.")] = "",
    photo_attribution: Annotated[str, typer.Option(help="Whom to credit for those.")] = "",
    map_attribution: Annotated[str, typer.Option(help="Whom to credit for the map, and its licence.")] = "",
    workers: Annotated[int, typer.Option(min=1, help="Processes; as many as there are cores unless given.")] = (
        os.cpu_count() or 1
    ),
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace a benchmark that this command made before.")
    ] = False,
) -> None:
    """Make a benchmark in the published layout from geotagged photos and a map.

    Photos that are of no use are left out, each with a reason: look at curation/contact_sheet.jpg and coverage_map.jpg
    in the new folder. Stopped half-way, the same command goes on where it was.

    [bold]Examples[/bold]

    tiercel dataset build --photos holiday --map town.tif -o mine

    tiercel dataset build --photos berlin --map berlin.mbtiles -o berlin-benchmark --split sequence

    tiercel dataset build --photos drive --csv drive/log.csv --map town.tif -o drive-benchmark --leaf 20 --depth 3
    """
    from tiercel.datasets.curation import Choices, Thresholds, build_dataset

    choices = Choices(
        leaf=leaf, depth=depth, centre=_centre(centre), split=split, validation=validation, block=block, seed=seed,
        thresholds=Thresholds(blur=blur, brightness=dark, obstruction=obstructed, sky=sky, ceiling=indoors),
        duplicate_distance=duplicates, duplicate_difference=alike, pause=pause, step=step_m, long_side=max_side,
        photo_licence=photo_licence, photo_attribution=photo_attribution, map_attribution=map_attribution,
    )  # fmt: skip
    with progress_of_steps() as step, stoppable():
        built = build_dataset(
            out, source, photos=photos, table=table, crs=crs, choices=choices, workers=workers, overwrite=overwrite,
            steps=step,
        )  # fmt: skip
    _tell(built.folder, built.report)


def _centre(text: str | None) -> tuple[float, float] | None:
    if text is None:
        return None
    try:
        latitude, longitude = (float(part) for part in text.split(","))
    except ValueError:
        latitude = longitude = math.nan
    if not (abs(latitude) <= 90 and abs(longitude) <= 180):
        raise TiercelError(f"--centre {text!r} is no place: give latitude,longitude in degrees, such as 52.505,13.370.")
    return latitude, longitude


def _tell(folder: Path, report: dict[str, Any]) -> None:
    """Prints what became of the photos."""
    print(f"{folder}: {report['kept']:,} of {report['photos']:,} photos kept")
    for reason, count in report["dropped"].items():
        if count:
            print(f"  dropped {count:6,}  {reason}")
    cells, side = 16 ** report["square"]["depth"], report["square"]["side_m"]
    between = f", {report['left_out']:,} in between left out" if report["left_out"] else ""
    print(f"  {report['train']:,} for training, {report['val']:,} for validation{between}, split by {report['split']}")
    print(
        f"  {side:g} m square of {cells:,} cells of {report['leaf_m']:g} m, {report['occupied_leaves']:,} with photos"
    )
    print(f"  look at {folder / 'curation' / 'contact_sheet.jpg'} and {folder / 'curation' / 'coverage_map.jpg'}")
    leaf = math.ceil(report["reach_m"] / 4 ** report["square"]["depth"])
    if report["map"]["covered"] < 0.5 and leaf < report["leaf_m"]:
        say(
            f"The map shows {report['map']['covered']:.0%} of the square; --leaf {leaf} would make one of "
            f"{leaf * 4 ** report['square']['depth']:,} m around the photos."
        )
    if report["licences"].get("not stated"):
        say("Not all photos say under which licence they are: name it with --photo-licence before you pass them on.")


@dataset.command()
def mapillary(
    bbox: Annotated[
        str, typer.Option(metavar="W,S,E,N", help="Box to take photos from: west, south, east, north, in degrees.")
    ],
    out: Annotated[Path, typer.Option("--out", "-o", metavar="DIR", help="Folder to download into.")],
    token: Annotated[
        str,
        typer.Option(
            envvar="MAPILLARY_TOKEN", show_default=False, help="Access token; better given in the environment."
        ),
    ] = "",
    kind: Annotated[
        Literal["all", "flat", "panorama"], typer.Option(help="Photos of which kind.", case_sensitive=False)
    ] = "all",
    size: Annotated[
        Literal["2048", "original"], typer.Option(help="Pixels of the long side, or as they were uploaded.")
    ] = "2048",
    limit: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="No more than so many photos, evenly from all there are.")
    ] = None,
    rate: Annotated[float, typer.Option(min=0.1, max=500, metavar="R", help="Requests a second at most.")] = 20.0,
    tries: Annotated[int, typer.Option(min=1, max=20, help="How often a request is made before it is given up.")] = 6,
    timeout: Annotated[
        float, typer.Option(min=0.1, metavar="S", help="Seconds of silence after which one has failed.")
    ] = 30.0,
    api: Annotated[
        str, typer.Option(metavar="URL", help="Address of the API, for mirrors.")
    ] = "https://graph.mapillary.com",
) -> None:
    """Download photos from Mapillary, with the place, the author and the licence of each.

    Stopped half-way, the same command goes on where it was. The photos are under CC BY-SA 4.0: photos.csv names whom to
    credit for each. A token is free at https://www.mapillary.com/dashboard/developers.

    [bold]Example[/bold]

    tiercel dataset mapillary --bbox 13.36,52.50,13.38,52.51 -o berlin
    """
    from tiercel.datasets.mapillary import download
    from tiercel.datasets.mapillary.client import Patience
    from tiercel.datasets.mapillary.listing import parse_box

    box, patience = parse_box(bbox), Patience(timeout=timeout, tries=tries, rate=rate)
    with progress_of_steps() as step, stoppable():
        result = download(
            out, box, token.strip(), api=api, kind=kind, size=size, limit=limit, patience=patience,
            listing=step("Asking for photos"), fetching=step("Downloading"),
        )  # fmt: skip
    there = f", {result.there} were there" if result.there else ""
    gone = f", {len(result.gone)} no longer exist" if result.gone else ""
    print(f"{out}: {result.new} new photos of {result.found}{there}{gone}; photos.csv lists them all")
    for number, trouble in list(result.failed.items())[:5]:
        say(f"{number}: {trouble}")
    if result.failed:
        say(f"{len(result.failed)} photos did not come: run the same command again for them.")
