"""A simulated city on disk: its overhead map, and photos taken in it at exactly known places.

A data set is a folder:

* `city.tif`: the map, a tiled GeoTIFF with overviews in a UTM zone;
* `photos/*.jpg`: panoramas and photos, with position, heading and field of view in their EXIF and XMP;
* `photos.csv`: one row a photo, written last: where it is, the data set is whole;
* `dataset.json`: what it was made from, written first.

Everything follows from two seeds, the city's and the photos', so a run that was interrupted goes on where it stopped.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tiercel.errors import TiercelError
from tiercel.geo import Frame
from tiercel.photos.write import replacing, write_photo

if TYPE_CHECKING:
    from tiercel.sim import Difficulty, OverheadLook, Scenario, StreetLook, StreetRenderer
    from tiercel.sim.lens import Shot
    from tiercel.sim.world import World

KINDS: dict[str, float] = {"panorama": 360.0, "photo_90": 90.0, "photo_70": 70.0}
"""Kinds of photos and their horizontal fields of view, degrees."""

UNEVEN = 10.0
"""Degrees by which somebody who turns round, taking photos, misses equal steps."""

MAP_FILE = "city.tif"
TABLE_FILE = "photos.csv"
SETTINGS_FILE = "dataset.json"

_CRS = "EPSG:32633"
FRAME = Frame(_CRS)
"""Of all cities."""
_EASTING = 500_000.0
_NORTHING = 5_000_000.0
_APART = 20_000.0  # metres between the places of cities of neighbouring seeds, so that no two lie on each other
_PANORAMA_PIXELS = (512, 1024)
_PHOTO_PIXELS = (480, 640)

Progress = Callable[[int, int], None]
"""Called with how many pieces are done and how many there are."""


@dataclass(frozen=True)
class SimulatedSample:
    """One photo of a simulated city and the truth about it.

    Attributes:
        file: The photo.
        kind: One of `KINDS`.
        x: Easting of the camera in the map's frame, metres.
        y: Northing, metres.
        latitude: Degrees, WGS84.
        longitude: Degrees, WGS84.
        heading: Azimuth of the centre column, degrees clockwise from grid north; the photo's own metadata may say
            otherwise in a hard world.
        field_of_view: Horizontal, degrees, without the lens's distortion; here the metadata may err as well.
        pitch: Elevation of the optical axis, degrees; 0 for panoramas.
        eye_height: Of the camera above the ground, metres.
    """

    file: Path
    kind: str
    x: float
    y: float
    latitude: float
    longitude: float
    heading: float
    field_of_view: float
    pitch: float
    eye_height: float


def simulate(
    folder: str | Path,
    *,
    seed: int,
    size: float = 2000.0,
    photos: int = 100,
    kinds: Sequence[str] = ("panorama", "photo_90"),
    shots: int = 1,
    difficulty: str | Difficulty = "plain",
    progress: Progress | None = None,
) -> list[SimulatedSample]:
    """Makes a city and photos in it: what `tiercel sim` does. A data set that is there already is only read.

    Args:
        folder: Where to; made if missing.
        seed: Of the city and of the photos.
        size: Side of the city, metres.
        photos: How many photos.
        kinds: Their kinds, taken in turn.
        shots: Photos from each spot, see `write_dataset`.
        difficulty: A difficulty of the simulator, or its name: how unlike its map the city is, and how careless its
            photographers are.
        progress: Called after each piece.

    Raises:
        TiercelError: The folder holds another data set or cannot be written to, or there is no such difficulty.
    """
    folder = Path(folder)
    settings = _settings(seed, size, photos, kinds, seed, shots, (), difficulty)
    if (folder / TABLE_FILE).is_file() and (folder / MAP_FILE).is_file():
        _claim(folder, settings)
        return read_dataset(folder)
    from tiercel.sim import make_world

    world = make_world(seed, size, difficulty=difficulty)
    return write_dataset(
        folder, world, count=photos, kinds=kinds, seed=seed, shots=shots, difficulty=difficulty, progress=progress
    )


def write_dataset(
    folder: str | Path,
    world: World,
    *,
    count: int,
    kinds: Sequence[str] = ("panorama", "photo_90"),
    seed: int,
    shots: int = 1,
    overhead_look: OverheadLook | None = None,
    street_look: StreetLook | None = None,
    difficulty: str | Difficulty = "plain",
    progress: Progress | None = None,
) -> list[SimulatedSample]:
    """Writes the map of a city and photos taken in it, all at exactly known places.

    The city's south-west corner is put at easting 500000 of UTM zone 33 north, at a northing that depends on its
    seed. Panoramas (1024 x 512) are taken in the carriageway from a mapping car's roof; photos (640 x 480) half from
    a car and half on foot. All look in any direction, on days and in weather of their own. Photos that are in the
    folder already are kept; no file is ever seen half-written.

    Args:
        folder: Where to; made if missing.
        world: The city.
        count: How many photos.
        kinds: Their kinds (see `KINDS`), taken in turn.
        seed: Of places, directions and looks.
        shots: Photos from each spot, one after another in the table and at one moment: the camera turns right by equal
            steps, give or take `UNEVEN` degrees, until it has turned round.
        overhead_look: Light and sensor of the map; drawn from the seed when not given.
        street_look: Weather and camera of all photos; drawn for each when not given.
        difficulty: Of map and cameras: a difficulty of the simulator or its name, the one that the city was made for.
        progress: Called after each piece.

    Returns:
        The photos and the truth about them.

    Raises:
        TiercelError: The folder holds another data set or cannot be written to, or a kind or the difficulty is unknown.
    """
    from tiercel.sim import Scenario

    folder = Path(folder)
    looks = (overhead_look, street_look)
    _claim(folder, _settings(world.seed, world.size, count, kinds, seed, shots, looks, difficulty))
    report = progress or (lambda done, total: None)
    rng = np.random.default_rng([seed, 0])
    day, scene = int(rng.integers(1 << 20)), Scenario.of(world, difficulty, rng)
    if not (folder / MAP_FILE).is_file():
        _write_map(folder / MAP_FILE, scene, day, overhead_look)
    report(1, count + 1)
    samples = _draw_samples(folder / "photos", scene, count, kinds, seed, shots)
    _write_photos(samples, scene, seed, len(kinds), shots, street_look, report)
    _write_table(folder, samples)
    return samples


def read_dataset(folder: str | Path) -> list[SimulatedSample]:
    """The photos of a data set and the truth about them.

    Args:
        folder: As written by `write_dataset`; its map is `folder / MAP_FILE`.

    Raises:
        TiercelError: The folder holds no whole data set.
    """
    table = Path(folder) / TABLE_FILE
    try:
        with table.open(newline="", encoding="utf-8") as file:
            return [_sample(table, row) for row in csv.DictReader(file)]
    except OSError as error:
        raise TiercelError(
            f"{folder} holds no whole simulated city ({TABLE_FILE} is missing): run `tiercel sim -o {folder}`."
        ) from error


def corner(seed: int) -> tuple[float, float]:
    """Easting and northing of the south-west corner of the city of a seed, metres in UTM zone 33 north."""
    return _EASTING, _NORTHING + _APART * (seed % 100)


def _settings(
    city: int, size: float, count: int, kinds: Sequence[str], seed: int, shots: int, looks: Sequence[Any],
    difficulty: str | Difficulty,
) -> dict[str, Any]:  # fmt: skip
    from tiercel.sim.difficulty import DIFFICULTIES
    from tiercel.sim.difficulty import difficulty as named

    level = named(difficulty)
    unknown = [kind for kind in kinds if kind not in KINDS]
    if unknown or not kinds:
        raise TiercelError(f"There are no photos of kind {unknown or 'none'}: choose from {', '.join(KINDS)}.")
    if shots < 1 or count % shots:
        raise TiercelError(
            f"{count} photos cannot be {shots} from each spot: give a multiple of {max(shots, 1)} photos."
        )
    west, south = corner(city)
    return {
        "format": 1, "city": city, "size": size, "crs": _CRS, "west": west, "south": south, "photos": count,
        "kinds": list(kinds), "seed": seed, "looks": [repr(look) for look in looks if look is not None],
        **({"shots": shots} if shots > 1 else {}),
        "difficulty": level.name if DIFFICULTIES.get(level.name) == level else repr(level),
    }  # fmt: skip


def _claim(folder: Path, settings: dict[str, Any]) -> None:
    """Writes what the folder is going to hold, or makes sure that it holds just that."""
    path = folder / SETTINGS_FILE
    if path.is_file():
        # A folder from before there were difficulties holds a plain city.
        if {"difficulty": "plain"} | json.loads(path.read_text(encoding="utf-8")) != settings:
            raise TiercelError(f"{folder} holds another simulated city (see {SETTINGS_FILE}): choose another folder.")
        return
    try:
        (folder / "photos").mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise TiercelError(f"{folder} cannot be made ({error.strerror}): choose another folder.") from error
    with replacing(path) as part:
        part.write_text(json.dumps(settings, indent=1) + "\n", encoding="utf-8")


def _write_map(path: Path, scene: Scenario, day: int, look: OverheadLook | None) -> None:
    from tiercel.maps import write_geotiff
    from tiercel.sim import render_overhead

    resolution = 0.5
    rgb = render_overhead(scene.map_world, resolution, day=day, look=look or scene.overhead_look)
    west, south = corner(scene.world.seed)
    write_geotiff(path, rgb, FRAME, west, south + scene.world.size, resolution)


def _draw_samples(
    folder: Path, scene: Scenario, count: int, kinds: Sequence[str], seed: int, shots: int
) -> list[SimulatedSample]:
    """Places, directions and cameras of all photos, whether they are on disk or not."""
    from tiercel.sim import sample_viewpoints

    world, lens = scene.world, scene.difficulty.lens
    rng = np.random.default_rng([seed, 1])
    turns = [kinds[index % len(kinds)] for index in range(count // shots)]
    on_foot = [_on_foot(kind, index, len(kinds)) for index, kind in enumerate(turns)]
    places = {
        walking: iter(sample_viewpoints(world, on_foot.count(walking), rng, kind="pavement" if walking else "street"))
        for walking in sorted(set(on_foot))
    }
    west, south = corner(world.seed)
    samples, frame = [], FRAME
    for index, (kind, walking) in enumerate(zip(turns, on_foot, strict=True)):
        place = next(places[walking])
        x, y = round(west + float(place["x"]), 3), round(south + float(place["y"]), 3)
        latitude, longitude = (float(value) for value in frame.to_wgs84(x, y))
        pitch = 0.0 if kind == "panorama" else float(np.clip(rng.normal(0, lens.pitch), -lens.steepest, lens.steepest))
        eye = rng.uniform(*scene.eye_heights["foot" if walking else "roof" if kind == "panorama" else "car"])
        heading = float(rng.uniform(0, 360))
        shot = _shot(scene, seed, index, walking)
        view = KINDS[kind] if shot is None or kind == "panorama" else round(KINDS[kind] / shot.declared, 3)
        turned = [0.0, *(360 / shots * shot + float(rng.uniform(-UNEVEN, UNEVEN)) for shot in range(1, shots))]
        samples += [SimulatedSample(
            folder / f"{index * shots + shot:05d}_{kind}.jpg", kind, x, y, round(latitude, 9), round(longitude, 9),
            round(heading + turn, 4) % 360, view, round(pitch, 3), round(float(eye), 3),
        ) for shot, turn in enumerate(turned)]  # fmt: skip
    return samples


def _on_foot(kind: str, index: int, kinds: int) -> bool:
    """Whether somebody on foot takes the photos of a spot.

    Car, foot, foot, car: whoever treats every second photo of a kind in another way treats both alike.
    """
    return kind != "panorama" and index // kinds % 4 in (1, 2)


def _shot(scene: Scenario, seed: int, spot: int, walking: bool) -> Shot | None:
    """The camera that a spot's photos are taken with; None for one that is what it says it is."""
    from tiercel.sim.lens import Shot

    lens = scene.difficulty.lens
    return None if lens.exact else Shot.sample(lens, np.random.default_rng([seed, 3, spot]), driven=not walking)


def _write_photos(
    samples: Sequence[SimulatedSample], scene: Scenario, seed: int, kinds: int, shots: int, look: StreetLook | None,
    report: Progress,
) -> None:  # fmt: skip
    from tiercel.sim import StreetRenderer

    renderer: StreetRenderer | None = None  # takes its time, and is not needed where all photos are there
    for index, sample in enumerate(samples):
        if not sample.file.is_file():
            spot = index // shots
            renderer = renderer or StreetRenderer(scene.world)
            drawn = look or scene.street_look(np.random.default_rng([seed, 2, spot]))
            shot = _shot(scene, seed, spot, _on_foot(sample.kind, spot, kinds))
            pixels = render_photo(renderer, scene.world, sample, drawn, shot)
            write_photo(
                sample.file, pixels, latitude=sample.latitude, longitude=sample.longitude,
                heading=sample.heading if shot is None else (sample.heading + shot.compass) % 360,
                field_of_view=KINDS[sample.kind], panorama=sample.kind == "panorama",
                **({} if shot is None else {"quality": shot.quality}),
            )  # fmt: skip
        report(index + 2, len(samples) + 1)


def render_photo(
    renderer: StreetRenderer, world: World, sample: SimulatedSample, look: StreetLook, shot: Shot | None = None
) -> NDArray[np.uint8]:
    """The pixels of a photo, 1024 x 512 for a panorama, else 640 x 480; a `shot` has the faults of its camera."""
    west, south = corner(world.seed)
    x, y = sample.x - west, sample.y - south
    if shot is not None:
        from tiercel.sim.camera import Pinhole
        from tiercel.sim.lens import photograph, tilted_panorama

        if sample.kind == "panorama":
            return tilted_panorama(renderer, x, y, sample.eye_height, sample.heading, *_PANORAMA_PIXELS, look, shot)
        camera = Pinhole(sample.heading, sample.pitch, shot.roll, sample.field_of_view, *_PHOTO_PIXELS)
        return photograph(renderer, x, y, sample.eye_height, camera, look, shot)
    if sample.kind == "panorama":
        return renderer.panorama(x, y, sample.eye_height, sample.heading, *_PANORAMA_PIXELS, look)
    return renderer.perspective(
        x, y, sample.eye_height, sample.heading, sample.pitch, sample.field_of_view, *_PHOTO_PIXELS, look
    )


def _write_table(folder: Path, samples: Sequence[SimulatedSample]) -> None:
    with replacing(folder / TABLE_FILE) as part, part.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, [column.name for column in fields(SimulatedSample)], lineterminator="\n")
        writer.writeheader()
        for sample in samples:
            writer.writerow(asdict(sample) | {"file": sample.file.relative_to(folder).as_posix()})


def _sample(table: Path, row: dict[str, str]) -> SimulatedSample:
    try:
        numbers = {column.name: float(row[column.name]) for column in fields(SimulatedSample)[2:]}
        return SimulatedSample(table.parent / row["file"], row["kind"], **numbers)
    except (KeyError, TypeError, ValueError) as error:
        raise TiercelError(
            f"{table} has a row that cannot be read ({error}): delete it and write the data set again."
        ) from error
