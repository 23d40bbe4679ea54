"""CVACT (Liu and Li, CVPR 2019): panoramas of Canberra, each with a tile around it.

A folder holds

* `ACT_data.mat`: `panoIds` (names), `utm` (their coordinates, metres) and `trainSet.trainInd`, `valSet.valInd` and
  `valSetAll.valInd`, which count names from 1 (35,532, 8,884 and 92,802 of them). The last is the test set; it holds
  the validation set;
* `ANU_data_small/streetview/<id>_grdView.jpg` (1664 x 832 pixels) and `satview_polish/<id>_satView_polish.jpg` (1200
  x 1200) for training and validation, `ANU_data_test/...` for the test.

What is done with it follows the authors' code (github.com/Liumouliu/OriCNN):

* one pair of the published training set has no pictures, so `split("train")` needs `missing="skip"`;
* in training, only tiles more than 25 m away are wrong (`posDistThr` of `input_data_ACT.py`): the nearer ones are
  semi-positives;
* in the test, every tile within 5 m of the photo is right (`RecallGeo.m`): `right_within_m`, and they are the
  semi-positives. Validation is by the name alone, and the same tiles are its semi-positives.

Panoramas have north in the middle column (the polar transform of SAFA's `data_preparation.py` maps a tile's upper
edge there) and were taken in the middle of their tile. Neither the file nor the code says in which order `utm` has
its two coordinates and in which zone; of Canberra's, in zone 55 south, the northing is the larger. How much ground a
tile shows is not said either, so `side_m` stays unknown.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tiercel.datasets.pairs.files import Listing, parts_of, settled
from tiercel.datasets.pairs.near import near
from tiercel.datasets.pairs.pairs import Checked, Missing, PairQuery, PairSplit, Part, Reference
from tiercel.errors import TiercelError
from tiercel.photos.write import replacing

FILE = "ACT_data.mat"
SETS = {"train": ("trainSet", "trainInd"), "val": ("valSet", "valInd"), "test": ("valSetAll", "valInd")}
"""The splits, and where the file has the indices of their names."""
FOLDERS = {"train": "ANU_data_small", "val": "ANU_data_small", "test": "ANU_data_test"}
PHOTO, TILE = "streetview/{}_grdView.jpg", "satview_polish/{}_satView_polish.jpg"
FRAME = "EPSG:32755"
"""UTM zone 55 south, where Canberra is."""
RIGHT_WITHIN_M = 5.0
"""Tiles so near the photo count as right in the test."""
NOT_WRONG_WITHIN_M = 25.0
"""Tiles so near the photo are not wrong in training."""
SOURCE = (
    "Ask its authors, who are named at github.com/Liumouliu/OriCNN; ACT_data.mat is also in script/OriNet_CVACT of "
    "github.com/YujiaoShi/cross_view_localization_DSM."
)

_HEADING = 0.0


@dataclass(frozen=True, eq=False)
class _Table:
    """What `ACT_data.mat` says.

    Attributes:
        names: (n) of the panoramas.
        east: (n,) metres.
        north: (n,) metres.
        latitude: (n,) degrees, NaN where the coordinates are not Canberra's.
        longitude: (n,) likewise.
        sets: For each split the indices of its names, from 0.
    """

    names: list[str]
    east: NDArray[np.float64]
    north: NDArray[np.float64]
    latitude: NDArray[np.float64]
    longitude: NDArray[np.float64]
    sets: dict[str, NDArray[np.int64]]


class Cvact:
    """CVACT, opened with `open_pairs`; the gallery of a split are its own tiles, as in the published protocol.

    Attributes:
        folder: Where it lies.
        name: "CVACT".
        splits: "train", "val" and "test".
    """

    name = "CVACT"
    splits = tuple(SETS)

    def __init__(self, folder: Path) -> None:
        """Notes the folder; reads nothing."""
        self.folder = folder

    def split(self, name: str, *, missing: Missing = "error") -> PairSplit:
        """See `PairDataset.split`."""
        if name not in self.splits:
            raise TiercelError(f"CVACT has no split '{name}': use {', '.join(self.splits)}.")
        table, chosen = self._table, self._table.sets[name]
        reach = NOT_WRONG_WITHIN_M if name == "train" else RIGHT_WITHIN_M
        around = _around(table.east[chosen], table.north[chosen], reach)
        gallery, queries = [], []
        for place, index in enumerate(chosen.tolist()):
            photo, tile = self._pictures(name, table.names[index])
            known = bool(np.isfinite(table.latitude[index]))
            latitude = float(table.latitude[index]) if known else None
            longitude = float(table.longitude[index]) if known else None
            gallery.append(Reference(table.names[index], tile, latitude, longitude))
            queries.append(PairQuery(
                name=table.names[index], file=photo, latitude=latitude, longitude=longitude, heading=_HEADING,
                field_of_view=360.0, panorama=True, positive=place, semi_positives=around[place],
            ))  # fmt: skip
        right = RIGHT_WITHIN_M if name == "test" else None
        return settled(PairSplit(name, tuple(gallery), tuple(queries), right), missing, self.folder)

    def check(self) -> Checked:
        """See `PairDataset.check`."""
        listing = Listing()
        steps = ((lambda split=split: self._check_split(split, listing)) for split in self.splits)
        parts, problems = parts_of(lambda: [listing.part("table", [self.folder / FILE], self.folder)], *steps)
        notes = []
        if any(part.missing and "train" in part.what for part in parts):
            notes.append("One pair of the published training set has no pictures: leave it out with missing='skip'.")
        if not problems and parts[0].there and not np.isfinite(self._table.latitude).all():
            notes.append(f"Coordinates in {FILE} are not all in Canberra's zone; photos outside have no position.")
        return Checked("CVACT", self.folder, parts, problems, tuple(notes), SOURCE)

    def _check_split(self, split: str, listing: Listing) -> Iterator[Part]:
        if not (self.folder / FILE).is_file():
            return
        names = [self._table.names[index] for index in self._table.sets[split].tolist()]
        pictures = [self._pictures(split, name) for name in names]
        yield listing.part(f"tiles of split {split}", (tile for _, tile in pictures), self.folder)
        yield listing.part(f"panoramas of split {split}", (photo for photo, _ in pictures), self.folder)

    def _pictures(self, split: str, name: str) -> tuple[Path, Path]:
        folder = self.folder / FOLDERS[split]
        return folder / PHOTO.format(name), folder / TILE.format(name)

    @cached_property
    def _table(self) -> _Table:
        path = self.folder / FILE
        content = _load(path)
        names = [str(name).strip() for name in np.asarray(_entry(path, content, "panoIds")).ravel()]
        places = np.asarray(_entry(path, content, "utm"), np.float64)
        if places.shape != (len(names), 2):
            raise TiercelError(
                f"{path}: utm has shape {places.shape} and not {(len(names), 2)}, a row for each of panoIds; copy it "
                "again."
            )
        east, north = places[:, np.argsort(np.median(places, axis=0))].T if names else places.T
        sets = {split: _indices(path, content, names, *keys) for split, keys in SETS.items()}
        return _Table(names, east, north, *_degrees(east, north), sets)


def write_table(
    path: Path, names: Sequence[str], places: NDArray[np.float64], splits: Mapping[str, Sequence[int]]
) -> None:
    """Writes an `ACT_data.mat`.

    Args:
        path: Where to; its folder exists.
        names: (n) of the panoramas, all of one length.
        places: (n, 2) eastings and northings, metres.
        splits: For each split the indices of its names, from 0.

    Raises:
        TiercelError: It cannot be written, or scipy is not installed.
    """
    savemat = _scipy(path).savemat
    content: dict[str, Any] = {"panoIds": np.array(names), "utm": places}
    for split, (key, field) in SETS.items():
        indices = np.array(splits[split], np.float64).reshape(-1, 1) + 1
        # The published code takes the indices by name or as the second field.
        content[key] = {"number": float(len(indices)), field: indices}
    with replacing(path) as part, part.open("wb") as file:
        savemat(file, content, do_compression=True)


def _scipy(path: Path) -> Any:  # noqa: ANN401  (a module)
    try:
        from scipy import io
    except ImportError:
        raise TiercelError(f"{path} needs scipy, which is not installed: run `pip install 'tiercel[cvact]'`.") from None
    return io


def _load(path: Path) -> dict[str, Any]:
    loadmat = _scipy(path).loadmat
    try:
        with path.open("rb") as file:
            return dict(loadmat(file, simplify_cells=True))
    except FileNotFoundError:
        raise TiercelError(f"{path} is missing; copy it there from CVACT.") from None
    except Exception as error:  # whatever a damaged file makes the parser raise
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise TiercelError(f"{path} cannot be read as a MATLAB file ({reason}); copy it again.") from error


def _entry(path: Path, content: object, *keys: str) -> Any:  # noqa: ANN401  (MATLAB's files hold anything)
    for key in keys:
        if not isinstance(content, dict) or key not in content:
            raise TiercelError(f"{path} has no entry {'.'.join(keys)}; copy CVACT's own {FILE} there.")
        content = content[key]
    return content


def _indices(path: Path, content: object, names: list[str], *keys: str) -> NDArray[np.int64]:
    """Indices of the names of a split, from 0."""
    counted = np.asarray(_entry(path, content, *keys), np.float64).ravel()
    wrong = counted[(counted != np.round(counted)) | (counted < 1) | (counted > len(names))]
    if len(wrong):
        raise TiercelError(
            f"{path}: {'.'.join(keys)} holds {wrong[0]:g} and there are {len(names)} names; copy it again."
        )
    indices = counted.astype(np.int64) - 1
    seen: set[str] = set()
    for index in indices.tolist():
        if names[index] in seen:
            raise TiercelError(f"{path}: {'.'.join(keys)} names the panorama {names[index]} twice; copy it again.")
        seen.add(names[index])
    return indices


def _degrees(east: NDArray[np.float64], north: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Latitudes and longitudes; NaN where the coordinates cannot be of zone 55 south."""
    from tiercel.geo import Frame

    latitude, longitude = np.full(len(east), np.nan), np.full(len(east), np.nan)
    possible = (east > 1e5) & (east < 9e5) & (north > 1e6) & (north < 1e7)
    latitude[possible], longitude[possible] = Frame(FRAME).to_wgs84(east[possible], north[possible])
    return latitude, longitude


def _around(east: NDArray[np.float64], north: NDArray[np.float64], reach: float) -> list[tuple[int, ...]]:
    """For every photo the other ones of its split at most `reach` metres away."""
    around = []
    for place, others in enumerate(near(east, north, east, north, reach)):
        apart = np.hypot(east[others] - east[place], north[others] - north[place])
        around.append(tuple(int(other) for other in others[apart <= reach] if other != place))
    return around
