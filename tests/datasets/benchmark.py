"""A small city in the published layout: coloured noise from above, flat photos."""

import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import yaml
from PIL import Image

from tiercel.datasets.justzoomin import Division, published_actions
from tiercel.geo import Frame, Square
from tiercel.geo.sphere import move_from_latlon
from tiercel.maps import write_pyramid

DIVISION = Division(latitude=45.153, longitude=15.0064, side_m=1000.0, branching=4, depth=2)
FRAME = Frame("EPSG:32633")


def place(east: float, north: float) -> tuple[float, float]:
    """A position so many metres from the centre."""
    return tuple(
        float(v) for v in move_from_latlon(*move_from_latlon(DIVISION.latitude, DIVISION.longitude, 0, north), 90, east)
    )


def write_benchmark(
    folder: Path, places: Sequence[tuple[float, float]], train: int, drives: Sequence[str] | None = None
) -> Path:
    """A benchmark with photos at places, metres from the centre; the first `train` are in the training split."""
    x, y = FRAME.from_wgs84(DIVISION.latitude, DIVISION.longitude)
    ground = Square(float(x), float(y), 1040.0)
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 255, (130, 130, 3), np.uint8))
    picture = np.asarray(noise.resize((1040, 1040), Image.Resampling.BICUBIC))

    def draw(square: Square, pixels: int) -> np.ndarray:
        left, top = round(square.west - ground.west), round(ground.north - square.north)
        return picture[top : top + pixels, left : left + pixels]

    write_pyramid(folder / "satellite", draw, crs=FRAME.name, bounds=ground.bounds, tile_pixels=130, tile_side_m=130.0)
    (folder / "streetview" / "images").mkdir(parents=True)
    rows = []
    for index, (east, north) in enumerate(places):
        latitude, longitude = place(east, north)
        sequence = str(published_actions(latitude, longitude, DIVISION).tolist())
        rows.append({"image_id": f"p{index}", "latitude": latitude, "longitude": longitude, "sequence": sequence})
        pixels = np.full((40, 80, 3), 60 + index % 100, np.uint8)
        Image.fromarray(pixels).save(folder / "streetview" / "images" / f"p{index}_undistorted.jpg")
    write_table(folder / "metadata" / "large_area_train_map.csv", rows[:train])
    write_table(folder / "metadata" / "large_area_val_map.csv", rows[train:])
    if drives is not None:
        names = [{"image_id": row["image_id"], "drive": drive} for row, drive in zip(rows, drives, strict=True)]
        write_table(folder / "metadata" / "photos.csv", names)
    (folder / "metadata" / "benchmark.yaml").write_text(yaml.safe_dump(DIVISION.model_dump()))
    return folder


def write_table(path: Path, rows: Sequence[dict[str, object]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]) if rows else ["image_id", "latitude", "longitude", "sequence"])
        writer.writeheader()
        writer.writerows(rows)
