"""Tiles from a server, kept on disk once fetched."""

from __future__ import annotations

import http.client
import os
import re
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

from tiercel.errors import TiercelError
from tiercel.geo import Frame
from tiercel.maps.basemap import Window
from tiercel.maps.digest import combined
from tiercel.maps.folder import check_template
from tiercel.maps.pyramid import WEB_MERCATOR, Tile, TilePyramid, decode, middle_tile

#: Requests at a time: what browsers do and servers of free maps ask for.
_CONNECTIONS = 4
_TIMEOUT_SECONDS = 20.0
#: Waits between the attempts at one tile.
_BACK_OFF_SECONDS = (0.5, 1.0, 2.0, 4.0)
_LONGEST_WAIT_SECONDS = 30.0
_MISSING = {204, 404, 410}
_PASSING = {408, 425, 429, 500, 502, 503, 504}
_DEEPEST_ZOOM = 19

Area = tuple[float, float, float, float]


class TileServer:
    """The tiles that a URL template names, inside an area."""

    def __init__(self, template: str, area: Area, zooms: range, cache: Path) -> None:
        """Prepares; nothing is fetched yet.

        Args:
            template: URL with {z}, {x} and {y} or {-y}.
            area: (south, west, north, east), degrees.
            zooms: Zooms to ask for.
            cache: Folder for fetched tiles.
        """
        self._template = template
        self._area = area
        self._cache = cache / combined([template])
        self.extents = {zoom: _tiles_over(area, zoom) for zoom in zooms}
        self._pool = ThreadPoolExecutor(_CONNECTIONS, thread_name_prefix="tiles")

    def tiles(self, zoom: int, wanted: Sequence[Tile]) -> Iterator[bytes | None]:
        """The encoded tiles (column, row), None for those that the server does not have.

        Raises:
            TiercelError: The server fails again and again, refuses, or sends something else than pictures.
        """
        tasks = [self._pool.submit(self._tile, zoom, tile) for tile in wanted]
        try:
            for task in tasks:
                yield task.result()
        finally:
            for task in tasks:
                task.cancel()

    def _tile(self, zoom: int, tile: Tile) -> bytes | None:
        kept = self._cache / str(zoom) / str(tile[0]) / str(tile[1])
        try:
            # An empty file stands for a tile that the server does not have.
            return kept.read_bytes() or None
        except FileNotFoundError:
            data = _fetch(self.where(zoom, tile))
            _keep(kept, data or b"")
            return data

    def where(self, zoom: int, tile: Tile) -> str:
        """The URL of a tile."""
        column, row = tile
        numbers = {"{z}": zoom, "{x}": column, "{y}": row, "{-y}": 2**zoom - 1 - row}
        return re.sub(r"{z}|{x}|{y}|{-y}", lambda match: str(numbers[match[0]]), self._template)

    def fingerprint(self) -> str:
        """A digest of the template, the area and the zooms; what the server sends is taken to stay the same."""
        return combined([self._template, str(self._area), str(sorted(self.extents))])

    def close(self) -> None:
        """Ends the connections."""
        self._pool.shutdown(cancel_futures=True)


def open_url(url: str, cache: str | Path | None = None) -> TilePyramid:
    """The map that a tile server shows of an area.

    Args:
        url: A URL template, then # and the area in degrees, and if wished the zooms:
            "https://example.org/{z}/{x}/{y}.jpg#area=46.30,7.95,46.33,7.99&zoom=12-18", the area being
            south, west, north, east. Without zooms, the finest that the server has in the middle of the area is found
            by asking.
        cache: Folder for fetched tiles; by default one of the user's cache folder.

    Raises:
        TiercelError: The template or area is wrong, or the server has no tiles there or cannot be reached.
    """
    template, _, fragment = url.partition("#")
    check_template(template)
    options = dict(parse_qsl(fragment))
    area = _area(url, options.get("area", ""))
    zooms = _zooms(url, options.get("zoom", f"0-{_DEEPEST_ZOOM}"))
    server = TileServer(template, area, zooms, Path(cache) if cache is not None else _default_cache())
    try:
        if "zoom" not in options:
            server.extents = {zoom: server.extents[zoom] for zoom in range(_finest(server, zooms) + 1)}
        south, west, north, east = area
        x, y = Frame(WEB_MERCATOR.crs).from_wgs84([south, north], [west, east])
        clip = (float(x[0]), float(y[0]), float(x[1]), float(y[1]))
        return TilePyramid(urlsplit(template).hostname or template, url, server, WEB_MERCATOR, clip)
    except BaseException:
        server.close()
        raise


def _finest(server: TileServer, zooms: range) -> int:
    """The finest zoom that the server has in the middle of the area."""
    for zoom in reversed(zooms):
        if next(server.tiles(zoom, [middle_tile(server.extents[zoom])])) is not None:
            return zoom
    raise TiercelError(f"{server.where(0, (0, 0))} and all finer tiles are missing; check the URL in a browser.")


def _area(url: str, text: str) -> Area:
    try:
        south, west, north, east = (float(part) for part in text.split(","))
    except ValueError:
        south = west = north = east = 0.0
    if not (-85 <= south < north <= 85 and -180 <= west < east <= 180):
        raise TiercelError(
            f"{url} does not say which ground to show; end it with #area=SOUTH,WEST,NORTH,EAST in degrees."
        )
    return south, west, north, east


def _zooms(url: str, text: str) -> range:
    match = re.fullmatch(r"(\d+)-(\d+)", text)
    if not match or not int(match[1]) <= int(match[2]) <= 30:
        raise TiercelError(f"{url} names no zooms; write them like &zoom=12-18 behind the area.")
    return range(int(match[1]), int(match[2]) + 1)


def _tiles_over(area: Area, zoom: int) -> Window:
    south, west, north, east = area
    x, y = Frame(WEB_MERCATOR.crs).from_wgs84([south, north], [west, east])
    side = WEB_MERCATOR.side / 2**zoom
    columns, rows = (x - WEB_MERCATOR.origin[0]) / side, (WEB_MERCATOR.origin[1] - y) / side
    return int(columns[0]), int(rows[1]), int(columns[1]) + 1, int(rows[0]) + 1


def _default_cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "tiercel" / "tiles"


def _fetch(url: str) -> bytes | None:
    """One picture from a server; None where the server says that there is none."""
    trouble = ""
    for wait in (0.0, *_BACK_OFF_SECONDS):
        time.sleep(wait)
        try:
            data = _get(url)
            if data is not None:
                decode(data, url)
            return data
        except urllib.error.HTTPError as error:
            if error.code not in _PASSING:
                raise TiercelError(
                    f"{url} was refused ({error.code} {error.reason}); check the URL and your right to use it."
                ) from error
            trouble = f"{error.code} {error.reason}"
            time.sleep(_asked_wait(error))
        except (OSError, http.client.HTTPException) as error:
            trouble = str(getattr(error, "reason", None) or error) or type(error).__name__
        except TiercelError:
            trouble = "no whole picture came"
    raise TiercelError(
        f"{url} failed {len(_BACK_OFF_SECONDS) + 1} times ({trouble}); try again later, what has come is kept."
    )


def _get(url: str) -> bytes | None:
    from tiercel import __version__

    agent = f"tiercel/{__version__} (locates street photos on overhead maps)"
    request = urllib.request.Request(url, headers={"User-Agent": agent, "Accept": "image/*"})
    try:
        with urllib.request.urlopen(request, timeout=_TIMEOUT_SECONDS) as response:
            if response.status in _MISSING:
                return None
            data: bytes = response.read()
            return data
    except urllib.error.HTTPError as error:
        if error.code in _MISSING:
            return None
        raise


def _asked_wait(error: urllib.error.HTTPError) -> float:
    """Seconds that a server asks to wait, within reason."""
    asked = error.headers.get("Retry-After", "")
    return min(float(asked), _LONGEST_WAIT_SECONDS) if asked.isdecimal() else 0.0


def _keep(path: Path, data: bytes) -> None:
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_bytes(data)
        os.replace(temporary, path)
    except OSError as error:
        raise TiercelError(f"Cannot keep tiles in {path.parent}: {error.strerror}; free some space.") from error
    finally:
        temporary.unlink(missing_ok=True)
