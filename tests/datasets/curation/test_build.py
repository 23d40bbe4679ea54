"""Photos and a map become a benchmark that the loader opens, whatever is wrong with some of them."""

from __future__ import annotations

import csv
import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.datasets.curation.town import SIDE, blurred, finger, place, street, take, walk, write_map
from tiercel.datasets import simulate
from tiercel.datasets.curation import Choices, Thresholds, build_dataset
from tiercel.datasets.curation import build as module
from tiercel.datasets.curation.build import CURATION_FOLDER, Built
from tiercel.datasets.curation.writing import Job, Written, write_one
from tiercel.datasets.justzoomin import PHOTO_FOLDER, JustZoomIn
from tiercel.errors import TiercelError
from tiercel.geo.sphere import haversine_m
from tiercel.photos import Photo

SMALL = Choices(leaf=40.0, block=60.0)


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A map, shared by all tests."""
    return write_map(tmp_path_factory.mktemp("map"), gap=30.0)


def build(folder: Path, town: Path, **options: Any) -> Built:
    options = {"photos": folder / "photos", "choices": SMALL} | options
    return build_dataset(folder / "mine", town, **options)


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def everything(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def ruined(folder: Path) -> dict[str, str]:
    """Good photos and one of every bad kind: the reason by name."""
    walk(folder, 12)
    take(folder / "blurred.jpg", blurred(street(20)), 300, 300)
    take(folder / "black.jpg", (street(21) * 0.05).astype(np.uint8), 300, 300)
    take(folder / "finger.jpg", finger(street(22)), 300, 300)
    take(folder / "far.jpg", street(23), 300, SIDE + 9000)
    take(folder / "uncovered.jpg", street(24), 5, 300)
    take(folder / "again.jpg", blurred(street(3), 0.5), *near(folder / "0003.jpg"), 95.0)
    Image.fromarray(street(25)).save(folder / "nowhere.jpg")
    (folder / "cut.jpg").write_bytes((folder / "0000.jpg").read_bytes()[:3000])
    (folder / "empty.jpg").write_bytes(b"")
    return {
        "blurred.jpg": "blurred", "black.jpg": "dark", "finger.jpg": "obstructed", "far.jpg": "off the map",
        "uncovered.jpg": "off the map", "again.jpg": "near-duplicate", "nowhere.jpg": "no position",
        "cut.jpg": "unreadable", "empty.jpg": "unreadable",
    }  # fmt: skip


def near(path: Path) -> tuple[float, float]:
    """East and north, in the town, of a metre beside a photo of `walk`."""
    return float(np.linspace(60, SIDE - 60, 12)[int(path.stem)]) + 1.0, 250.0


def test_a_folder_becomes_a_benchmark_and_every_bad_photo_has_its_reason(tmp_path: Path, town: Path) -> None:
    expected = ruined(tmp_path / "photos")
    report = build(tmp_path, town).report
    assert (report["photos"], report["kept"], report["train"] + report["val"] + report["left_out"]) == (21, 12, 12)
    dropped = {row["image"]: row["reason"] for row in rows(tmp_path / "mine" / "curation" / "dropped.csv")}
    assert dropped == expected
    assert {reason: report["dropped"][reason] for reason in set(expected.values())} == Counter(expected.values())
    data = JustZoomIn.open(tmp_path / "mine")
    samples = [*data.samples("train"), *data.samples("val")]
    assert data.samples("val") and len(samples) == 12 - report["left_out"]
    for split in ("train", "val"):
        assert data.check(split).problems == ()
    assert not (tmp_path / "mine.partial").exists()
    for name in ("contact_sheet.jpg", "coverage_map.jpg"):
        with Image.open(tmp_path / "mine" / CURATION_FOLDER / name) as picture:
            assert min(picture.size) > 200
    words = {row["image"]: row["words"] for row in rows(tmp_path / "mine" / "curation" / "dropped.csv")}
    assert "0003.jpg" in words["again.jpg"] and "empty (0 bytes)" in words["empty.jpg"]
    assert len(rows(tmp_path / "mine" / "curation" / "measures.csv")) == 21


def test_a_simulated_city_comes_back_with_its_labels(tmp_path: Path) -> None:
    samples = simulate(tmp_path / "city", seed=11, size=300, photos=6)
    everything_stays = Thresholds(blur=1, brightness=0, obstruction=1, sky=1, ceiling=1)
    choices = Choices(leaf=20.0, thresholds=everything_stays, validation=0.0)
    build_dataset(
        tmp_path / "mine", tmp_path / "city" / "city.tif", photos=tmp_path / "city", choices=choices
    )  # by the table that lies there
    data = JustZoomIn.open(tmp_path / "mine")
    assert (data.branching, data.depth, data.side_m) == (4, 2, 320.0)
    truth = {sample.file.stem: sample for sample in samples}
    found = {sample.image_id: sample for sample in data.samples("train")}
    assert found.keys() == truth.keys()
    for name, sample in found.items():
        assert (sample.latitude, sample.longitude) == pytest.approx((truth[name].latitude, truth[name].longitude))
        assert haversine_m(*data.cell_centre(sample.actions), truth[name].latitude, truth[name].longitude) < 20 * 0.708
        assert float(data.photo_notes[name]["heading"]) == pytest.approx(truth[name].heading, abs=1e-3)
        assert Photo.open(sample.file).panorama == (truth[name].kind == "panorama")
    assert data.check("train").problems == ()
    assert data.read_square((), 64).std() > 10


def test_a_table_carries_sequences_licences_and_calibrations_along(tmp_path: Path, town: Path) -> None:
    walk(tmp_path / "photos", 10)
    lines = ["image,latitude,longitude,sequence,camera_type,camera_parameters,licence,attribution,link"]
    for index in range(10):
        latitude, longitude = place(100 + 30 * index, 250)
        bent = 'perspective,"[0.7, -0.2, 0.02]"' if index % 2 else ","
        lines.append(
            f"{index:04d}.jpg,{latitude},{longitude},drive {index // 5},{bent},CC BY-SA 4.0,Ada {index},l{index}"
        )
    lines += ["0000.jpg,north,13,,,,,,", "missing.jpg,47,15,,,,,,"]
    (tmp_path / "log.csv").write_text("\n".join(lines) + "\n")
    report = build(
        tmp_path, town, table=tmp_path / "log.csv", choices=Choices(leaf=40.0, split="sequence", validation=0.3)
    ).report
    assert (report["kept"], report["straightened"], report["copied"], report["sequences"]) == (10, 5, 5, 2)
    assert (report["dropped"]["bad row"], report["dropped"]["unreadable"]) == (1, 1)
    assert report["licences"] == {"CC BY-SA 4.0": 10}
    data = JustZoomIn.open(tmp_path / "mine")
    sides = [{sample.drive for sample in data.samples(split)} for split in ("train", "val")]
    assert len(sides[0]) == len(sides[1]) == 1 and sides[0] != sides[1]
    note = data.photo_notes["0003"]
    assert (note["licence"], note["attribution"], note["link"], note["how"]) == (
        "CC BY-SA 4.0", "Ada 3", "l3", "straightened"
    )  # fmt: skip
    assert 60 < float(note["field_of_view"]) < 110


def test_a_run_over_many_photos_with_broken_files_finishes_and_counts_them(tmp_path: Path, town: Path) -> None:
    walk(tmp_path / "photos", 200)
    for index in range(0, 200, 50):
        (tmp_path / "photos" / f"{index:04d}.jpg").write_bytes(b"\xff\xd8\xff\xe0 broken")
    report = build(tmp_path, town, workers=2).report
    assert (report["photos"], report["kept"], report["dropped"]["unreadable"]) == (200, 196, 4)
    listed = {row["image"] for row in rows(tmp_path / "mine" / "curation" / "dropped.csv")}
    assert listed == {"0000.jpg", "0050.jpg", "0100.jpg", "0150.jpg"}


def test_workers_change_nothing(tmp_path: Path, town: Path) -> None:
    walk(tmp_path / "photos", 20)
    build_dataset(tmp_path / "one", town, photos=tmp_path / "photos", choices=SMALL)
    build_dataset(tmp_path / "two", town, photos=tmp_path / "photos", choices=SMALL, workers=2)
    unordered = {"curation/examined.jsonl", "curation/contact_sheet.jpg", "curation/coverage_map.jpg"}
    one, two = (
        {name: data for name, data in everything(tmp_path / which).items() if name not in unordered}
        for which in ("one", "two")
    )
    assert one == two and len(one) > 24


@pytest.mark.parametrize("where", ["Looking at photos", "Writing photos", "Writing the map", "Drawing"])
def test_an_interrupted_build_leaves_nothing_half_done_and_goes_on(
    tmp_path: Path, town: Path, where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    walk(tmp_path / "photos", 12)

    def steps(what: str) -> Any:
        def report(done: int, total: int) -> None:
            if what == where and done >= total // 2:
                raise KeyboardInterrupt

        return report

    with pytest.raises(KeyboardInterrupt):
        build(tmp_path, town, steps=steps)
    assert not (tmp_path / "mine").exists()
    written: list[str] = []

    def write(job: Job) -> Written:
        written.append(job.target.name)
        return write_one(job)

    monkeypatch.setattr(module, "write_one", write)
    resumed = build(tmp_path, town).report
    assert len(written) == {"Looking at photos": 12, "Writing photos": 6}.get(where, 0)
    monkeypatch.undo()
    whole = build_dataset(tmp_path / "whole", town, photos=tmp_path / "photos", choices=SMALL).report
    assert resumed == whole and not (tmp_path / "mine.partial").exists()
    named = {"curation/contact_sheet.jpg", "curation/coverage_map.jpg"}  # their titles tell the folder's name
    one, other = (everything(tmp_path / which) for which in ("mine", "whole"))
    assert one.keys() == other.keys()
    # Coarse tiles made of tiles that were read back from JPEG differ by its rounding.
    assert all(one[name] == other[name] for name in one if name not in named and not name.startswith("satellite"))


def test_a_benchmark_that_is_there_is_replaced_only_when_asked(tmp_path: Path, town: Path) -> None:
    walk(tmp_path / "photos", 10)
    build(tmp_path, town)
    before = everything(tmp_path / "mine")
    with pytest.raises(TiercelError, match="is there already: choose another folder, or replace it with --overwrite"):
        build(tmp_path, town)
    assert everything(tmp_path / "mine") == before
    walk(tmp_path / "photos", 2, first=30)
    assert build(tmp_path, town, overwrite=True).report["photos"] == 12
    assert len(list((tmp_path / "mine" / PHOTO_FOLDER).iterdir())) == 12
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mine", "photos"]


def test_a_folder_that_is_something_else_is_never_replaced(tmp_path: Path, town: Path) -> None:
    walk(tmp_path / "photos", 10)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years of work")
    for overwrite in (False, True):
        with pytest.raises(TiercelError, match="is no benchmark made by this command: choose another folder"):
            build(tmp_path, town, overwrite=overwrite)
    assert (tmp_path / "mine" / "thesis.txt").read_text() == "years of work"


def test_other_choices_after_an_interruption_leave_no_traces(tmp_path: Path, town: Path) -> None:
    walk(tmp_path / "photos", 10)

    def steps(what: str) -> Any:
        def report(done: int, total: int) -> None:
            if what == "Drawing":
                raise KeyboardInterrupt

        return report

    with pytest.raises(KeyboardInterrupt):
        build(tmp_path, town, steps=steps)
    (tmp_path / "photos" / "0004.jpg").unlink()
    choices = Choices(leaf=20.0, block=60.0, long_side=120)
    report = build(tmp_path, town, choices=choices).report
    assert (report["kept"], report["shrunk"], report["square"]["depth"]) == (9, 9, 3)
    photos = sorted((tmp_path / "mine" / PHOTO_FOLDER).iterdir())
    assert len(photos) == 9 and all(max(Image.open(path).size) == 120 for path in photos)
    fresh = build_dataset(tmp_path / "fresh", town, photos=tmp_path / "photos", choices=choices)
    satellite = {name for name in everything(tmp_path / "mine") if name.startswith("satellite")}
    assert satellite == {name for name in everything(fresh.folder) if name.startswith("satellite")}


def test_photos_of_one_name_in_several_folders_keep_apart(tmp_path: Path, town: Path) -> None:
    for index, name in enumerate(("monday/IMG 1.jpg", "tuesday/IMG 1.jpg", "tuesday/img 1.jpeg")):
        take(tmp_path / "photos" / name, street(index), 100 + 100 * index, 250)
    build(tmp_path, town, choices=Choices(leaf=40.0, split="random", validation=0.4))
    names = sorted(path.name for path in (tmp_path / "mine" / PHOTO_FOLDER).iterdir())
    assert names == ["IMG_1-2_undistorted.jpg", "IMG_1_undistorted.jpg", "img_1-3_undistorted.jpg"]


def test_a_square_that_was_asked_for_drops_what_lies_outside(tmp_path: Path, town: Path) -> None:
    walk(tmp_path / "photos", 12)
    choices = Choices(leaf=40.0, depth=1, centre=place(140, 250), split="random")
    report = build(tmp_path, town, choices=choices).report
    assert 2 <= report["kept"] < 6 and report["dropped"]["off the map"] == 12 - report["kept"]
    assert report["square"]["side_m"] == 160.0


def test_bad_input_is_one_sentence(tmp_path: Path, town: Path) -> None:
    take(tmp_path / "photos" / "a.jpg", blurred(street(1)), 200, 250)
    Image.fromarray(street(2)).save(tmp_path / "photos" / "b.jpg")
    with pytest.raises(TiercelError, match=r"None of 2 photos can be used \(1 blurred, 1 no position; a.jpg: Its blur"):
        build(tmp_path, town)
    with pytest.raises(TiercelError, match=r"does not exist; check the path of the map"):
        build(tmp_path, tmp_path / "none.tif")
    with pytest.raises(TiercelError, match="lies among the photos and would become one of them"):
        build_dataset(tmp_path / "photos" / "mine", town, photos=tmp_path / "photos")
    assert not (tmp_path / "mine").exists()
    take(tmp_path / "photos" / "c.jpg", street(3), 200, 250)
    with pytest.raises(TiercelError, match="too close together for blocks of 60 m: give a smaller --block"):
        build(tmp_path, town)
    with pytest.raises(TiercelError, match="too few sequences, to split them by sequence: give another --split"):
        build(tmp_path, town, choices=Choices(leaf=40.0, split="sequence"))
    assert build(tmp_path, town, choices=Choices(leaf=40.0, validation=0.0)).report["train"] == 1


def test_the_report_is_json_and_names_every_choice(tmp_path: Path, town: Path) -> None:
    walk(tmp_path / "photos", 10)
    built = build(tmp_path, town)
    stored = json.loads((tmp_path / "mine" / CURATION_FOLDER / "report.json").read_text())
    assert stored == json.loads(json.dumps(built.report))
    assert stored["choices"]["thresholds"]["blur"] == 0.5 and stored["licences"] == {"not stated": 10}
    assert 0.5 < stored["map"]["covered"] <= 1
