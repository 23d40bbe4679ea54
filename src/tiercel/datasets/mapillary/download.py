"""A folder of photos from Mapillary: each whole or not there, and one table of what is known about them.

* `<id>.jpg`: the photos;
* `photos.csv`: a row for each that is there, as `tiercel dataset build` reads it;
* `listing.jsonl`: what the API answered, so that the next run asks only for what is missing.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tiercel.datasets.mapillary.client import API, Client, Expired, Gone, Patience
from tiercel.datasets.mapillary.listing import Box, Image, all_listed, list_images, place, point
from tiercel.errors import TiercelError
from tiercel.photos.write import replacing

TABLE_FILE = "photos.csv"
LISTING_FILE = "listing.jsonl"

LICENCE = "CC BY-SA 4.0"
"""Of every photo on Mapillary (https://www.mapillary.com/terms)."""

KINDS = ("all", "flat", "panorama")
SIZES = {"2048": "thumb_2048_url", "original": "thumb_original_url"}

COLUMNS = (
    "image", "latitude", "longitude", "original_latitude", "original_longitude", "heading", "original_heading",
    "captured_at", "sequence", "camera_type", "camera_parameters", "is_pano", "width", "height", "make", "model",
    "creator", "licence", "attribution", "link",
)  # fmt: skip

_CONNECTIONS = 4
_HOPELESS = 8  # photos in a row that fail for good: the server or the line is down

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Downloaded:
    """What came of a download.

    Attributes:
        found: Photos that Mapillary has in the box, of the kind asked for.
        new: Photos that came just now.
        there: Photos that were there before.
        gone: Ids of photos that Mapillary lists but no longer has.
        failed: Ids of photos that did not come, and why; another run asks for them again.
    """

    found: int
    new: int
    there: int
    gone: tuple[str, ...]
    failed: dict[str, str]


def download(
    folder: str | Path,
    box: Box,
    token: str,
    *,
    api: str = API,
    kind: str = "all",
    size: str = "2048",
    limit: int | None = None,
    patience: Patience | None = None,
    listing: Progress | None = None,
    fetching: Progress | None = None,
) -> Downloaded:
    """Downloads the photos in a box; what is in the folder already is not asked for again.

    Args:
        folder: Where to; made if missing.
        box: West, south, east, north, degrees.
        token: Access token of Mapillary's API; neither stored nor shown.
        api: Address of the API, for mirrors.
        kind: One of `KINDS`.
        size: One of `SIZES`.
        limit: Most photos to have of the box, spread evenly over those that there are.
        patience: Waits, tries and the rate of requests.
        listing: Called with boxes asked for and boxes there are.
        fetching: Called with photos done and photos there are.

    Raises:
        TiercelError: The token is refused, there are no photos, or the server fails for good. What has come is kept.
    """
    folder = Path(folder)
    client = _client(token, api, patience)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise TiercelError(f"{folder} cannot be made ({error.strerror}): choose another folder.") from error
    nothing: Progress = lambda done, total: None  # noqa: E731
    images = list_images(client, box, folder / LISTING_FILE, listing or nothing)
    images = _some([image for image in images if _is_kind(image, kind)], limit)
    if not images:
        raise TiercelError(
            f"Mapillary has no {'photos' if kind == 'all' else kind + ' photos'} in "
            f"{','.join(f'{value:g}' for value in box)}: look at https://www.mapillary.com/app for where it has some."
        )
    missing = [image for image in images if not (folder / _file(image)).is_file()]
    try:
        new, gone, failed = _fetch_all(client, folder, missing, SIZES[size], len(images), fetching or nothing)
    finally:
        _write_table(folder)
    return Downloaded(len(images), new, len(images) - len(missing), tuple(gone), failed)


def _client(token: str, api: str, patience: Patience | None) -> Client:
    if not token or not token.isascii() or not token.isprintable() or " " in token:
        raise TiercelError(
            "There is no usable Mapillary token: make one at https://www.mapillary.com/dashboard/developers and give "
            "it with --token or MAPILLARY_TOKEN."
        )
    if not api.startswith(("http://", "https://")):
        raise TiercelError(f"--api {api} is no address of a server: give one such as {API}.")
    return Client(token, api, patience or Patience())


def _some(images: list[Image], limit: int | None) -> list[Image]:
    """No more than so many, evenly from among all, the same ones at every run."""
    images = sorted(
        images, key=lambda image: (str(image.get("sequence", "")), image.get("captured_at") or 0, image["id"])
    )
    if limit is None or len(images) <= limit:
        return images
    return [images[index * len(images) // limit] for index in range(limit)]


def _is_kind(image: Image, kind: str) -> bool:
    return kind == "all" or bool(image.get("is_pano")) == (kind == "panorama")


def _file(image: Image) -> str:
    """Name of a photo's file; ids are numbers, and whatever else one might hold must not lead out of the folder."""
    return f"{''.join(letter if letter.isalnum() or letter in '-_' else '_' for letter in str(image['id']))}.jpg"


def _fetch_all(
    client: Client, folder: Path, images: Sequence[Image], field: str, total: int, progress: Progress
) -> tuple[int, list[str], dict[str, str]]:
    """Fetches photos: how many came, which are gone, and which failed."""
    new, gone, failed, in_a_row = 0, list[str](), dict[str, str](), 0
    done = total - len(images)
    progress(done, total)
    pool = ThreadPoolExecutor(_CONNECTIONS, thread_name_prefix="photos")
    try:
        tasks = {pool.submit(_fetch, client, folder, image, field): str(image["id"]) for image in images}
        for task in as_completed(tasks):
            trouble = task.result()
            if trouble is None:
                new += 1
            elif not trouble:
                gone.append(tasks[task])
            else:
                failed[tasks[task]] = trouble
            in_a_row = in_a_row + 1 if trouble else 0
            if in_a_row >= _HOPELESS:
                raise TiercelError(f"{in_a_row} photos in a row failed, the last one thus: {trouble}")
            done += 1
            progress(done, total)
    finally:
        client.stopped.set()
        pool.shutdown(cancel_futures=True)
    return new, gone, failed


def _fetch(client: Client, folder: Path, image: Image, field: str) -> str | None:
    """Fetches one photo: None if it came, an empty text if it is gone, or else what went wrong."""
    try:
        data = _bytes(client, image, field)
    except Gone:
        return ""
    except TiercelError as error:
        return str(error)
    with replacing(folder / _file(image)) as part:
        part.write_bytes(data)
    return None


def _bytes(client: Client, image: Image, field: str) -> bytes:
    """A photo's bytes. Addresses live for some days only; an old one is asked for anew, once."""
    what = f"photo {image['id']}"
    url = image.get(field)
    if url:
        try:
            return client.fetch(str(url), _check_jpeg, what)
        except (Expired, Gone):
            pass
    url = client.ask(str(image["id"]), "id", fields=f"id,{field}").get(field)
    if not url:
        raise Gone
    try:
        return client.fetch(str(url), _check_jpeg, what)
    except Expired as refusal:
        raise TiercelError(f"Photo {image['id']} is refused even at its new address ({refusal}).") from None


def _check_jpeg(data: bytes) -> None:
    """Tells half a photo, or a page of words, from a whole photo: a JPEG ends with its end-of-image marker."""
    if not data.startswith(b"\xff\xd8\xff"):
        raise ValueError("no photo came")
    if b"\xff\xd9" not in data[-64:]:
        raise ValueError("half a photo came")


def _write_table(folder: Path) -> None:
    """Lists every photo that is there."""
    rows = list(_rows(folder))
    with replacing(folder / TABLE_FILE) as part, part.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def _rows(folder: Path) -> Iterator[dict[str, Any]]:
    seen = set()
    for image in all_listed(folder / LISTING_FILE):
        if image["id"] not in seen and (folder / _file(image)).is_file():
            seen.add(image["id"])
            yield _row(image)


def _row(image: Image) -> dict[str, Any]:
    longitude, latitude = place(image) or ("", "")
    original = point(image, "geometry") or ("", "")
    maker = image.get("creator")
    creator = str(maker.get("username") or "") if isinstance(maker, dict) else ""
    heading = image.get("computed_compass_angle")
    parameters = image.get("camera_parameters")
    return {
        "image": _file(image), "latitude": latitude, "longitude": longitude,
        "original_latitude": original[1], "original_longitude": original[0],
        "heading": image.get("compass_angle") if heading is None else heading,
        "original_heading": image.get("compass_angle"), "captured_at": _time(image.get("captured_at")),
        "sequence": image.get("sequence"), "camera_type": image.get("camera_type"),
        "camera_parameters": json.dumps(parameters) if parameters else "", "is_pano": bool(image.get("is_pano")),
        "width": image.get("width"), "height": image.get("height"), "make": image.get("make"),
        "model": image.get("model"), "creator": creator, "licence": LICENCE,
        "attribution": f"{creator or 'a contributor'} on Mapillary, {LICENCE}",
        "link": f"https://www.mapillary.com/app/?pKey={image['id']}",
    }  # fmt: skip


def _time(milliseconds: object) -> str:
    """ISO 8601 in UTC, empty where unknown."""
    if isinstance(milliseconds, str):
        return milliseconds
    if not isinstance(milliseconds, int | float):
        return ""
    return datetime.fromtimestamp(milliseconds / 1000, UTC).isoformat(timespec="milliseconds")
