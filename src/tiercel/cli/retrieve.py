"""``tiercel retrieve``: the likeliest places of many photos, as candidates to rank again."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from tiercel.cli.terminal import progress, say, stoppable
from tiercel.errors import TiercelError

if TYPE_CHECKING:
    from tiercel.candidates import CandidateFile, CandidateList, Crops
    from tiercel.candidates.truth import Truth

NAMED = 20
"""Failed photos that are named on the terminal; the file lists all."""


def retrieve(
    photos: Annotated[
        list[Path],
        typer.Argument(metavar="PHOTO", help="Street photos, or folders, searched with all folders in them."),
    ],
    atlas: Annotated[
        Path, typer.Option("--atlas", metavar="DIR", help="The prepared map, from [bold]tiercel build[/bold].")
    ],
    out: Annotated[Path, typer.Option("--out", "-o", metavar="FILE", help="File of candidates to write.")],
    count: Annotated[int, typer.Option(min=1, metavar="N", help="Candidates for each photo.")] = 20,
    crops: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Write a picture from above of each candidate here.")
    ] = None,
    source: Annotated[
        str | None, typer.Option("--map", metavar="MAP", help="The map itself, for sharper pictures in DIR.")
    ] = None,
    truth: Annotated[
        str | None,
        typer.Option(
            metavar="TRUTH",
            help="Judge the candidates: exif for the photos' own GPS, or a CSV file with image, latitude, longitude.",
        ),
    ] = None,
    form: Annotated[
        Literal["jsonl", "paper"],
        typer.Option(
            "--format", help="JSON lines with all that is known, or a JSON list of query_path and predictions."
        ),
    ] = "jsonl",
    model: Annotated[str, typer.Option(help="The model the atlas was built for.")] = "bundled",
    method: Annotated[
        Literal["retrieval", "zoom", "first", "final"],
        typer.Option(help="What ranks them: retrieval, zooming, both together, or the geometric match after both."),
    ] = "first",
    apart: Annotated[
        int, typer.Option(min=0, metavar="N", help="Leave out cells this many or fewer from a better one.")
    ] = 1,
    north: Annotated[
        bool, typer.Option("--north/--no-north", help="Use the headings of the photos that carry one, or none.")
    ] = True,
    within: Annotated[
        str | None,
        typer.Option(metavar="AREA", help="Look only in a GeoJSON polygon, or LAT,LON,METRES around a position."),
    ] = None,
    crop: Annotated[
        float | None,
        typer.Option(min=1, metavar="M", help="Side of the ground a picture shows; three cells otherwise."),
    ] = None,
    crop_pixels: Annotated[int, typer.Option(min=16, max=4096, metavar="PX", help="Side of a picture.")] = 384,
) -> None:
    """List the likeliest places of each photo, with pictures and scores, for something else to choose from.

    Stopped half-way, the same command goes on where it was. Photos that cannot be read are listed as failed; the same
    command does them again. With --truth, it is also said how often the right place is among the candidates. A photo's
    own position has no part in finding them.

    [bold]Examples[/bold]

    tiercel retrieve photos --atlas city.atlas -o candidates.jsonl --crops crops --map city.tif

    tiercel retrieve city/photos --atlas city.atlas -o candidates.jsonl --truth city/photos.csv --count 50

    tiercel retrieve photos --atlas city.atlas -o candidates.json --format paper --crops crops --map city.tif
    """
    from tiercel.candidates import Crops, Plan, retrieve_into
    from tiercel.geo import Area
    from tiercel.locate import Locator
    from tiercel.maps import open_map

    lines = _lines(out, form, crops)
    with open_map(source) if source else nullcontext() as basemap:
        locator = Locator.open(atlas, model, basemap)
        area = Area.parse(within, locator.atlas.frame) if within else None
        plan = Plan(count, method, apart, area, north)
        others = [atlas, crops, source, locator.atlas.map_source]
        queries = list(_queries(photos, [Path(other).resolve() for other in others if other]))
        known = _truth(truth, queries)
        pictures = Crops(crops, locator, crop, crop_pixels) if crops else None
        _warn_of(pictures)
        with stoppable(), progress("Looking for places") as report:
            found = retrieve_into(lines, locator, queries, plan, crops=pictures, truth=known, progress=report)
    _tell(lines, found, plan.count, truth)
    if pictures:
        print(f"  {crops}: pictures of {pictures.side_m:g} m of ground, {pictures.pixels} pixels wide")
    if form == "paper":
        _write_paper(out, found)
    _tell_of_failed(lines, found.failed)


def _lines(out: Path, form: str, crops: Path | None) -> Path:
    """The file of JSON lines: all that is known is in one, whatever is written beside it."""
    if out.is_dir():
        raise TiercelError(f"{out} is a folder: give the name of a file in it, such as {out / 'candidates.jsonl'}.")
    if form == "jsonl":
        return out
    from tiercel.candidates import read_candidates

    if crops is None:
        raise TiercelError("--format paper lists the candidates' pictures: say with --crops where they go.")
    if out.suffix != ".json":
        raise TiercelError(
            f"{out}: end the name of the paper's list in .json; a .jsonl file of all else goes beside it."
        )
    if out.exists():
        read_candidates(out)  # refuses what is no such list, so that no other file of that name is lost
    return out.with_suffix(".jsonl")


def _queries(photos: Iterable[Path], others: list[Path]) -> Iterator[Path]:
    """The photos among what was given; atlas, map and crops are none, were they in the same folder."""
    from tiercel.datasets.curation.sources import SUFFIXES, photos_below

    for path in photos:
        if not path.exists():
            raise TiercelError(f"There is no photo or folder {path}: check the path.")
        if not path.is_dir():
            yield path
            continue
        files = [file for file in photos_below(path) if not any(file.resolve().is_relative_to(it) for it in others)]
        if not files:
            raise TiercelError(f"{path} holds no photos ({', '.join(SUFFIXES)}): give the folder that does.")
        yield from files


def _truth(text: str | None, queries: list[Path]) -> Truth | None:
    from tiercel.candidates.truth import ExifTruth, TableTruth

    if text is None:
        return None
    return ExifTruth() if text == "exif" else TableTruth(text, queries)


def _tell(lines: Path, found: CandidateFile, count: int, truth: str | None) -> None:
    """Prints how many there are, and the ceiling: how often any order of the candidates could be right."""
    from tiercel.candidates import CORRECT_M, recall

    print(f"{lines}: {count} candidates for each of {len(found.lists):,} photos")
    shares = recall(found.lists, sorted({k for k in (1, 5, 10, count) if k <= count}))
    if shares:
        judged = sum(one.judged for one in found.lists)
        words = ", ".join(f"{share:.1%} in the first {k}" for k, share in shares.items())
        print(f"  right within {CORRECT_M:g} m: {words}, of {judged:,} photos whose place is known")
    elif truth and found.lists:
        say("Nothing was judged, because none of the photos says where it was taken: give a table with --truth.")


def _warn_of(crops: Crops | None) -> None:
    """Says what pictures will not show."""
    if crops is None:
        return
    if crops.made_from == "overview":
        say(
            f"The pictures will be coarse, {crops.resolution:.2g} m a pixel, being made from the atlas's overview: "
            "give --map and another folder for sharper ones."
        )
    elif crops.of_another_map:
        say("The pictures will show another map than the one that is searched: the atlas was built from other imagery.")


def _write_paper(out: Path, found: CandidateFile) -> None:
    from tiercel.candidates import write_paper

    if found.failed:
        say(f"{out} is not written while photos fail, because the paper's list cannot say so.")
        return
    write_paper(out, found.lists)
    print(f"{out}: the same as the paper's list")


def _tell_of_failed(lines: Path, failed: Sequence[CandidateList]) -> None:
    """Names the photos that failed.

    Raises:
        typer.Exit: There are any.
    """
    for one in failed[:NAMED]:
        say(f"Error: {one.failed}")
    if len(failed) > NAMED:
        say(f"and {len(failed) - NAMED:,} more.")
    if failed:
        photos, them = ("1 photo", "it") if len(failed) == 1 else (f"{len(failed):,} photos", "them")
        say(f"{photos} failed, and {lines} lists {them} so: mend {them} and run the same command again.")
        raise typer.Exit(2)
