"""The contact sheet shows what was kept and dropped; the coverage map shows where."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.datasets.curation.town import street, take
from tiercel.datasets.curation.choosing import Fate
from tiercel.datasets.curation.examine import examine
from tiercel.datasets.curation.pictures import (
    DROPPED,
    SHOWN_KEPT,
    TRAIN,
    VALIDATION,
    contact_sheet,
    coverage_map,
    save,
)
from tiercel.datasets.curation.sources import Listed
from tiercel.datasets.curation.splitting import LEFT_OUT, Block
from tiercel.errors import TiercelError

GREY = np.full((400, 400, 3), 120, np.uint8)


def fate(path: Path, image_id: str = "", *reasons: str) -> Fate:
    listed = Listed(path, path.name)
    return Fate(listed, examine(listed), reasons, "So it is.", "", image_id)


def share(picture: np.ndarray, colour: tuple[int, int, int]) -> float:
    return float((np.abs(picture.astype(int) - colour).max(-1) < 12).mean())


def test_the_sheet_grows_with_what_it_shows(tmp_path: Path) -> None:
    red = np.zeros((120, 160, 3), np.uint8)
    red[..., 0] = np.random.default_rng(0).integers(190, 256, red.shape[:2])
    kept = [fate(take(tmp_path / f"{index}.jpg", red, 100, 100), str(index)) for index in range(3)]
    states = {"0": "train", "1": "val", "2": LEFT_OUT}
    plain = np.asarray(contact_sheet(kept, states, "mine"))
    assert ((plain[..., 0] > 170) & (plain[..., 1] < 60)).mean() > 0.1, "the photos are to be seen"
    (tmp_path / "broken.jpg").write_bytes(b"no")
    dropped = [fate(tmp_path / "broken.jpg", "", "unreadable"), fate(tmp_path / "0.jpg", "", "blurred", "indoors")]
    more = np.asarray(contact_sheet([*kept, *dropped], states, "mine"))
    assert more.shape[0] > plain.shape[0] + 300 and more.shape[1] == plain.shape[1]
    assert share(more, DROPPED) > share(plain, DROPPED) == 0


def test_of_many_photos_a_sample_is_shown(tmp_path: Path) -> None:
    one = fate(take(tmp_path / "a.jpg", street(1), 100, 100), "a")
    some, many = (contact_sheet([one] * count, {"a": "train"}, "mine") for count in (SHOWN_KEPT, 5000))
    assert some.size == many.size


def test_names_in_any_letters_can_be_drawn(tmp_path: Path) -> None:
    path = take(tmp_path / "日本 · Straße.jpg", street(1), 100, 100)
    assert contact_sheet([fate(path, "日本")], {"日本": "train"}, "日本").size[1] > 200


def test_the_map_has_its_photos_in_the_colour_of_their_side() -> None:
    places = [(0.3, 0.3, "train"), (0.4, 0.7, "train"), (0.7, 0.4, "val"), (0.6, 0.6, "dropped"), (0.5, 0.5, LEFT_OUT)]
    picture = np.asarray(coverage_map(GREY, places, [], 1000.0, "mine"))
    assert all(share(picture, colour) > 2e-5 for colour in (TRAIN, VALIDATION, DROPPED))
    blocks = [Block((0.6, 0.3, 0.8, 0.5), "val"), Block((0.2, 0.2, 0.4, 0.4), "train")]
    drawn = np.asarray(coverage_map(GREY, places, blocks, 1000.0, "mine"))
    assert drawn.shape == picture.shape and (drawn != picture).any(-1).mean() > 0.05


@pytest.mark.parametrize("places", [[], [(0.5, 0.5, "val")], [(0.0, 0.0, "train"), (1.0, 1.0, "train")]])
def test_any_number_of_places(places: list[tuple[float, float, str]]) -> None:
    assert coverage_map(GREY, places, [], 39.0625, "mine").size[0] > 1000


def test_a_picture_is_saved_whole_or_not_at_all(tmp_path: Path) -> None:
    save(coverage_map(GREY, [], [], 100.0, "mine"), tmp_path / "map.jpg")
    assert [path.name for path in tmp_path.iterdir()] == ["map.jpg"]
    with pytest.raises(TiercelError, match="cannot be written"):
        save(coverage_map(GREY, [], [], 100.0, "mine"), tmp_path / "none" / "map.jpg")
