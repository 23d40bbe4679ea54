"""`tiercel dataset`: what is printed, and what is not."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from typer.testing import Result

from tests.datasets.curation.town import place, walk, write_map
from tests.datasets.mapillary.server import TOKEN, Mapillary, image
from tiercel.datasets.justzoomin import JustZoomIn

Run = Callable[..., Result]
BOX = "13.361,52.501,13.379,52.509"


@pytest.fixture
def api() -> Iterator[Mapillary]:
    server = Mapillary([image(index, 13.37 + index * 1e-4, 52.505) for index in range(3)])
    yield server
    server.shutdown()
    server.server_close()


def test_mapillary_downloads_and_says_how_many(tiercel: Run, api: Mapillary, tmp_path: Path) -> None:
    arguments = ("dataset", "mapillary", "--bbox", BOX, "--token", TOKEN, "-o", tmp_path, "--api", api.url)
    result = tiercel(*arguments, "--rate", 500)
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout == f"{tmp_path}: 3 new photos of 3; photos.csv lists them all\n"
    assert tiercel(*arguments).stdout == f"{tmp_path}: 0 new photos of 3, 3 were there; photos.csv lists them all\n"


def test_mapillary_takes_the_token_from_the_environment(
    tiercel: Run, api: Mapillary, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MAPILLARY_TOKEN", TOKEN)
    assert tiercel("dataset", "mapillary", "--bbox", BOX, "-o", tmp_path, "--api", api.url).exit_code == 0
    assert "secret" not in tiercel("dataset", "mapillary", "--help").stdout


def test_mapillary_names_what_did_not_come(tiercel: Run, api: Mapillary, tmp_path: Path) -> None:
    api.trouble.refuse_new, api.trouble.gone = {"1000001"}, {"1000002"}
    result = tiercel("dataset", "mapillary", "--bbox", BOX, "--token", TOKEN, "-o", tmp_path, "--api", api.url)
    assert "1 new photos of 3, 1 no longer exist" in result.stdout
    assert "1000001: Photo 1000001 is refused" in result.stderr
    assert "1 photos did not come: run the same command again" in result.stderr


@pytest.mark.parametrize(
    ("box", "token", "complaint"),
    [
        ("52.50,13.36", TOKEN, "Error: --bbox '52.50,13.36' is no box: give west,south,east,north"),
        (BOX, "wrong", "Error: Mapillary refuses the token (401"),
        (BOX, "", "Error: There is no usable Mapillary token"),
        ("-10.005,5,-10.001,5.001", TOKEN, "Error: Mapillary has no photos in -10.005,5,"),
    ],
)
def test_mapillary_mistakes_are_one_sentence(
    tiercel: Run, api: Mapillary, tmp_path: Path, box: str, token: str, complaint: str
) -> None:
    result = tiercel("dataset", "mapillary", "--bbox", box, "--token", token, "-o", tmp_path, "--api", api.url)
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith(complaint) and result.stderr.count("\n") == 1


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A map and photos."""
    folder = tmp_path_factory.mktemp("town")
    walk(folder / "photos", 10)
    (folder / "photos" / "broken.jpg").write_bytes(b"no photo")
    write_map(folder)
    return folder


def test_build_makes_a_benchmark_and_says_what_became_of_the_photos(tiercel: Run, town: Path, tmp_path: Path) -> None:
    out = tmp_path / "mine"
    options = ("--map", town / "town.tif", "-o", out, "--leaf", 40, "--block", 60, "--workers", 1)
    result = tiercel("dataset", "build", "--photos", town / "photos", *options)
    assert result.exit_code == 0, result.stderr
    lines = result.stdout.splitlines()
    assert lines[:2] == [f"{out}: 10 of 11 photos kept", "  dropped      1  unreadable"]
    assert "640 m square of 256 cells of 40 m, 10 with photos" in lines[3]
    assert str(out / "curation" / "contact_sheet.jpg") in lines[4]
    assert "name it with --photo-licence" in result.stderr
    again = tiercel("dataset", "build", "--photos", town / "photos", *options)
    assert (again.exit_code, again.stdout) == (2, "") and "--overwrite" in again.stderr


def test_a_square_that_is_much_too_large_comes_with_a_better_leaf(tiercel: Run, town: Path, tmp_path: Path) -> None:
    options = ("--map", town / "town.tif", "--photos", town / "photos", "--split", "random", "--workers", 1)
    result = tiercel("dataset", "build", *options, "-o", tmp_path / "wide", "--leaf", 60)
    leaf = re.search(r"The map shows \d+% of the square; --leaf (\d+) would make one of \d+ m around", result.stderr)
    assert "960 m square" in result.stdout and leaf is not None
    better = tiercel("dataset", "build", *options, "-o", tmp_path / "fitting", "--leaf", leaf[1])
    assert "10 of 11 photos kept" in better.stdout and "The map shows" not in better.stderr


def test_what_mapillary_gave_is_built_as_it_lies(tiercel: Run, town: Path, tmp_path: Path) -> None:
    images = [image(index, *reversed(place(100 + 40 * index, 250))) for index in range(9)]
    images[4] |= {"is_pano": True, "camera_type": "spherical", "camera_parameters": [1.0, 0.0, 0.0]}
    for index, one in enumerate(images):
        one["computed_geometry"] = {"type": "Point", "coordinates": [*reversed(place(100 + 40 * index, 255))]}
    api = Mapillary(images)
    try:
        longitude, latitude = images[0]["geometry"]["coordinates"]
        box = f"{longitude - 0.001},{latitude - 0.001},{longitude + 0.009},{latitude + 0.001}"
        common = ("--token", TOKEN, "-o", tmp_path / "photos", "--api", api.url, "--rate", 500)
        assert tiercel("dataset", "mapillary", "--bbox", box, *common).exit_code == 0
    finally:
        api.shutdown()
        api.server_close()
    keep = ("--blur", 1, "--obstructed", 1, "--indoors", 1, "--duplicates", 0, "--split", "random", "--workers", 1)
    options = ("--map", town / "town.tif", "-o", tmp_path / "mine", "--leaf", 40, *keep)
    result = tiercel("dataset", "build", "--photos", tmp_path / "photos", *options)
    # The server has one picture for all of them, and equal files count as one photo unless duplicates are kept.
    assert result.exit_code == 0 and "9 of 9 photos kept" in result.stdout and result.stderr == ""
    data = JustZoomIn.open(tmp_path / "mine")
    samples = {sample.image_id: sample for split in ("train", "val") for sample in data.samples(split)}
    assert samples.keys() == {one["id"] for one in images}
    for index, one in enumerate(images):
        sample, note = samples[one["id"]], data.photo_notes[one["id"]]
        assert (sample.latitude, sample.longitude) == pytest.approx(place(100 + 40 * index, 255))
        assert sample.drive == "drive0" and note["licence"] == "CC BY-SA 4.0"
        assert note["attribution"] == f"walker{index % 3} on Mapillary, CC BY-SA 4.0"
        assert note["how"] == ("straightened" if index != 4 else "copied") and float(note["heading"]) == 12.5


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (("--photos", "{town}/none"), "Error: {town}/none is no folder"),
        ((), "Error: There are no photos to choose from: give a folder with --photos or a table with --csv."),
        (("--csv", "{town}/none.csv"), "Error: {town}/none.csv cannot be read (No such file or directory)"),
        (("--photos", "{town}/photos", "--centre", "north"), "Error: --centre 'north' is no place"),
        (("--photos", "{town}/photos", "--dark", "2"), "Error: None of 11 photos can be used (10 dark, 1 unreadable"),
    ],
)
def test_build_mistakes_are_one_sentence(
    tiercel: Run, town: Path, tmp_path: Path, options: tuple[str, ...], complaint: str
) -> None:
    given = [option.replace("{town}", str(town)) for option in options]
    result = tiercel("dataset", "build", "--map", town / "town.tif", "-o", tmp_path / "mine", "--workers", 1, *given)
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith(complaint.replace("{town}", str(town))) and result.stderr.count("\n") == 1


def test_a_stopped_build_says_how_to_go_on(
    tiercel: Run, town: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*arguments: object, **options: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("tiercel.datasets.curation.build.write_pyramid", stop)
    arguments = ("dataset", "build", "--photos", town / "photos", "--map", town / "town.tif", "-o", tmp_path / "mine")
    result = tiercel(*arguments, "--workers", 1)
    assert (result.exit_code, result.stderr) == (130, "Stopped; run the same command again to go on.\n")
    assert not (tmp_path / "mine").exists()


@pytest.mark.parametrize("verb", ["build", "mapillary"])
def test_help_has_an_example(tiercel: Run, verb: str) -> None:
    shown = tiercel("dataset", verb, "--help")
    assert shown.exit_code == 0 and f"tiercel dataset {verb}" in shown.stdout.split("Example", 1)[1]
