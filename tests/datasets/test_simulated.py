"""A simulated city on disk. Most tests render with a stand-in, so that only the data set is under test."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import rasterio
from PIL import Image

from tiercel.datasets import read_dataset, simulate, write_dataset
from tiercel.datasets.simulated import KINDS, MAP_FILE, SETTINGS_FILE, TABLE_FILE, UNEVEN, corner
from tiercel.errors import TiercelError
from tiercel.geo import Frame
from tiercel.photos import Photo
from tiercel.sim.difficulty import DIFFICULTIES, difficulty


@dataclass
class _Rendered:
    """What the stand-in was asked for."""

    photos: list[tuple[float, ...]]
    maps: int = 0
    worlds: int = 0
    asked: dict[str, int] = field(default_factory=dict)
    fail_at: int | None = None


@pytest.fixture
def rendered(monkeypatch: pytest.MonkeyPatch) -> Iterator[_Rendered]:
    """Puts a stand-in in the place of the simulator."""
    seen = _Rendered([])

    class Look:
        @classmethod
        def sample(cls, rng: np.random.Generator) -> int:
            return int(rng.integers(256))

    class Renderer:
        def __init__(self, world: Any) -> None:
            self.world = world

        def _take(self, height: int, width: int, look: int, *place: float) -> np.ndarray:
            if len(seen.photos) == seen.fail_at:
                raise KeyboardInterrupt
            assert all(0 < value < self.world.size for value in place[:2])
            seen.photos.append(place)
            return np.full((height, width, 3), look, np.uint8)

        def panorama(self, x: float, y: float, eye: float, heading: float, height: int, width: int, look: int) -> Any:
            return self._take(height, width, look, x, y, eye, heading)

        def perspective(
            self, x: float, y: float, eye: float, heading: float, pitch: float, field_of_view: float, height: int,
            width: int, look: int,
        ) -> Any:  # fmt: skip
            return self._take(height, width, look, x, y, eye, heading, pitch, field_of_view)

    class Scenario(SimpleNamespace):
        @classmethod
        def of(cls, world: Any, level: Any, rng: np.random.Generator) -> Any:
            level = difficulty(level)
            return cls(
                world=world, map_world=world, difficulty=level, overhead_look=Look.sample(rng), street_look=Look.sample,
                eye_heights=level.eye_heights,
            )  # fmt: skip

    def make_world(seed: int, size: float, difficulty: Any = "plain") -> Any:
        seen.worlds += 1
        return SimpleNamespace(seed=seed, size=size)

    def render_overhead(world: Any, resolution: float, *, day: int, look: int) -> np.ndarray:
        seen.maps += 1
        return np.full((round(world.size / resolution), round(world.size / resolution), 3), look, np.uint8)

    def sample_viewpoints(world: Any, count: int, rng: np.random.Generator, kind: str) -> np.ndarray:
        seen.asked[kind] = count
        points = np.zeros(count, [("x", "f4"), ("y", "f4"), ("heading", "f4")])
        points["x"], points["y"] = rng.uniform(10, world.size - 10, (2, count))
        return points

    stand_in = {"make_world": make_world, "render_overhead": render_overhead, "sample_viewpoints": sample_viewpoints,
                "StreetLook": Look, "OverheadLook": Look, "Scenario": Scenario, "StreetRenderer": Renderer}  # fmt: skip
    import tiercel.sim

    for name, thing in stand_in.items():
        monkeypatch.setattr(tiercel.sim, name, thing, raising=False)
    yield seen


def _everything(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_map_photos_and_table_agree(tmp_path: Path, rendered: _Rendered) -> None:
    samples = simulate(tmp_path / "city", seed=4, size=300, photos=7, kinds=tuple(KINDS))
    assert read_dataset(tmp_path / "city") == samples
    assert [sample.kind for sample in samples] == ["panorama", "photo_90", "photo_70"] * 2 + ["panorama"]
    west, south = corner(4)
    with rasterio.open(tmp_path / "city" / MAP_FILE) as city:
        frame = Frame.of(city.crs)
        assert city.bounds == (west, south, west + 300, south + 300) and city.res == (0.5, 0.5)
    for sample, place in zip(samples, rendered.photos, strict=True):
        photo = Photo.open(sample.file)
        assert place[:4] == pytest.approx((sample.x - west, sample.y - south, sample.eye_height, sample.heading))
        assert photo.panorama == (sample.kind == "panorama")
        assert photo.field_of_view.value == pytest.approx(sample.field_of_view, abs=1e-3)
        assert photo.heading is not None and photo.heading.value == pytest.approx(sample.heading, abs=1e-4)
        assert photo.position is not None
        x, y = frame.from_wgs84(photo.position.latitude, photo.position.longitude)
        assert (float(x), float(y)) == pytest.approx((sample.x, sample.y), abs=0.01)
        if not photo.panorama:
            assert place[4:] == (sample.pitch, sample.field_of_view) and abs(sample.pitch) <= 8
        assert 1.3 <= sample.eye_height <= 2.8


def test_cars_and_walkers_take_photos_and_no_simple_pattern_tells_them_apart(
    tmp_path: Path, rendered: _Rendered
) -> None:
    samples = simulate(tmp_path, seed=1, size=200, photos=16)
    assert all(sample.eye_height >= 2.1 for sample in samples if sample.kind == "panorama")
    assert rendered.asked == {"street": 12, "pavement": 4}
    photos = [sample for sample in samples if sample.kind == "photo_90"]
    on_foot = [index in (1, 2, 5, 6) for index in range(8)]
    assert all(sample.eye_height <= 1.8 for sample, walking in zip(photos, on_foot, strict=True) if walking)
    assert sum(on_foot[::2]) == sum(on_foot[1::2])


def test_the_table_has_the_promised_columns(tmp_path: Path, rendered: _Rendered) -> None:
    simulate(tmp_path, seed=1, size=200, photos=2)
    with (tmp_path / TABLE_FILE).open(newline="") as file:
        rows = list(csv.DictReader(file))
    names = ["file", "kind", "x", "y", "latitude", "longitude", "heading", "field_of_view", "pitch", "eye_height"]
    assert list(rows[0]) == names
    assert rows[0]["file"] == "photos/00000_panorama.jpg" and (tmp_path / rows[0]["file"]).is_file()


def test_the_same_seeds_give_the_same_files_and_others_do_not(tmp_path: Path, rendered: _Rendered) -> None:
    for name, seed in (("a", 3), ("b", 3), ("c", 5)):
        simulate(tmp_path / name, seed=seed, size=200, photos=3)
    first, same, other = (_everything(tmp_path / name) for name in "abc")
    assert first == same
    assert all(first[name] != other[name] for name in first)
    assert corner(3) != corner(5)


def test_an_interrupted_run_goes_on_where_it_stopped(tmp_path: Path, rendered: _Rendered) -> None:
    simulate(tmp_path / "whole", seed=3, size=200, photos=5)
    rendered.photos.clear()
    rendered.fail_at = 2
    with pytest.raises(KeyboardInterrupt):
        simulate(tmp_path / "city", seed=3, size=200, photos=5)
    assert sorted(_everything(tmp_path / "city")) == sorted(
        [MAP_FILE, SETTINGS_FILE, "photos/00000_panorama.jpg", "photos/00001_photo_90.jpg"]
    )
    with pytest.raises(TiercelError, match=r"holds no whole simulated city.*tiercel sim"):
        read_dataset(tmp_path / "city")
    rendered.fail_at = None
    rendered.photos.clear()
    maps = rendered.maps
    simulate(tmp_path / "city", seed=3, size=200, photos=5)
    assert len(rendered.photos) == 3 and rendered.maps == maps
    assert _everything(tmp_path / "city") == _everything(tmp_path / "whole")


def test_a_whole_city_is_not_made_again(tmp_path: Path, rendered: _Rendered) -> None:
    first = simulate(tmp_path, seed=3, size=200, photos=2)
    assert simulate(tmp_path, seed=3, size=200, photos=2) == first
    assert (rendered.worlds, rendered.maps, len(rendered.photos)) == (1, 1, 2)


def test_a_folder_keeps_the_city_it_has(tmp_path: Path, rendered: _Rendered) -> None:
    simulate(tmp_path, seed=3, size=200, photos=2)
    before = _everything(tmp_path)
    for other in ({"seed": 4}, {"size": 300}, {"photos": 3}, {"kinds": ["photo_90"]}):
        with pytest.raises(TiercelError, match="holds another simulated city"):
            simulate(tmp_path, **{"seed": 3, "size": 200, "photos": 2} | other)
    assert _everything(tmp_path) == before


def test_looks_may_be_fixed(tmp_path: Path, rendered: _Rendered) -> None:
    import tiercel.sim

    world = tiercel.sim.make_world(3, 200.0)
    looks: dict[str, Any] = {"overhead_look": 40, "street_look": 200}
    samples = write_dataset(tmp_path, world, count=3, seed=3, **looks)
    assert all(abs(int(Photo.open(sample.file).pixels.mean()) - 200) <= 1 for sample in samples)
    with rasterio.open(tmp_path / MAP_FILE) as city:
        assert (city.read() == 40).all()
    with pytest.raises(TiercelError, match="holds another"):
        write_dataset(tmp_path, world, count=3, seed=3)


def test_progress_ends_at_the_total(tmp_path: Path, rendered: _Rendered) -> None:
    calls: list[tuple[int, int]] = []
    simulate(tmp_path, seed=3, size=200, photos=2, progress=lambda done, total: calls.append((done, total)))
    assert calls == [(1, 3), (2, 3), (3, 3)]


def test_a_city_without_photos(tmp_path: Path, rendered: _Rendered) -> None:
    assert simulate(tmp_path, seed=3, size=200, photos=0) == []
    assert read_dataset(tmp_path) == [] and (tmp_path / MAP_FILE).is_file()


def test_bad_input(tmp_path: Path, rendered: _Rendered) -> None:
    with pytest.raises(TiercelError, match=r"no photos of kind \['fisheye'\]: choose from panorama"):
        simulate(tmp_path, seed=3, photos=2, kinds=["fisheye"])
    with pytest.raises(TiercelError, match="is missing"):
        read_dataset(tmp_path / "none")
    (tmp_path / "file").write_text("")
    with pytest.raises(TiercelError, match="cannot be made"):
        simulate(tmp_path / "file" / "city", seed=3, photos=2)
    (tmp_path / TABLE_FILE).write_text("file,kind,x\nphotos/a.jpg,panorama,east\n")
    with pytest.raises(TiercelError, match=rf"{TABLE_FILE} has a row that cannot be read.*write the data set again"):
        read_dataset(tmp_path)


def test_settings_are_readable(tmp_path: Path, rendered: _Rendered) -> None:
    simulate(tmp_path, seed=3, size=200, photos=1)
    settings = json.loads((tmp_path / SETTINGS_FILE).read_text())
    assert settings["crs"] == "EPSG:32633" and settings["seed"] == 3 and settings["photos"] == 1


def test_a_real_city(tmp_path: Path) -> None:
    samples = simulate(tmp_path, seed=11, size=300, photos=4, kinds=("panorama", "photo_90"))
    assert [replace(sample, file=Path(sample.file.name)).kind for sample in samples] == ["panorama", "photo_90"] * 2
    with rasterio.open(tmp_path / MAP_FILE) as city:
        pixels = city.read()
    assert pixels.shape == (3, 600, 600) and pixels.std() > 10
    for sample in samples:
        pixels = Photo.open(sample.file).pixels
        assert pixels.std() > 10
        upper, lower = pixels[: len(pixels) // 3].mean(), pixels[-len(pixels) // 3 :].mean()
        assert upper != lower


def test_shots_from_one_spot_turn_round_at_one_moment(tmp_path: Path, rendered: _Rendered) -> None:
    samples = simulate(tmp_path, seed=3, size=200, photos=16, kinds=("photo_90",), shots=4)
    assert (
        samples
        == read_dataset(tmp_path)
        == simulate(tmp_path, seed=3, size=200, photos=16, kinds=["photo_90"], shots=4)
    )
    assert len({sample.file for sample in samples}) == 16
    for first in range(0, 16, 4):
        spot = samples[first : first + 4]
        assert len({(one.x, one.y, one.eye_height, one.pitch) for one in spot}) == 1
        turns = np.array([one.heading - spot[0].heading for one in spot]) % 360
        assert turns == pytest.approx([0, 90, 180, 270], abs=UNEVEN) and (turns[1:] % 90 != 0).all()
        looks = [np.asarray(Image.open(one.file)).mean() for one in spot]
        assert len(set(looks)) == 1
    assert len({(one.x, one.y) for one in samples}) == 4
    assert rendered.asked == {"street": 2, "pavement": 2}
    with pytest.raises(TiercelError, match="7 photos cannot be 4 from each spot"):
        simulate(tmp_path / "odd", seed=3, size=200, photos=7, shots=4)
    with pytest.raises(TiercelError, match="holds another simulated city"):
        simulate(tmp_path, seed=3, size=200, photos=16, kinds=("photo_90",))


def test_a_folder_keeps_its_difficulty_and_an_old_one_is_plain(tmp_path: Path, rendered: _Rendered) -> None:
    simulate(tmp_path, seed=3, size=200, photos=2)
    path = tmp_path / SETTINGS_FILE
    settings = json.loads(path.read_text())
    assert settings.pop("difficulty") == "plain"
    path.write_text(json.dumps(settings))  # as written before there were difficulties
    assert len(simulate(tmp_path, seed=3, size=200, photos=2, difficulty="plain")) == 2
    for other in ("hard", replace(DIFFICULTIES["plain"], crowd=2.0)):
        with pytest.raises(TiercelError, match="holds another simulated city"):
            simulate(tmp_path, seed=3, size=200, photos=2, difficulty=other)
    with pytest.raises(TiercelError, match="no difficulty 'odd'"):
        simulate(tmp_path / "other", seed=3, size=200, photos=2, difficulty="odd")
    assert not (tmp_path / "other").exists()


def test_what_a_hard_photo_says_of_itself_is_not_quite_so(tmp_path: Path) -> None:
    kinds = ("photo_90", "photo_70", "panorama")
    samples = simulate(tmp_path, seed=11, size=300, photos=12, kinds=kinds, difficulty="hard")
    assert json.loads((tmp_path / SETTINGS_FILE).read_text())["difficulty"] == "hard"
    lens = DIFFICULTIES["hard"].lens
    turned, opened = [], []
    for sample in samples:
        photo = Photo.open(sample.file)
        assert photo.heading is not None and photo.pixels.std() > 10
        turned.append((photo.heading.value - sample.heading + 180) % 360 - 180)
        assert photo.field_of_view.value == pytest.approx(KINDS[sample.kind], abs=1e-3)
        if sample.kind != "panorama":
            opened.append(photo.field_of_view.value / sample.field_of_view - 1.0)
    assert 0.3 * lens.compass < np.std(turned) < 3 * lens.compass
    assert max(np.abs(opened)) <= lens.field_of_view + 1e-4 and np.std(opened) > 0.01
    assert max(abs(sample.pitch) for sample in samples) <= lens.steepest
    assert (
        samples
        == read_dataset(tmp_path)
        == simulate(tmp_path, seed=11, size=300, photos=12, kinds=kinds, difficulty="hard")
    )


def test_the_map_of_a_hard_city_is_not_the_plain_one_and_photos_go_on_after_an_interruption(tmp_path: Path) -> None:
    for name in ("whole", "again"):
        simulate(tmp_path / name, seed=12, size=250, photos=2, difficulty="hard")
    simulate(tmp_path / "plain", seed=12, size=250, photos=0)
    maps = []
    for name in ("whole", "plain"):
        with rasterio.open(tmp_path / name / MAP_FILE) as city:
            maps.append(city.read())
    assert np.abs(maps[0].astype(int) - maps[1]).mean() > 3
    before = _everything(tmp_path / "whole")
    again = tmp_path / "again"
    for path in (again / TABLE_FILE, again / "photos" / "00001_photo_90.jpg"):
        path.unlink()
    simulate(again, seed=12, size=250, photos=2, difficulty="hard")
    assert _everything(again) == before
