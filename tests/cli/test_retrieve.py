"""`tiercel retrieve` for real, on a small town with a model of random weights."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import Result

from tests.search.town import NORTH, SIDE, WEST, Town, prepared
from tiercel.candidates import on_map, read_candidates
from tiercel.geo import Frame, Square
from tiercel.maps import write_geotiff
from tiercel.models import save_model
from tiercel.photos import write_photo

Run = Callable[..., Result]


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an atlas, its model, a map, twelve photos and a table of where they were taken."""
    folder = tmp_path_factory.mktemp("town").resolve()
    model, atlas = prepared()
    shutil.copytree(atlas.folder, folder / "town.atlas")
    save_model(model, folder / "model", "For tests.")
    ground, _ = Town().read(Square(WEST + SIDE / 2, NORTH - SIDE / 2, SIDE), 1000)
    write_geotiff(folder / "town.tif", ground, Town.frame, WEST, NORTH, 0.5)
    (folder / "photos" / "west").mkdir(parents=True)
    rows = ["file,latitude,longitude"]
    for number in range(12):
        name = f"photos/{'west/' if number % 2 else ''}{number:02}.jpg"
        pixels = np.random.default_rng(number).integers(0, 256, (6, 8, 3), np.uint8).repeat(20, 0).repeat(20, 1)
        latitude, longitude = (float(v) for v in Town.frame.to_wgs84(WEST + 30 + 35 * number, NORTH - 150))
        write_photo(folder / name, pixels, latitude=latitude, longitude=longitude, field_of_view=70)
        rows.append(f"{name},{latitude},{longitude}")
    (folder / "photos.csv").write_text("\n".join(rows))
    return folder


@pytest.fixture
def place(town: Path, tmp_path: Path) -> Path:
    """The same, to be written to."""
    shutil.copytree(town, tmp_path / "town")
    return (tmp_path / "town").resolve()


@pytest.fixture
def retrieve(tiercel: Run, place: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """`tiercel retrieve` in the folder of the town."""
    monkeypatch.chdir(place)
    return lambda *arguments: tiercel("retrieve", *arguments, "--atlas", "town.atlas", "--model", "model")


def test_candidates_with_pictures_and_the_ceiling(retrieve: Run, place: Path) -> None:
    result = retrieve(
        "photos", "-o", "out/c.jsonl", "--crops", "out/crops", "--map", "town.tif", "--truth", "photos.csv"
    )
    assert result.exit_code == 0, result.stderr
    found = read_candidates(place / "out" / "c.jsonl")
    assert [one.query.name for one in found.lists] == [f"{n:02}.jpg" for n in (*range(0, 12, 2), *range(1, 12, 2))]
    assert {len(one.candidates) for one in found.lists} == {20}
    hits = sum(one.correct_in(5) for one in found.lists)
    assert "out/c.jsonl: 20 candidates for each of 12 photos" in result.stdout
    assert (
        f"right within 50 m: {sum(one.correct_in(1) for one in found.lists) / 12:.1%} in the first 1" in result.stdout
    )
    assert f"{hits / 12:.1%} in the first 5" in result.stdout and "of 12 photos whose place is known" in result.stdout
    assert "out/crops: pictures of 93.75 m of ground, 384 pixels wide" in result.stdout
    assert "another map" in result.stderr and result.stderr.count("\n") == 1  # the atlas was built from one in memory
    used = {it.crop for one in found.lists for it in one.candidates}
    assert used == set((place / "out" / "crops").glob("*.jpg"))
    assert all(Image.open(file).size == (384, 384) for file in used)


def test_one_corrupt_photo_among_many(retrieve: Run, place: Path) -> None:
    victim = place / "photos" / "04.jpg"
    whole = victim.read_bytes()
    victim.write_bytes(whole[:400])
    result = retrieve("photos", "-o", "c.jsonl", "--count", 3)
    assert result.exit_code == 2
    assert result.stdout == "c.jsonl: 3 candidates for each of 11 photos\n"
    first, last = result.stderr.splitlines()
    assert first.startswith("Error: ") and "photos/04.jpg" in first
    assert last.startswith("1 photo failed, and c.jsonl lists it so")
    assert len(read_candidates(place / "c.jsonl", partial=True).lists) == 11
    victim.write_bytes(whole)
    result = retrieve("photos", "-o", "c.jsonl", "--count", 3)
    assert result.exit_code == 0 and result.stderr == ""
    assert len(read_candidates(place / "c.jsonl").lists) == 12


def test_many_corrupt_photos_do_not_flood_the_terminal(retrieve: Run, place: Path) -> None:
    (place / "bad").mkdir()
    for number in range(30):
        (place / "bad" / f"{number}.jpg").write_text("no photo")
    result = retrieve("bad", "-o", "c.jsonl")
    assert result.exit_code == 2
    assert result.stderr.count("Error: ") == 20 and "and 10 more." in result.stderr
    assert "30 photos failed, and c.jsonl lists them so" in result.stderr


def test_interrupted_it_says_how_to_go_on(retrieve: Run, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    keep, calls = on_map._keep, []

    def keep_four(*arguments: object) -> None:
        if len(calls) == 4:
            raise KeyboardInterrupt
        calls.append(keep(*arguments))

    monkeypatch.setattr(on_map, "_keep", keep_four)
    result = retrieve("photos", "-o", "c.jsonl")
    assert result.exit_code == 130 and result.stderr == "Stopped; run the same command again to go on.\n"
    assert (place / "c.jsonl.part").read_text().count("\n") == 5 and not (place / "c.jsonl").exists()
    monkeypatch.setattr(on_map, "_keep", keep)
    assert retrieve("photos", "-o", "c.jsonl").exit_code == 0
    assert len(read_candidates(place / "c.jsonl").lists) == 12 and not (place / "c.jsonl.part").exists()


def test_the_papers_list_comes_beside_the_lines(retrieve: Run, place: Path) -> None:
    paper = ("photos", "-o", "c.json", "--format", "paper", "--count", 4, "--crops", "crops", "--crop-pixels", 32)
    victim = place / "photos" / "04.jpg"
    whole = victim.read_bytes()
    victim.write_text("no photo")
    result = retrieve(*paper)
    assert result.exit_code == 2 and "c.json is not written" in result.stderr and not (place / "c.json").exists()
    victim.write_bytes(whole)
    result = retrieve(*paper)
    assert result.exit_code == 0, result.stderr
    assert "coarse, 0.24 m a pixel" in result.stderr
    entries, lines = json.loads((place / "c.json").read_text()), read_candidates(place / "c.jsonl")
    assert [place / entry["query_path"] for entry in entries] == [one.query for one in lines.lists]
    assert [[place / name for name in entry["predictions"]] for entry in entries] == [
        [it.crop for it in one.candidates] for one in lines.lists
    ]
    assert retrieve(*paper).exit_code == 0


def test_exif_as_truth_and_an_area(retrieve: Run, place: Path) -> None:
    latitude, longitude = (float(v) for v in Town.frame.to_wgs84(WEST + 200, NORTH - 150))
    area = f"{latitude},{longitude},40"
    result = retrieve("photos/06.jpg", "-o", "c.jsonl", "--truth", "exif", "--within", area, "--apart", 0, "--count", 5)
    assert result.exit_code == 0, result.stderr
    (one,) = read_candidates(place / "c.jsonl").lists
    assert one.truth is not None and one.truth.source == "EXIF GPS" and one.judged
    assert all(abs(it.x - WEST - 200) < 72 and abs(it.y - NORTH + 150) < 72 for it in one.candidates)
    again = retrieve("photos/06.jpg", "-o", "c.jsonl", "--apart", 0, "--count", 5)
    assert again.exit_code == 2 and "within" in again.stderr


def test_photos_that_do_not_say_where_they_were_taken_are_not_judged(retrieve: Run, place: Path) -> None:
    Image.new("RGB", (160, 120), "teal").save(place / "plain.png")
    result = retrieve("plain.png", "-o", "c.jsonl", "--truth", "exif")
    assert result.exit_code == 0 and "right within" not in result.stdout
    assert "none of the photos" in result.stderr


def test_atlas_map_and_crops_in_the_same_folder_are_no_photos(retrieve: Run, place: Path) -> None:
    given = ("-o", "c.jsonl", "--crops", "crops", "--crop-pixels", 32, "--map", "town.tif")
    for _ in range(2):
        assert retrieve(".", *given).exit_code == 0
    assert len(read_candidates(place / "c.jsonl").lists) == 12


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        (("photos/no.jpg", "-o", "c.jsonl"), "no photo or folder photos/no.jpg"),
        (("photos", "photos/00.jpg", "-o", "c.jsonl"), "photos/00.jpg is given twice"),
        (("model", "-o", "c.jsonl"), "model holds no photos"),
        (("photos", "-o", "photos"), "photos is a folder"),
        (("photos", "-o", "photos/00.jpg"), "00.jpg is no text"),
        (("photos", "-o", "photos.csv"), "photos.csv, line 1: this is no header"),
        (("photos", "-o", "c.json", "--format", "paper"), "--crops"),
        (("photos", "-o", "c.jsonl", "--format", "paper", "--crops", "crops"), ".json"),
        (("photos", "-o", "other.json", "--format", "paper", "--crops", "crops"), "other.json, entry 1"),
        (("photos", "-o", "c.jsonl", "--truth", "photos/00.jpg"), "00.jpg"),
        (("photos", "-o", "c.jsonl", "--truth", "nowhere.csv"), "nowhere.csv"),
        (("photos", "-o", "c.jsonl", "--truth", "others.csv"), "others.csv has no place for any"),
        (("photos", "-o", "c.jsonl", "--within", "46,15"), "46,15"),
        (("photos", "-o", "c.jsonl", "--map", "nowhere.tif"), "nowhere.tif"),
        (("photos", "-o", "c.jsonl", "--crops", "photos.csv"), "photos.csv cannot be made"),
        (("photos", "-o", "c.jsonl", "--crops", "crops", "--map", "elsewhere.tif"), "EPSG:32632"),
    ],
)
def test_wrong_input_is_one_sentence_and_leaves_nothing(
    retrieve: Run, place: Path, wrong: tuple[str, ...], sentence: str
) -> None:
    (place / "others.csv").write_text("image,latitude,longitude\nx/y.jpg,46,15\n")
    (place / "other.json").write_text('["a"]')
    write_geotiff(place / "elsewhere.tif", np.zeros((9, 9, 3), np.uint8), Frame("EPSG:32632"), WEST, NORTH, 0.5)
    before = {path: path.read_bytes() for path in place.rglob("*") if path.is_file()}
    result = retrieve(*wrong)
    assert result.exit_code == 2, result.exception
    assert result.stderr.startswith("Error: ") and result.stderr.count("\n") == 1 and sentence in result.stderr
    assert {path: path.read_bytes() for path in place.rglob("*") if path.is_file()} == before
