"""What there is to choose from: the photos of a folder, or the rows of a CSV file."""

from __future__ import annotations

import ast
import csv
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from tiercel.datasets.curation.distortion import Lens, lens_of_parameters
from tiercel.errors import TiercelError

TABLE_FILE = "photos.csv"
"""Read where it lies among the photos and no other table is given."""

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff")

_IMAGE = ("image", "file", "filename")
_LATITUDE = ("latitude", "lat")
_LONGITUDE = ("longitude", "lon", "lng")
_PANORAMIC = ("spherical", "equirectangular")
_BROWN = ("fx", "fy", "cx", "cy", "k1", "k2", "p1", "p2", "k3")
_MILLISECONDS = 1e11  # seconds since 1970 reach this in the year 5138, milliseconds did in 1973


@dataclass(frozen=True)
class Listed:
    """A photo to look at, and what is said of it beside its own metadata.

    Attributes:
        file: Where it is.
        name: What to call it in tables: its path below the folder, or as the CSV file has it.
        latitude: Degrees, WGS84; None to take the photo's own.
        longitude: Likewise.
        heading: Azimuth of the centre column, degrees; None to take the photo's own.
        field_of_view: Horizontal degrees, likewise.
        captured_at: Seconds since 1970, likewise.
        sequence: Of the drive or walk; empty if not given.
        panorama: None to take what the photo says.
        lens: What bent its lines, if known.
        licence: Of the photo, empty if not said.
        attribution: Whom to name, likewise.
        link: Where it came from, likewise.
        trouble: Why the row that lists it cannot be used, in one sentence; empty if it can.
    """

    file: Path
    name: str
    latitude: float | None = None
    longitude: float | None = None
    heading: float | None = None
    field_of_view: float | None = None
    captured_at: float | None = None
    sequence: str = ""
    panorama: bool | None = None
    lens: Lens | None = None
    licence: str = ""
    attribution: str = ""
    link: str = ""
    trouble: str = ""


def list_photos(photos: Path | None, table: Path | None) -> list[Listed]:
    """The photos of a folder, or those that a CSV file lists.

    Args:
        photos: Folder, searched with all folders in it; or the folder that the table's paths start from, by default
            the table's own. A `photos.csv` in it is read where no other table is given.
        table: CSV file with the columns image, latitude and longitude, and any of those `docs/datasets.md` names.

    Raises:
        TiercelError: There is nothing, or the table lacks a column.
    """
    if photos is not None and not photos.is_dir():
        raise TiercelError(f"{photos} is no folder: give the one that holds the photos.")
    if table is None and photos is not None and (photos / TABLE_FILE).is_file():
        table = photos / TABLE_FILE
    if table is not None:
        return _of_table(table, photos or table.parent)
    if photos is None:
        raise TiercelError("There are no photos to choose from: give a folder with --photos or a table with --csv.")
    listed = _of_folder(photos)
    if not listed:
        raise TiercelError(f"{photos} holds no photos ({', '.join(SUFFIXES)}): give the folder that does.")
    return listed


def moment(text: str) -> float | None:
    """Seconds since 1970 of a time as tables have it; None where empty.

    ISO 8601 (UTC unless it says otherwise), EXIF's "YYYY:MM:DD HH:MM:SS", or seconds or milliseconds since 1970.

    Raises:
        ValueError: It is none of these.
    """
    text = text.strip()
    if not text:
        return None
    try:
        number = float(text)
    except ValueError:
        if text[4:5] == ":" and text[7:8] == ":":
            text = text[:10].replace(":", "-") + text[10:]
        time = datetime.fromisoformat(text)
        return (time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp()
    return number / 1000 if abs(number) > _MILLISECONDS else number


def photos_below(folder: Path) -> list[Path]:
    """The photos of a folder and of all folders in it, in the order of their paths; hidden ones are passed over."""
    files = (path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES and path.is_file())
    return sorted(path for path in files if not any(part.startswith(".") for part in path.relative_to(folder).parts))


def _of_folder(folder: Path) -> list[Listed]:
    return [Listed(path, path.relative_to(folder).as_posix()) for path in photos_below(folder)]


def _of_table(table: Path, folder: Path) -> list[Listed]:
    try:
        with table.open(newline="", encoding="utf-8-sig") as file:
            listed = list(_rows(table, folder, csv.DictReader(file)))
    except OSError as error:
        raise TiercelError(f"{table} cannot be read ({error.strerror}): check the path of the table.") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise TiercelError(f"{table} is no CSV file in UTF-8 ({error}): save it as one.") from error
    if not listed:
        raise TiercelError(f"{table} lists no photos: give a table with a row for each.")
    if all(one.trouble for one in listed):
        raise TiercelError(f"{table} has no row that can be used; the first: {listed[0].trouble}")
    return listed


def _rows(table: Path, folder: Path, reader: csv.DictReader[str]) -> Iterator[Listed]:
    columns = reader.fieldnames or []
    image, latitude, longitude = (_column(table, columns, names) for names in (_IMAGE, _LATITUDE, _LONGITUDE))
    for row in reader:
        cells = {name: (value or "").strip() for name, value in row.items() if isinstance(name, str)}
        cells |= {"image": cells[image], "latitude": cells[latitude], "longitude": cells[longitude]}
        yield _listed(table, folder, reader.line_num, cells)


def _column(table: Path, columns: object, names: tuple[str, ...]) -> str:
    for name in names:
        if isinstance(columns, list | tuple) and name in columns:
            return name
    raise TiercelError(f"{table} has no column {names[0]!r}: it needs image, latitude and longitude.")


def _listed(table: Path, folder: Path, line: int, cells: Mapping[str, str]) -> Listed:
    """One row; what is wrong with it is kept with it, so that one bad row of thousands does not stop the rest."""
    name = cells["image"]
    try:
        if not name:
            raise ValueError("it names no image")
        return Listed(
            file=folder / name,
            name=name,
            latitude=_number(cells, "latitude", -90, 90),
            longitude=_number(cells, "longitude", -180, 180),
            heading=_number(cells, "heading", -360, 360),
            field_of_view=_number(cells, "field_of_view", 1, 360),
            captured_at=moment(cells.get("captured_at", "")),
            sequence=cells.get("sequence", ""),
            panorama=_panorama(cells),
            lens=_lens(cells),
            licence=cells.get("licence", "") or cells.get("license", ""),
            attribution=cells.get("attribution", "") or cells.get("creator", ""),
            link=cells.get("link", ""),
        )
    except (ValueError, TiercelError) as error:
        return Listed(folder / name, name, trouble=f"{table}, line {line}: {str(error).rstrip('.')}.")


def _number(cells: Mapping[str, str], name: str, least: float, most: float) -> float | None:
    text = cells.get(name, "")
    if not text:
        return None
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not least <= value <= most:
        raise ValueError(f"{name} is {text!r}, not a number from {least:g} to {most:g}")
    return value


def _panorama(cells: Mapping[str, str]) -> bool | None:
    if cells.get("camera_type", "").lower() in _PANORAMIC:
        return True
    said = cells.get("is_pano", "").lower() or cells.get("panorama", "").lower()
    return {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}.get(said)


def _lens(cells: Mapping[str, str]) -> Lens | None:
    """The calibration of a row, None for a panorama and where there is none."""
    if _panorama(cells):
        return None
    if parameters := cells.get("camera_parameters", ""):
        return lens_of_parameters(cells.get("camera_type", "").lower() or "perspective", _list(parameters))
    if not cells.get("fx"):
        return None
    fx, fy, cx, cy, k1, k2, p1, p2, k3 = (_number(cells, name, -1e9, 1e9) for name in _BROWN)
    width, height = (_number(cells, name, 1, 1e6) for name in ("calibration_width", "calibration_height"))
    if not fx or width is None or height is None:
        raise ValueError("fx comes without calibration_width and calibration_height, the size it was measured at")
    side = max(width, height)
    centre = ((cx if cx is not None else width / 2) - width / 2, (cy if cy is not None else height / 2) - height / 2)
    return Lens(
        "brown", (fx / side, (fy or fx) / side), (centre[0] / side, centre[1] / side),
        (k1 or 0.0, k2 or 0.0, k3 or 0.0), (p1 or 0.0, p2 or 0.0),
    )  # fmt: skip


def _list(text: str) -> list[float]:
    try:
        return [float(value) for value in ast.literal_eval(text)]
    except (ValueError, TypeError, SyntaxError) as error:
        raise ValueError(f"camera_parameters is {text!r}, not a list such as [0.85, -0.1, 0.02]") from error
