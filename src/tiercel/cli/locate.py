"""``tiercel locate``: where was this photo taken?"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Sequence
from contextlib import nullcontext
from itertools import chain, combinations, count
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from tiercel.cli.judges import PANEL, Cache, Choice, JudgeName, Prompts, Sent, Settings, TournamentName, Url
from tiercel.cli.terminal import say
from tiercel.errors import TiercelError

if TYPE_CHECKING:
    from tiercel.candidates.on_map import Method
    from tiercel.fix import Fix
    from tiercel.geo import Area
    from tiercel.locate import Locator, Prior
    from tiercel.photos import Photo
    from tiercel.rerank import Judge
    from tiercel.rerank.second_look import SecondLook
    from tiercel.rerank.tournaments import Tournament

EXIF_RADIUS_M = 100.0
"""How far off a photo's own GPS position is taken to be: phones between houses err by tens of metres."""
SPOT_M = 50.0
"""Photos that by their own GPS are further apart than this are hardly from one spot."""


def locate(
    photos: Annotated[list[Path], typer.Argument(metavar="PHOTO", help="Street photos: JPEG, PNG, WebP or TIFF.")],
    atlas: Annotated[
        Path, typer.Option("--atlas", metavar="DIR", help="The prepared map, from [bold]tiercel build[/bold].")
    ],
    model: Annotated[str, typer.Option(help="The model the atlas was built for.")] = "bundled",
    out: Annotated[
        Path | None, typer.Option("--out", metavar="DIR", help="Write GeoJSON, GeoTIFF and a picture of each fix here.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object a photo, one a line.")] = False,
    heading: Annotated[
        float | None,
        typer.Option(metavar="H", help="Azimuth of the photo's centre, degrees from north; else from EXIF, else open."),
    ] = None,
    field_of_view: Annotated[
        float | None,
        typer.Option(metavar="F", help="Horizontal degrees the photo spans; else from EXIF, else assumed."),
    ] = None,
    panorama: Annotated[
        bool | None,
        typer.Option("--panorama/--no-panorama", help="Equirectangular or not; else from XMP or the photo's shape."),
    ] = None,
    prior: Annotated[
        str | None,
        typer.Option(metavar="PRIOR", help="What is known: LAT,LON,METRES around it, or exif for the photo's own GPS."),
    ] = None,
    within: Annotated[
        str | None,
        typer.Option(metavar="AREA", help="Look only in a GeoJSON polygon, or LAT,LON,METRES around a position."),
    ] = None,
    source: Annotated[
        str | None, typer.Option("--map", metavar="MAP", help="The map itself, for sharper pictures in DIR.")
    ] = None,
    together: Annotated[
        bool, typer.Option("--together", help="All photos are from one spot: one answer, from what all of them show.")
    ] = False,
    turns: Annotated[
        str | None,
        typer.Option(
            metavar="D,D,...",
            help="With --together: degrees clockwise from the first photo's centre to that of each other one.",
        ),
    ] = None,
    rerank: Annotated[
        str | None,
        typer.Option(
            metavar="ARM",
            help="Let a judge compare the likeliest places before answering: pairwise, pairwise_reasoning, yes_no, and "
            "more, as for tiercel rerank.",
            rich_help_panel=PANEL,
        ),
    ] = None,
    candidates: Annotated[
        Literal["retrieval", "zoom", "first", "final"],
        typer.Option(
            help="Where the places come from: retrieval, zooming, both together, or the geometric match after both.",
            rich_help_panel=PANEL,
        ),
    ] = "first",
    count: Annotated[int, typer.Option(min=2, metavar="N", help="How many.", rich_help_panel=PANEL)] = 10,
    judge: JudgeName = "small",
    url: Url = None,
    tournament: TournamentName = None,
    prompts: Prompts = None,
    cache: Cache = None,
    sent: Sent = None,
    settings: Settings = None,
) -> None:
    """Locate photos on a prepared map: a coordinate, its error radius, and the runners-up.

    A photo's own GPS position is not looked at unless --prior asks for it.

    [bold]Examples[/bold]

    tiercel locate photo.jpg --atlas city.atlas

    tiercel locate *.jpg --atlas city.atlas --json > fixes.jsonl

    tiercel locate photo.jpg --atlas city.atlas --heading 135 --field-of-view 65 --out fixes --map city.tif

    tiercel locate ahead.jpg right.jpg back.jpg left.jpg --atlas city.atlas --together --turns 90,180,270

    tiercel locate photo.jpg --atlas city.atlas --map city.tif --rerank pairwise --out fixes
    """
    from tiercel.geo import Area
    from tiercel.locate import Locator
    from tiercel.maps import open_map
    from tiercel.photos import Photo

    stated, turned = _stated_prior(prior), _stated_turns(turns, len(photos), together)
    if rerank and together:
        raise TiercelError("--rerank compares places for one photo: leave out --together.")
    comparing = Choice(rerank, judge, url, tournament, prompts, cache, sent, settings).opened() if rerank else None
    failed = False
    with open_map(source) if source else nullcontext() as basemap:
        locator = Locator.open(atlas, model, basemap)
        area = Area.parse(within, locator.atlas.frame) if within else None
        if together:
            # The heading that is given is the first photo's; those of the others follow from the turns or their files.
            opened = [
                Photo.open(path, heading=None if index else heading, field_of_view=field_of_view, panorama=panorama)
                for index, path in enumerate(photos)
            ]
            _check_spot(opened)
            known = _own_prior(opened) if prior == "exif" else stated
            fix = locator.locate_together(opened, turned, known, area)
            _show(fix, as_json)
            if out:
                _write(fix, opened, locator, out, photos[0].stem)
            return
        for path, name in zip(photos, _distinct_names(photos), strict=True):
            try:
                photo = Photo.open(path, heading=heading, field_of_view=field_of_view, panorama=panorama)
                known = _own_prior([photo]) if prior == "exif" else stated
                if comparing is None:
                    fix, look = locator.locate(photo, prior=known, within=area), None
                else:
                    look = _compared(locator, photo, comparing, known, area, candidates, count)
                    fix = look.fix
                _show(fix, as_json, look)
                if out:
                    _write(fix, [photo], locator, out, name)
                    if look:
                        look.to_png(out / f"{name}-second-look.png", photo)
            except TiercelError as error:  # the other photos are still to be located
                say(f"Error: {error}")
                failed = True
    if failed:
        raise typer.Exit(2)


def _stated_prior(text: str | None) -> Prior | None:
    """Read ``LAT,LON,METRES``; "exif" depends on the photo and is read later."""
    from tiercel.locate import Prior

    if text is None or text == "exif":
        return None
    try:
        latitude, longitude, radius = (float(part) for part in text.split(","))
    except ValueError:
        raise TiercelError(f"--prior {text}: give LAT,LON,METRES, or the word exif.") from None
    if not (-90 <= latitude <= 90 and -180 <= longitude <= 180 and radius > 0):
        raise TiercelError(
            f"--prior {text}: latitude, longitude or radius is out of range; the order is LAT,LON,METRES."
        )
    return Prior(latitude, longitude, radius)


def _stated_turns(text: str | None, photos: int, together: bool) -> list[float] | None:
    """Read ``D,D,...``: one for each photo after the first."""
    if text is None:
        return None
    if not together:
        raise TiercelError(f"--turns {text}: turns are between photos from one spot; add --together.")
    try:
        turns = [float(part) for part in text.split(",")]
    except ValueError:
        raise TiercelError(
            f"--turns {text}: give degrees clockwise with commas between them, such as 90,180."
        ) from None
    if len(turns) != photos - 1 or not all(map(math.isfinite, turns)):
        raise TiercelError(
            f"--turns {text}: {photos} photos need {photos - 1} turns in degrees, one for each photo after the first."
        )
    return turns


def _check_spot(photos: Sequence[Photo]) -> None:
    """Make sure that photos are different ones, and warn where by their own word they are not from one spot."""
    from tiercel.geo.sphere import haversine_m

    paths = [photo.path.resolve() for photo in photos if photo.path]
    twice = next((path for index, path in enumerate(paths) if path in paths[:index]), None)
    if twice is not None:
        raise TiercelError(f"{twice} is given twice: what it shows counts once; name each photo once.")
    placed = [(photo.path, photo.position) for photo in photos if photo.position is not None]
    for (one, at), (other, to) in combinations(placed, 2):
        apart = float(haversine_m(at.latitude, at.longitude, to.latitude, to.longitude))
        if apart > SPOT_M:
            say(
                f"Warning: by their own GPS {one} and {other} were taken {apart:.0f} m apart, and --together is for "
                "photos from one spot."
            )
            return


def _own_prior(photos: Sequence[Photo]) -> Prior:
    """Take a photo's own GPS position as what is known: that of the first that has one."""
    from tiercel.locate import Prior

    position = next((photo.position for photo in photos if photo.position is not None), None)
    if position is None:
        raise TiercelError(
            f"{photos[0].path}: carries no GPS position; leave out --prior, or give it as LAT,LON,METRES."
        )
    return Prior(position.latitude, position.longitude, EXIF_RADIUS_M)


def _distinct_names(photos: Iterable[Path]) -> Iterator[str]:
    """Name the files of each photo after it; photos of one name in several folders get a number."""
    used: set[str] = set()
    for path in photos:
        numbered = (f"{path.stem}-{number}" for number in count(2))
        name = next(name for name in chain([path.stem], numbered) if name not in used)
        used.add(name)
        yield name


def _compared(
    locator: Locator,
    photo: Photo,
    comparing: tuple[Judge, Tournament],
    prior: Prior | None,
    within: Area | None,
    source: Method,
    count: int,
) -> SecondLook:
    """Let the judge compare; pictures of the places go into a folder that is kept only until then."""
    from tempfile import TemporaryDirectory

    from tiercel.rerank.second_look import second_look

    with TemporaryDirectory(prefix="tiercel-") as folder:
        look = second_look(
            locator, photo, *comparing, Path(folder), prior=prior, within=within, source=source, count=count
        )
        return look.with_pictures()


def _show(fix: Fix, as_json: bool, look: SecondLook | None = None) -> None:
    if as_json:
        extra = {"second_look": look.to_json()} if look else {}
        print(json.dumps({**fix.to_json(), **extra}, allow_nan=False), flush=True)
        return
    fix.print()
    if look:
        look.print()


def _write(fix: Fix, photos: Sequence[Photo], locator: Locator, folder: Path, name: str) -> None:
    from tiercel.photos.write import replacing

    folder.mkdir(parents=True, exist_ok=True)
    with replacing(folder / f"{name}.geojson") as part:
        part.write_text(json.dumps(fix.to_geojson(), allow_nan=False), encoding="utf-8")
    fix.to_geotiff(folder / f"{name}.tif")
    fix.to_png(folder / f"{name}.png", photo=photos[0], overhead=locator.overhead, others=photos[1:])
