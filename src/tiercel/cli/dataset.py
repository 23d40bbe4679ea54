"""``tiercel dataset``: make a benchmark of one's own, and get photos for one."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from tiercel.cli.terminal import progress, say

dataset = typer.Typer(
    name="dataset",
    no_args_is_help=True,
    rich_markup_mode="rich",
    help="Make a benchmark of your own: photos and a map in, the published folder out.",
)


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
    with progress("Asking for photos") as listing, progress("Downloading") as fetching:
        result = download(
            out, box, token.strip(), api=api, kind=kind, size=size, limit=limit, patience=patience,
            listing=listing, fetching=fetching,
        )  # fmt: skip
    there = f", {result.there} were there" if result.there else ""
    gone = f", {len(result.gone)} no longer exist" if result.gone else ""
    print(f"{out}: {result.new} new photos of {result.found}{there}{gone}; photos.csv lists them all")
    for number, trouble in list(result.failed.items())[:5]:
        say(f"{number}: {trouble}")
    if result.failed:
        say(f"{len(result.failed)} photos did not come: run the same command again for them.")
