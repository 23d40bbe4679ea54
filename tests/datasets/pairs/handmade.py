"""Data sets of pairs of a few grey pictures, written by hand as they are published."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image
from scipy.io import savemat

CITIES = ("Chicago", "NewYork", "SanFrancisco", "Seattle")
SOUTH = {"Chicago": 41.85, "NewYork": 40.70, "SanFrancisco": 37.77, "Seattle": 47.56}
WEST = {"Chicago": -87.68, "NewYork": -74.01, "SanFrancisco": -122.42, "Seattle": -122.33}
STEP = 0.0003


def picture(path: Path, width: int = 8, height: int = 8, grey: int = 90) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((height, width, 3), grey, np.uint8)).save(path)
    return path


def lines(path: Path, content: Sequence[str]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{line}\n" for line in content), encoding="utf-8")
    return path


def tile(city: str, row: int, column: int) -> str:
    return f"satellite_{SOUTH[city] + row * STEP:.8f}_{WEST[city] + column * STEP:.8f}.png"


def panorama(city: str, number: int) -> str:
    """North-east of the tile (0, number), a quarter of the way to the next."""
    return f"{city[:3]}-_{number},{SOUTH[city] + STEP / 4:.6f},{WEST[city] + (number + 0.25) * STEP:.6f},.jpg"


def label(city: str, number: int) -> str:
    tiles = [tile(city, row, number + column) for row, column in ((0, 0), (0, 1), (1, 0), (1, 1))]
    offsets = ("-83.0 -62.0", "-83.0 186.0", "249.0 -62.0", "249.0 186.0")
    return " ".join(
        [panorama(city, number), *(f"{name} {offset}" for name, offset in zip(tiles, offsets, strict=True))]
    )


def write_vigor(folder: Path, *, by_kind: bool = False, corrected: str | None = None, pictures: bool = True) -> Path:
    """Each city has 2 x 4 tiles and three panoramas, of which the last is in the test of the same area.

    `corrected` is the ending of the names of corrected lists, None for none of them; their first offset is another.
    """
    for city in CITIES:
        for name in ("splits", *(["splits__corrected"] if corrected is not None else [])):
            ending = corrected if name != "splits" else ""
            labels = [label(city, number) for number in range(3)]
            if name != "splits":
                labels = [line.replace("-83.0 -62.0", "-85.0 -60.0") for line in labels]
            lists = folder / name / city
            lines(lists / "satellite_list.txt", [tile(city, row, column) for row in range(2) for column in range(4)])
            lines(lists / f"same_area_balanced_train{ending}.txt", labels[:2])
            lines(lists / f"same_area_balanced_test{ending}.txt", labels[2:])
            lines(lists / f"pano_label_balanced{ending}.txt", labels)
        if pictures:
            above = folder / "satellite" / city if by_kind else folder / city / "satellite"
            below = folder / "ground" / city if by_kind else folder / city / "panorama"
            for row in range(2):
                for column in range(4):
                    picture(above / tile(city, row, column))
            for number in range(3):
                picture(below / panorama(city, number), 16)
    return folder


def write_cvusa(folder: Path, *, locations: str | None = "split_locations/all.csv") -> Path:
    """Three pairs for training and two for validation."""
    for number in range(1, 6):
        picture(folder / f"bingmap/19/{number:07d}.jpg")
        picture(folder / f"streetview/panos/{number:07d}.jpg", 33, 6)
    rows = [
        f"bingmap/19/{n:07d}.jpg,streetview/panos/{n:07d}.jpg,streetview/annotations/{n:07d}.png"
        for n in (3, 1, 5, 2, 4)
    ]
    lines(folder / "splits/train-19zl.csv", rows[:3])
    lines(folder / "splits/val-19zl.csv", rows[3:])
    if locations:
        lines(folder / locations, [f"{30 + n},{-90 - n},{30.5 + n},{-90.5 - n},7" for n in range(1, 6)])
    return folder


PLACES = np.array([(692_000 + 4.0 * i, 6_090_000 - 3.0 * i) for i in range(8)])
"""Of CVACT's panoramas: each is 5 m from the next."""


def write_cvact(folder: Path, places: np.ndarray = PLACES, **changed: object) -> Path:
    """Four pairs for training, and four for the test, the first two of which are for validation."""
    names = np.array([f"panorama_number_{i:06d}" for i in range(8)])
    for split, numbers in (("small", range(6)), ("test", range(4, 8))):
        for i in numbers:
            picture(folder / f"ANU_data_{split}/streetview/{names[i]}_grdView.jpg", 16)
            picture(folder / f"ANU_data_{split}/satview_polish/{names[i]}_satView_polish.jpg")
    content = {
        "panoIds": names,
        "utm": places,
        "trainSet": {"any": 1.0, "trainInd": np.arange(1.0, 5.0)[:, None]},
        "valSet": {"any": 1.0, "valInd": np.array([[5.0], [6.0]])},
        "valSetAll": {"any": 1.0, "valInd": np.arange(5.0, 9.0)[:, None]},
    }
    savemat(folder / "ACT_data.mat", content | changed, do_compression=True)
    return folder
