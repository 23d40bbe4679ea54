"""Every photo is looked at once, and what cannot be read is said."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from PIL import ExifTags, Image

from tests.datasets.curation.town import place, street, take, walk
from tiercel.datasets.curation import examine as module
from tiercel.datasets.curation.examine import Examined, examine, examine_all
from tiercel.datasets.curation.sources import Listed, list_photos


def listed(path: Path, **more: object) -> Listed:
    return replace(Listed(path, path.name), **more)


def all_of(folder: Path, cache: Path) -> list[Examined]:
    return examine_all(list_photos(folder, None), cache, 1, lambda done, total: None)


def test_a_photo_says_where_it_was_taken_and_a_table_says_it_better(tmp_path: Path) -> None:
    path = take(tmp_path / "a.jpg", street(1), 100, 200, 45.0)
    found = examine(listed(path))
    assert (found.latitude, found.longitude) == pytest.approx(place(100, 200), abs=1e-8)
    assert (found.heading, found.panorama, found.error) == (pytest.approx(45.0), False, "")
    assert found.field_of_view == pytest.approx(70, abs=0.01) and len(found.look) == 64 and found.measures is not None
    told = examine(listed(path, latitude=1.0, longitude=2.0, heading=90.0, field_of_view=50.0, captured_at=7.0))
    assert (told.latitude, told.longitude, told.heading, told.field_of_view) == (1.0, 2.0, 90.0, 50.0)
    assert told.captured_at == 7.0


def test_half_a_position_from_a_table_is_none(tmp_path: Path) -> None:
    path = take(tmp_path / "a.jpg", street(1), 100, 200)
    assert examine(listed(path, latitude=1.0)).latitude == pytest.approx(place(100, 200)[0], abs=1e-8)


def test_the_time_of_capture(tmp_path: Path) -> None:
    exif = Image.Exif()
    tags = exif.get_ifd(ExifTags.IFD.Exif)
    tags[ExifTags.Base.DateTimeOriginal] = "2020:09:13 14:26:43"
    tags[ExifTags.Base.OffsetTimeOriginal] = "+02:00"
    tags[ExifTags.Base.SubsecTimeOriginal] = "25"
    Image.fromarray(street(1)).save(tmp_path / "a.jpg", exif=exif)
    assert examine(listed(tmp_path / "a.jpg")).captured_at == pytest.approx(1600000003.25)
    tags[ExifTags.Base.DateTimeOriginal] = "0000:00:00 00:00:00"
    Image.fromarray(street(1)).save(tmp_path / "b.jpg", exif=exif)
    assert examine(listed(tmp_path / "b.jpg")).captured_at is None


def test_what_cannot_be_read_is_one_sentence(tmp_path: Path) -> None:
    whole = take(tmp_path / "a.jpg", street(1), 100, 200).read_bytes()
    (tmp_path / "cut.jpg").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "empty.jpg").write_bytes(b"")
    for name, words in (("cut.jpg", "damaged"), ("empty.jpg", "empty"), ("none.jpg", "There is no photo")):
        found = examine(listed(tmp_path / name))
        assert words in found.error and name in found.error and found.measures is None
    assert examine(listed(tmp_path / "a.jpg", trouble="line 7: no.")).error == "line 7: no."


def test_nothing_is_looked_at_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, cache = tmp_path / "photos", tmp_path / "cache.jsonl"
    walk(folder, 3)
    (folder / "cut.jpg").write_bytes(b"\xff\xd8\xff")
    first = all_of(folder, cache)
    looked: list[str] = []

    def look(one: Listed) -> Examined:
        looked.append(one.name)
        return examine(one)

    monkeypatch.setattr(module, "examine", look)
    assert all_of(folder, cache) == first and looked == []
    take(folder / "0001.jpg", street(77), 100, 100)
    assert all_of(folder, cache)[1] != first[1] and looked == ["0001.jpg"]


def test_an_interrupted_look_goes_on_where_it_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, cache = tmp_path / "photos", tmp_path / "cache.jsonl"
    walk(folder, 6)
    looked: list[str] = []

    def look(one: Listed) -> Examined:
        if len(looked) == 4:
            raise KeyboardInterrupt
        looked.append(one.name)
        return examine(one)

    monkeypatch.setattr(module, "examine", look)
    with pytest.raises(KeyboardInterrupt):
        all_of(folder, cache)
    looked.clear()
    assert len(all_of(folder, cache)) == 6 and looked == ["0004.jpg", "0005.jpg"]
