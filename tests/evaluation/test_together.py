"""What several photos from one spot buy, measured on a tiny map with photos of nothing in particular."""

import itertools

import pytest

from tests.models.tiny import photo_of_scene
from tests.search.town import NORTH, WEST, prepared
from tiercel.datasets import SimulatedSample
from tiercel.datasets.journal import read_journal
from tiercel.errors import TiercelError
from tiercel.evaluation import together
from tiercel.evaluation.metres import METHODS
from tiercel.evaluation.together import ask, measure
from tiercel.locate import Analysis, Locator
from tiercel.photos.write import write_photo

HEADINGS = (20.0, 112.0, 195.0, 290.0)


@pytest.fixture(scope="module")
def locator() -> Locator:
    model, atlas = prepared()
    return Locator(atlas, model)


@pytest.fixture(scope="module")
def spot(tmp_path_factory) -> list[SimulatedSample]:
    folder, samples = tmp_path_factory.mktemp("photos"), []
    for index, heading in enumerate(HEADINGS):
        file = folder / f"{index}.jpg"
        write_photo(file, photo_of_scene(heading, 90, 160, 120), heading=heading, field_of_view=90)
        samples.append(SimulatedSample(file, "photo_90", WEST + 90, NORTH - 90, 45.0, 15.0, heading, 90.0, 0.0, 1.6))
    return samples


def test_a_spot_is_asked_in_every_way(locator, spot, monkeypatch) -> None:
    seen = []

    def analyse_together(photos, turns=None) -> Analysis:
        seen.append(([photo.name for photo in photos], [photo.heading is not None for photo in photos], turns))
        return None

    monkeypatch.setattr(locator, "analyse_together", analyse_together)
    asked = list(ask(locator, spot, 7))
    for one in asked:
        one.analyse()
    names = ["photo_90", "photo_90_north"]
    names += [f"photo_90_{name}{known}" for name in ("pair", "opposite", "four") for known in ("", "_turned", "_north")]
    assert [one.query for one in asked] == names
    assert {(one.number, one.x, one.heading) for one in asked} == {(7, WEST + 90, 20.0)}
    found = dict(zip(names, seen, strict=True))
    assert found["photo_90_pair"] == (["0.jpg", "1.jpg"], [False, False], None)
    assert found["photo_90_opposite_turned"] == (["0.jpg", "2.jpg"], [False, False], [175.0])
    assert found["photo_90_four_turned"][2] == [92.0, 175.0, 270.0]
    assert found["photo_90_four_north"][1:] == ([True] * 4, None)


def test_rows_for_every_set_and_an_interrupted_measurement_goes_on(locator, spot, monkeypatch, tmp_path) -> None:
    folder = tmp_path / f"spots-0-2000m-{together.SPOTS}"
    folder.mkdir()
    monkeypatch.setattr(together, "SETS", together.SETS[:2])
    monkeypatch.setattr(together, "load_model", lambda name: locator.model)
    monkeypatch.setattr(together, "prepare", lambda *_: (locator, [spot] * 3))
    settings = {"seeds": (0,), "photos": 1, "work": tmp_path, "report": lambda line: None}
    first = measure("tiny", **settings)
    rows = {row.name: row for row in first}
    queries = ("photo_90", "photo_90_north", "photo_90_pair", "photo_90_pair_turned", "photo_90_pair_north")
    for query, method in itertools.product(queries, METHODS):
        assert rows[f"r1_50m/{query}/unseen/{method}"].n == 1
    assert rows["median_m/photo_90_pair_turned/unseen/match"].command.endswith("results/together.json --photos 1")
    (kept,) = folder.glob("answers-*.jsonl")
    assert len(list(read_journal(kept))) == len(queries) * len(METHODS)
    monkeypatch.setattr(locator, "analyse_together", lambda *_: pytest.fail("asked again"))
    assert repr(measure("tiny", **settings)) == repr(first)


def test_photos_and_maps_are_made_once(monkeypatch, tmp_path, locator, spot) -> None:
    made = []

    def simulate(folder, **settings) -> list[SimulatedSample]:
        made.append(settings)
        return spot * 2

    class Map:
        def __enter__(self) -> "Map":
            return self

        def __exit__(self, *_: object) -> None: ...

    monkeypatch.setattr(together, "simulate", simulate)
    monkeypatch.setattr(together, "open_map", lambda path: Map())
    monkeypatch.setattr(together, "build", lambda basemap, model, target: locator.atlas)
    _, around = together.prepare(locator.model, tmp_path, 5)
    assert around == [spot, spot]
    assert made == [{"seed": 5, "size": 2000.0, "photos": 240, "kinds": ("photo_90",), "shots": 4}]


def test_no_more_spots_than_there_are() -> None:
    with pytest.raises(TiercelError, match="has 60 spots: ask for 1 to 60"):
        measure("tiny", photos=61)
