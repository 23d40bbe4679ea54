"""A simulated city in the published layout."""

import csv
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image
from typer.testing import CliRunner

from tests.maps import package
from tiercel.cli import app
from tiercel.datasets import simulated, simulated_benchmark
from tiercel.datasets.justzoomin import SPLITS, JustZoomIn, outside_m
from tiercel.datasets.simulated import corner
from tiercel.datasets.simulated_benchmark import city_size, division_of, simulate_benchmark
from tiercel.datasets.splits import sequence_disjoint
from tiercel.errors import TiercelError
from tiercel.geo import Frame, Square
from tiercel.photos import Photo
from tiercel.sim import OverheadLook, make_world, render_overhead

SETTINGS = {"seed": 23, "size": 400.0, "photos": 30, "kinds": ("panorama", "photo_70")}


@pytest.fixture(scope="module", autouse=True)
def small_photos():  # noqa: ANN201
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(simulated, "_PANORAMA_PIXELS", (48, 96))
        patch.setattr(simulated, "_PHOTO_PIXELS", (60, 80))
        yield


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("city") / "town"
    seen: list[tuple[int, int]] = []
    simulate_benchmark(folder, **SETTINGS, progress=lambda done, total: seen.append((done, total)))
    assert seen[0] == (0, 16 + 4 + 1 + 30) and seen[-1] == (51, 51) and seen == sorted(seen)
    return folder


def test_the_folder_is_as_published(folder) -> None:
    layout = yaml.safe_load((folder / "satellite" / "layout.yaml").read_text())
    assert layout["crs"] == "epsg:32633" and layout["tile_shape_px"] == [250, 250] and layout["max_zoom"] == 0
    assert {path.name for path in (folder / "satellite").iterdir()} == {"layout.yaml", "0", "-1", "-2"}
    rows = []
    for table in SPLITS.values():
        with (folder / table).open(newline="") as file:
            reader = csv.DictReader(file)
            assert reader.fieldnames == ["image_id", "latitude", "longitude", "sequence"]
            rows += list(reader)
    assert len(rows) == 30 == len(list((folder / "streetview" / "images").glob("*_undistorted.jpg")))
    data = JustZoomIn.open(folder)
    assert len(data.samples("val")) == 3 and (data.side_m, data.branching, data.depth) == (400.0, 4, 2)
    for split in SPLITS:
        assert data.check(split).problems == ()


def test_photos_are_taken_along_drives_of_one_kind(folder) -> None:
    data = JustZoomIn.open(folder)
    samples = sorted(data.samples("train") + data.samples("val"), key=lambda sample: sample.image_id)
    drives = {sample.drive for sample in samples}
    assert None not in drives and 2 <= len(drives) < 15
    kinds = {drive: {data.photo_notes[s.image_id]["kind"] for s in samples if s.drive == drive} for drive in drives}
    assert all(len(kind) == 1 for kind in kinds.values()) and set.union(*kinds.values()) == {"panorama", "photo_70"}
    for sample in samples:
        photo, notes = Photo.open(sample.file), data.photo_notes[sample.image_id]
        assert photo.panorama == (notes["kind"] == "panorama")
        assert photo.field_of_view.value == pytest.approx(360 if photo.panorama else 70, abs=0.01)
        assert photo.heading is not None and photo.heading.value == pytest.approx(float(notes["heading"]), abs=1e-3)
        assert photo.position is not None
        assert photo.position.latitude == pytest.approx(sample.latitude, abs=1e-8)
        assert outside_m(sample.latitude, sample.longitude, data.division) == 0
    assert sequence_disjoint(data).train


def test_the_map_is_the_picture_of_the_city(folder) -> None:
    world = make_world(23, city_size(400.0))
    rng = np.random.default_rng([23, 0])
    day = int(rng.integers(1 << 20))
    whole = render_overhead(world, 0.5, day=day, look=OverheadLook.sample(rng))
    west, south = corner(23)
    rgb, covered = JustZoomIn.open(folder).basemap.read(Square(west + 250, south + 250, 500.0), 1000)
    assert covered.all() and np.abs(rgb.astype(int) - whole).mean() < 4


@pytest.mark.parametrize("size", [400.0, 2000.0, 10_000.0])
def test_the_city_covers_the_root_square(size) -> None:
    division, whole = division_of(7, size), city_size(size)
    assert whole % 125 == 0 and whole - size >= 60
    west, south = corner(7)
    edges = np.linspace(0, whole, 9)
    rim = [(x, y) for x in edges for y in edges if x in (0, whole) or y in (0, whole)]
    for x, y in rim:
        assert outside_m(*Frame("EPSG:32633").to_wgs84(west + x, south + y), division) > 5
    assert 19 < size / 4**division.depth < 79 and (size < 10_000 or division.leaves == 65_536)


def test_a_drawing_by_blocks_is_put_together_right() -> None:
    """Tiles of three blocks by three, of a city that does not fill the last."""
    pixels = 17 * 10
    image = np.arange(pixels * pixels * 3, dtype=np.uint32).reshape(pixels, pixels, 3).astype(np.uint8)
    calls = []

    def window(top: int, bottom: int, left: int, right: int) -> np.ndarray:
        calls.append((top, bottom, left, right))
        assert 0 <= top < bottom <= pixels and 0 <= left < right <= pixels
        return image[top:bottom, left:right]

    draw = simulated_benchmark._Blocks(window, pixels, 1000.0, 2000.0)
    for column in range(17):
        for row in range(17):
            tile = draw(Square(1000 + 125 * (column + 0.5), 2000 + 125 * (row + 0.5), 125.0), 10)
            top = pixels - 10 * (row + 1)
            assert np.array_equal(tile, image[top : top + 10, 10 * column : 10 * column + 10])
    assert len(set(calls)) == 9


def test_an_interrupted_benchmark_goes_on_and_another_is_refused(folder, tmp_path, monkeypatch) -> None:
    again = tmp_path / "again"
    real = simulated_benchmark.render_photo
    left = 7

    def stops(*arguments: object) -> np.ndarray:
        nonlocal left
        left -= 1
        if left < 0:
            raise KeyboardInterrupt
        return real(*arguments)

    monkeypatch.setattr(simulated_benchmark, "render_photo", stops)
    with pytest.raises(KeyboardInterrupt):
        simulate_benchmark(again, **SETTINGS)
    assert not any((again / table).exists() for table in SPLITS.values())
    assert len(list((again / "streetview" / "images").iterdir())) == 7
    left = 23
    simulate_benchmark(again, **SETTINGS)
    assert left == 0
    for path in folder.rglob("*.*"):
        if path.suffix in (".csv", ".yaml", ".jpg") and path.is_file():
            assert path.read_bytes() == (again / path.relative_to(folder)).read_bytes(), path
    monkeypatch.setattr(simulated_benchmark, "_make", lambda *_: pytest.fail("all is there"))
    simulate_benchmark(again, **SETTINGS)
    with pytest.raises(TiercelError, match="holds another simulated benchmark"):
        simulate_benchmark(again, **{**SETTINGS, "seed": 24})
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "notes.txt").write_text("mine")
    with pytest.raises(TiercelError, match="holds something else"):
        simulate_benchmark(tmp_path / "other", **SETTINGS)
    with pytest.raises(TiercelError, match="no photos of kind"):
        simulate_benchmark(tmp_path / "new", **{**SETTINGS, "kinds": ("photo_33",)})


def test_the_package_reads_the_city(folder, tmp_path) -> None:
    data = JustZoomIn.open(folder)
    wanted = [(), (5,), (10, 3)]
    jobs = [(*data.cell_centre(picks), 400 / 4 ** len(picks) / 128, 128) for picks in wanted]
    for picks, theirs in zip(wanted, package.load(folder / "satellite" / "layout.yaml", jobs, tmp_path), strict=True):
        assert np.abs(data.read_square(picks, 128).astype(int) - theirs).mean() < 2


def test_the_command_writes_it(tmp_path) -> None:
    options = ["--seed", "23", "--size", "400", "--photos", "4", "--layout", "justzoomin", "--kind", "photo_90"]
    result = CliRunner().invoke(app, ["sim", "-o", str(tmp_path / "c"), *options])
    assert result.exit_code == 0, result.output
    assert "4 photos, 256 leaf cells of 25 m" in result.stdout
    data = JustZoomIn.open(tmp_path / "c")
    (first, *_) = data.samples("train")
    assert Image.open(first.file).size == (80, 60)
    large = CliRunner().invoke(app, ["sim", "-o", str(tmp_path / "d"), "--size", "9000"])
    assert large.exit_code == 2 and "--layout justzoomin" in large.stderr and not (tmp_path / "d").exists()
