"""The published layout: its labels, its pictures, and folders in which something is wrong."""

import math
import shutil
from pathlib import Path

import numpy as np
import pytest

from tests.datasets.benchmark import DIVISION, place, write_benchmark
from tests.maps import package
from tiercel.datasets.justzoomin import PUBLISHED, Division, JustZoomIn, cell_centre, outside_m, published_actions
from tiercel.errors import TiercelError
from tiercel.geo.sphere import haversine_m, move_from_latlon

PLACES = [(-400.0, 450.0), (-120.0, 30.0), (10.0, -10.0), (310.0, 220.0), (499.0, -499.0)]


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Path:
    return write_benchmark(
        tmp_path_factory.mktemp("benchmark") / "town", PLACES, train=3, drives=["a", "a", "b", "b", ""]
    )


@pytest.fixture
def folder(whole, tmp_path) -> Path:
    return Path(shutil.copytree(whole, tmp_path / "town"))


def in_words(latitude: float, longitude: float, division: Division = PUBLISHED) -> list[int]:
    """The published rule step by step, for one place, with plain numbers."""

    def move(at, bearing, metres) -> tuple[float, float]:
        north, angle, turn = math.radians(at[0]), metres / 6378137.0, math.radians(bearing)
        to = math.asin(math.sin(north) * math.cos(angle) + math.cos(north) * math.sin(angle) * math.cos(turn))
        x = math.cos(angle) - math.sin(north) * math.sin(to)
        east = math.radians(at[1]) + math.atan2(math.sin(turn) * math.sin(angle) * math.cos(north), x)
        return math.degrees(to), math.degrees(east)

    centre, side, picks = (division.latitude, division.longitude), division.side_m, []
    for _ in range(division.depth):
        top, left = move(move(centre, 0, side / 2), 270, side / 2)
        bottom, right = move(move(centre, 180, side / 2), 90, side / 2)
        n = division.branching
        row = min(max(int((top - latitude) / (top - bottom) * n), 0), n - 1)
        col = min(max(int((longitude - left) / (right - left) * n), 0), n - 1)
        picks.append(row * n + col)
        part = side / n
        centre = move(centre, 90, (col + 0.5) * part - side / 2)
        centre = move(centre, 0, side / 2 - (row + 0.5) * part)
        side = part
    return picks


def washington(count: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    east, north = rng.uniform(-5000, 5000, (2, count))
    return move_from_latlon(*move_from_latlon(PUBLISHED.latitude, PUBLISHED.longitude, 0, north), 90, east)


def test_the_root_is_as_published() -> None:
    assert haversine_m(38.8936, -77.0116, PUBLISHED.latitude, PUBLISHED.longitude) == pytest.approx(2000)
    assert PUBLISHED.longitude > -77.0116 and PUBLISHED.latitude == pytest.approx(38.8936, abs=1e-5)
    assert (PUBLISHED.side_m, PUBLISHED.branching, PUBLISHED.depth, PUBLISHED.leaves) == (10_000, 4, 4, 65_536)


def test_labels_are_those_of_the_rule_step_by_step() -> None:
    latitude, longitude = washington(500)
    labels = published_actions(latitude, longitude)
    assert labels.tolist() == [in_words(a, b) for a, b in zip(latitude, longitude, strict=True)]
    assert len(np.unique(labels[:, 0])) == 16
    # Most photos lie in the cell that they are labelled with: the corners' fractions are nearly those on the ground.
    far = haversine_m(*cell_centre(labels), latitude, longitude)
    assert np.quantile(far, 0.97) < 39.0625 / math.sqrt(2) + 0.5 and far.max() < 45


RULE = """
answer = []
for place in places:
    at, side, picks = centre, 10000.0, []
    for _ in range(4):
        top, left = geo.move_from_latlon(geo.move_from_latlon(at, 0, side / 2), 270, side / 2)
        bottom, right = geo.move_from_latlon(geo.move_from_latlon(at, 180, side / 2), 90, side / 2)
        row = min(max(int((top - place[0]) / (top - bottom) * 4), 0), 3)
        col = min(max(int((place[1] - left) / (right - left) * 4), 0), 3)
        picks.append(row * 4 + col)
        at = geo.move_from_latlon(at, 90, (col + 0.5) * side / 4 - side / 2)
        at = geo.move_from_latlon(at, 0, side / 2 - (row + 0.5) * side / 4)
        side /= 4
    answer.append(picks)
"""


def test_labels_are_those_of_the_rule_with_the_moves_of_the_package() -> None:
    latitude, longitude = washington(200, seed=1)
    places, centre = np.stack([latitude, longitude], 1).tolist(), [PUBLISHED.latitude, PUBLISHED.longitude]
    assert published_actions(latitude, longitude).tolist() == package.run(RULE, places=places, centre=centre)


def test_every_leaf_is_the_label_of_its_own_centre() -> None:
    division = DIVISION.model_copy(update={"depth": 3})
    leaves = np.stack(np.meshgrid(*[np.arange(16)] * 3, indexing="ij"), -1).reshape(-1, 3)
    centre = cell_centre(leaves, division)
    assert np.array_equal(published_actions(*centre, division), leaves)
    north_west, south_east = cell_centre([0, 0, 0], division), cell_centre([15, 15, 15], division)
    assert north_west[0] > south_east[0] and north_west[1] < south_east[1]
    assert cell_centre((), division) == pytest.approx((division.latitude, division.longitude))


def test_a_place_outside_picks_the_nearest_cells() -> None:
    assert published_actions(*place(0.0, 900.0), DIVISION)[0] // 4 == 0
    assert published_actions(*place(-900.0, 0.0), DIVISION)[0] % 4 == 0
    assert outside_m(*place(0.0, 900.0), DIVISION) == pytest.approx(400, abs=1)
    assert outside_m(*place(499.0, -499.0), DIVISION) == 0


def test_a_folder_is_read(whole) -> None:
    data = JustZoomIn.open(whole)
    assert (data.name, data.branching, data.depth, data.side_m) == ("town", 4, 2, 1000)
    train, val = data.samples("train"), data.samples("val")
    assert [sample.image_id for sample in train + val] == ["p0", "p1", "p2", "p3", "p4"]
    assert [sample.drive for sample in train + val] == ["a", "a", "b", "b", None]
    for sample, (east, north) in zip(train + val, PLACES, strict=True):
        assert sample.file.is_file()
        assert (sample.latitude, sample.longitude) == place(east, north)
        assert sample.actions == tuple(in_words(*place(east, north), DIVISION)) == data.actions_at(*place(east, north))
        error = data.error_m(sample.actions, sample.latitude, sample.longitude)
        assert error == pytest.approx(haversine_m(*data.cell_centre(sample.actions), *place(east, north)))
        assert error < 62.5 * math.sqrt(2) / 2 + 0.5
    for split in ("train", "val"):
        assert data.check(split).problems == ()


def test_squares_lie_in_one_another(whole) -> None:
    """A child's square is the part of its parent's that the action names."""
    data = JustZoomIn.open(whole)
    root = data.read_square((), 400).astype(float)
    for action in (0, 6, 13):
        child = data.read_square((action,), 100).astype(float)
        row, col = divmod(action, 4)
        part = root[row * 100 : row * 100 + 100, col * 100 : col * 100 + 100]
        others = root[:100, 300:], root[300:, 300:]
        assert np.abs(child - part).mean() < 0.25 * min(np.abs(child - other).mean() for other in others)


def test_squares_are_those_of_the_package(whole, tmp_path) -> None:
    data = JustZoomIn.open(whole)
    wanted = [(), (0,), (9,), (15,), (3, 7), (12, 2)]
    jobs = [(*data.cell_centre(picks), 1000 / 4 ** len(picks) / 96, 96) for picks in wanted]
    for picks, theirs in zip(wanted, package.load(whole / "satellite" / "layout.yaml", jobs, tmp_path), strict=True):
        assert np.abs(data.read_square(picks, 96).astype(int) - theirs).mean() < 2


def change(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ('"[1, 1]"', '"[1, 1"', r"row 3: the sequence '\[1, 1' is not 2 picks"),
        ('"[1, 1]"', '"[1, 16]"', r"row 3: .* 0 to 15"),
        ('"[1, 1]"', '"[1, 1, 1]"', "row 3: .* not 2 picks"),
        ('"[1, 1]"', "__import__('os')", "row 3: .* not 2 picks"),
        ('"[1, 1]"', '"[1, 1.5]"', "row 3: .* not 2 picks"),
        ("45.15", "north", "row 2: the position of p0 is not in degrees"),
        ("45.15", "nan", "row 2: the position of p0 is not in degrees"),
        ("45.15", "45.95", r"row 2: p0 was taken \d+ m outside the map's square"),
        (",sequence", ",sequenz", "has no column sequence"),
        ('"[1, 1]"', "", "row 3"),
    ],
)
def test_a_row_that_cannot_be_true_is_named(folder, old, new, complaint) -> None:
    table = folder / "metadata" / "large_area_train_map.csv"
    rows = table.read_text().splitlines()
    if old.startswith('"['):
        assert rows[2].count('"') == 2
        rows[2] = rows[2][: rows[2].index('"')] + new
    else:
        index = 1 if old.startswith("45") else 0
        number = rows[1].split(",")[1]
        rows[index] = rows[index].replace(number if index else old, number.replace(old, new) if new[0] == "4" else new)
    table.write_text("\n".join(rows) + "\n")
    with pytest.raises(TiercelError, match=complaint) as caught:
        JustZoomIn.open(folder).samples("train")
    assert "large_area_train_map.csv" in str(caught.value) and "\n" not in str(caught.value)


def test_a_row_cut_short_is_named(folder) -> None:
    with (folder / "metadata" / "large_area_val_map.csv").open("a") as file:
        file.write("p9,45.153\n")
    with pytest.raises(TiercelError, match=r"large_area_val_map\.csv row 4 is cut short"):
        JustZoomIn.open(folder).samples("val")


@pytest.mark.parametrize(
    ("lost", "complaint"),
    [
        ("satellite", r"layout\.yaml is missing"),
        ("satellite/0", "no tiles of zoom 0"),
        ("satellite/-2", "no tiles of zoom -2"),
        ("metadata/large_area_val_map.csv", r"large_area_val_map\.csv is missing"),
        (".", "does not exist"),
    ],
)
def test_what_is_missing_is_named(folder, lost, complaint) -> None:
    shutil.move(folder / lost, folder.parent / "elsewhere")
    with pytest.raises(TiercelError, match=complaint):
        JustZoomIn.open(folder).samples("val")


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("side_m: -5", "side_m"),
        ("sidem: 5", "sidem"),
        ("[", "YAML"),
        ("latitude: north", "latitude"),
        ("7", "benchmark"),
    ],
)
def test_settings_that_make_no_sense(folder, text, complaint) -> None:
    (folder / "metadata" / "benchmark.yaml").write_text(text)
    with pytest.raises(
        TiercelError, match=rf"benchmark\.yaml.*{complaint}|{complaint}.*benchmark\.yaml|{complaint}\.y"
    ):
        JustZoomIn.open(folder)


def test_without_settings_the_square_is_the_published_one(folder) -> None:
    (folder / "metadata" / "benchmark.yaml").unlink()
    assert JustZoomIn.open(folder).division == PUBLISHED


def test_there_is_no_other_split(whole) -> None:
    with pytest.raises(TiercelError, match=r"no split 'test'.*train or val"):
        JustZoomIn.open(whole).samples("test")


def test_photos_that_are_missing_broken_or_mislabelled_are_listed(folder) -> None:
    images = folder / "streetview" / "images"
    (images / "p0_undistorted.jpg").unlink()
    broken = images / "p1_undistorted.jpg"
    broken.write_bytes(broken.read_bytes()[:300])
    table = folder / "metadata" / "large_area_train_map.csv"
    right = str(list(JustZoomIn.open(folder).samples("train")[2].actions))
    change(table, right, "[0, 0]")
    seen = []
    report = JustZoomIn.open(folder).check("train", progress=lambda done, total: seen.append((done, total)))
    assert seen == [(1, 3), (2, 3), (3, 3)]
    lines = str(report).splitlines()
    assert lines[0] == "3 of 3 photos cannot be used:" and len(lines) == 4
    assert "row 2" in lines[1] and "p0_undistorted.jpg is missing" in lines[1]
    assert "row 3" in lines[2] and "p1_undistorted.jpg is broken" in lines[2]
    assert "row 4" in lines[3] and "the sequence of p2 is [0, 0]" in lines[3]
    assert str(JustZoomIn.open(folder).check("val")) == "0 of 2 photos cannot be used."
