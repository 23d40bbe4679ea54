"""Rendered cities: the arrays agree with the simulator, and preparing them can be broken off."""

import dataclasses
import json

import numpy as np
import pytest

from tests.models.tiny import tiny_config
from tiercel.sim import OverheadLook, make_world, render_overhead
from tiercel.training import cities as module
from tiercel.training.cities import FACTORS, TrainingCity, describe, prepare_cities, prepare_city, shrunk, spare_rows
from tiercel.training.recipe import Cities

CITIES = Cities(train=2, validation=0, views=6, pavement=0.5, size=250.0)
CONFIG = tiny_config()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):  # noqa: ANN201
    folder = tmp_path_factory.mktemp("cities")
    prepare_city(12, folder, CITIES, CONFIG)
    return folder


def test_a_city_s_arrays(folder) -> None:
    city = TrainingCity.open(prepare_city(12, folder, CITIES, CONFIG))
    side = round(CITIES.size / CONFIG.resolution)
    assert city.seed == 12
    assert {factor: picture.shape for factor, picture in city.overhead.items()} == {
        factor: (side // factor, side // factor, 3) for factor in FACTORS
    }
    cells = round(CITIES.size / CONFIG.match_cell_m)
    assert city.land_cover.shape == (cells, cells) and len(np.unique(city.land_cover)) > 4
    assert city.strips.shape == (6, CONFIG.strip_height + 2 * spare_rows(CONFIG), CONFIG.strip_columns, 3)
    assert city.positions.shape == (6, 2)
    assert ((city.positions >= 0) & (city.positions <= CITIES.size)).all()
    # Sharp, varied pictures, not a blank canvas.
    assert city.overhead[1].std() > 10 and all(strip.std() > 10 for strip in city.strips)


def test_the_same_seed_gives_the_same_arrays(folder, tmp_path) -> None:
    again = TrainingCity.open(prepare_city(12, tmp_path, CITIES, CONFIG))
    first = TrainingCity.open(prepare_city(12, folder, CITIES, CONFIG))
    assert np.array_equal(again.strips, first.strips) and np.array_equal(again.positions, first.positions)
    assert np.array_equal(again.overhead[1], first.overhead[1])


def plain_overhead(seed) -> np.ndarray:
    return render_overhead(make_world(seed, CITIES.size), CONFIG.resolution, day=0, look=OverheadLook())


def test_the_arrays_show_the_city_of_that_seed(folder) -> None:
    """It correlates with a plain orthophoto of the same world, and not with that of another."""
    shown = TrainingCity.open(prepare_city(12, folder, CITIES, CONFIG)).overhead[1].mean(2).ravel()
    likeness = [np.corrcoef(shown, plain_overhead(seed).mean(2).ravel())[0, 1] for seed in (12, 13)]
    assert likeness[0] > 0.4 > abs(likeness[1])


def test_nothing_is_rendered_twice(folder, monkeypatch) -> None:
    monkeypatch.setattr(module, "_render", lambda *_: pytest.fail("rendered again"))
    told: list[tuple[int, int]] = []
    opened = prepare_cities([12], folder, CITIES, CONFIG, 1, lambda *counts: told.append(counts))
    assert [city.seed for city in opened] == [12] and not told


def test_a_city_that_is_broken_off_leaves_nothing(tmp_path, monkeypatch) -> None:
    def broken(*_: object) -> dict[str, np.ndarray]:
        raise KeyboardInterrupt

    monkeypatch.setattr(module, "_render", broken)
    with pytest.raises(KeyboardInterrupt):
        prepare_city(5, tmp_path, CITIES, CONFIG)
    assert not [path for path in tmp_path.rglob("*") if path.suffix != ".lock" and path.name.startswith("5")]


def test_other_sizes_do_not_share_a_folder(folder) -> None:
    other = dataclasses.replace(CITIES, size=300.0)
    assert module._key(CITIES, CONFIG) != module._key(other, CONFIG)


def test_people_who_find_the_folder_are_told_what_it_is(folder) -> None:
    describe(folder, [12], CITIES, CONFIG)
    note = json.loads(next(folder.glob("*/cities.json")).read_text())
    assert note["seeds"] == [12] and note["size_m"] == 250 and note["views"] == 6


def test_shrunk_is_the_mean_over_squares() -> None:
    picture = np.random.default_rng(0).integers(0, 256, (9, 8, 3)).astype(np.uint8)
    small = shrunk(picture, 4)
    assert small.shape == (2, 2, 3)
    assert abs(int(small[1, 0, 2]) - picture[4:8, :4, 2].mean()) <= 0.5
    assert shrunk(picture, 1) is picture
