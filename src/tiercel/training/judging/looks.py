"""What the vision tower sees in the photos and candidates of a city: computed once, read in every step of training.

The tower stays as it is while the connector and the language model learn, so what it sees never changes. A city's looks
are one folder of arrays, made in one step.
"""

from __future__ import annotations

import json
import math
import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tiercel.candidates.lists import CandidateList
from tiercel.datasets.simulated import FRAME, corner
from tiercel.models.judge import JudgeVisionModel, Looks
from tiercel.photos import Photo
from tiercel.rerank.geometry import picture_tensor
from tiercel.rerank.views import SMALL_VIEW
from tiercel.training.judging.words import four_sides

RIGHT_M = 31.0
"""The camera must be so near the middle of a crop, along each axis, to be found in it."""
WRONG_M = 60.0
"""A candidate so far from the truth is wrong beyond doubt."""
LOOKED = 0.4
"""A photo that shows so much of a quarter of the horizon says what lies there."""


@dataclass(frozen=True)
class CityLooks:
    """n photos of a city and their k candidates.

    Attributes:
        polar: (n, match_width, ranges, columns) float16 of the photos.
        known: (n,) whether the left edge of the strip is north.
        ground: (n, k, match_width, ranges, columns) float16 of the candidates; zeros behind the last.
        summary: (n, k, SUMMARY) float32.
        right: (n, k) whether the candidate holds the camera.
        wrong: (n, k) whether it is wrong beyond doubt.
        photos: (n,) what each photo shows, for prompts and in reasons: the list it came from, and its four sides.
        places: (n, k) the four sides of each candidate.
    """

    polar: NDArray[np.float16]
    known: NDArray[np.bool_]
    ground: NDArray[np.float16]
    summary: NDArray[np.float32]
    right: NDArray[np.bool_]
    wrong: NDArray[np.bool_]
    photos: list[dict[str, Any]]
    places: list[list[str]]

    @classmethod
    def open(cls, folder: Path) -> CityLooks:
        """Maps a city's looks into memory."""
        words = json.loads((folder / "words.json").read_text(encoding="utf-8"))
        large = {name: np.load(folder / f"{name}.npy", mmap_mode="r") for name in ("polar", "ground")}
        small = {name: np.load(folder / f"{name}.npy") for name in ("known", "summary", "right", "wrong")}
        return cls(**large, **small, photos=words["photos"], places=words["places"])


@dataclass(frozen=True)
class _City:
    """What lies where in a city.

    Attributes:
        cover: (N, N) land cover, row 0 in the north.
        west: Easting of its corner, metres.
        north: Northing, metres.
        cell_m: Side of the cells of the cover, metres.
    """

    cover: NDArray[np.uint8]
    west: float
    north: float
    cell_m: float

    @classmethod
    def of(cls, seed: int, size: float) -> _City:
        """The city of a seed, a metre a cell."""
        from tiercel.sim import make_world
        from tiercel.sim.landcover import land_cover

        west, south = corner(seed)
        return cls(land_cover(make_world(seed, size), round(size)), west, south + size, 1.0)

    def camera(self, one: CandidateList) -> tuple[float, float]:
        """Easting and northing of where a photo was really taken."""
        assert one.truth is not None
        x, y = FRAME.from_wgs84(one.truth.latitude, one.truth.longitude)
        return float(x), float(y)

    def sides(self, x: float, y: float, left_edge: float, seen: Sequence[bool], known: bool) -> str:
        """As `four_sides`, at an easting and a northing."""
        return four_sides(self.cover, self.cell_m, x - self.west, self.north - y, left_edge, seen, known)


def prepare_looks(
    target: Path, lists: Sequence[CandidateList], seed: int, size: float, tower: JudgeVisionModel, count: int
) -> Path:
    """Looks at the candidates of a simulated city, unless that was done.

    Args:
        target: Folder to make.
        lists: With truth and crops.
        seed: Of the city.
        size: Its side, metres.
        tower: Looks.
        count: Candidates of each photo.
    """
    if target.is_dir():
        return target
    partial = target.with_name(f"{target.name}.partial-{os.getpid()}")
    partial.mkdir(parents=True, exist_ok=True)
    try:
        arrays, words = _look_at_all(lists, _City.of(seed, size), tower, count)
        for name, array in arrays.items():
            np.save(partial / f"{name}.npy", array)
        (partial / "words.json").write_text(json.dumps(words), encoding="utf-8")
        partial.replace(target)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return target


@torch.inference_mode()
def _look_at_all(
    lists: Sequence[CandidateList], city: _City, tower: JudgeVisionModel, count: int
) -> tuple[dict[str, NDArray[np.generic]], dict[str, Any]]:
    seen: dict[Path, Tensor] = {}
    rows: dict[str, list[NDArray[np.generic]]] = {}
    photos, places = [], []
    for one in lists:
        glimpse = tower.glimpse(picture_tensor(SMALL_VIEW.of_photo(one).pixels))
        new = [it for it in one.candidates if it.crop not in seen]
        if new:
            stack = torch.stack([picture_tensor(SMALL_VIEW.of_candidate(one, it).pixels) for it in new])
            seen.update(zip([it.crop for it in new if it.crop], tower.places(stack), strict=True))
        looks = tower.look(glimpse, torch.stack([seen[it.crop] for it in one.candidates if it.crop]))
        row = {
            "polar": glimpse.polar.numpy().astype(np.float16),
            "known": np.array(glimpse.known),
            "ground": _filled([look.ground.numpy().astype(np.float16) for look in looks], count),
            "summary": _filled([look.summary.numpy().astype(np.float32) for look in looks], count),
            **_verdicts(one, city, count),
        }
        for name, array in row.items():
            rows.setdefault(name, []).append(array)
        sides, of_places = _sides(one, glimpse.polar, glimpse.known, looks, city)
        photo = {"panorama": one.panorama, "field_of_view": one.field_of_view, "heading": one.heading}
        photos.append({**photo, "crop_m": one.candidates[0].crop_m, "sides": sides})
        places.append(of_places)
    return {name: np.stack(arrays) for name, arrays in rows.items()}, {"photos": photos, "places": places}


def _filled(arrays: Sequence[NDArray[Any]], count: int) -> NDArray[Any]:
    """Stacked, with zeros behind the last."""
    stack = np.zeros((count, *arrays[0].shape), arrays[0].dtype)
    stack[: len(arrays)] = arrays[:count]
    return stack


def _verdicts(one: CandidateList, city: _City, count: int) -> dict[str, NDArray[np.bool_]]:
    """Which candidates hold the camera, and which are wrong; some are neither."""
    right, wrong = np.zeros(count, bool), np.zeros(count, bool)
    east, north = city.camera(one)
    for number, it in enumerate(one.candidates[:count]):
        assert it.x is not None and it.y is not None and it.distance_m is not None
        right[number] = max(abs(it.x - east), abs(it.y - north)) <= RIGHT_M
        wrong[number] = it.distance_m >= WRONG_M
    return {"right": right, "wrong": wrong}


def _sides(
    one: CandidateList, polar: Tensor, known: bool, looks: Sequence[Looks], city: _City
) -> tuple[str, list[str]]:
    """Words for the four sides of the photo, where it was really taken, and of each candidate at its best pose."""
    looked = (polar != 0).any(0).any(0)
    seen = (looked.roll(8).reshape(4, 16).float().mean(1) > LOOKED).tolist()
    left_edge = 0.0 if known else math.radians(_true_left_edge(one))
    photo = city.sides(*city.camera(one), left_edge, seen, known)
    places = []
    for it, look in zip(one.candidates, looks, strict=True):
        assert it.x is not None and it.y is not None
        east, north = it.x + 30.0 * float(look.summary[2]), it.y + 30.0 * float(look.summary[3])
        places.append(city.sides(east, north, float(torch.atan2(look.summary[4], look.summary[5])), seen, known))
    return photo, places


def _true_left_edge(one: CandidateList) -> float:
    """Azimuth of the left edge of a strip with the photo's centre in its middle, degrees, from the photo's own file."""
    heading = Photo.open(one.query, pixels=False).heading
    assert heading is not None
    return (heading.value - 180.0) % 360.0
