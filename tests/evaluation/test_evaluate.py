"""A whole evaluation of a tiny model on a tiny map, with photos of nothing in particular at known places."""

import dataclasses
import json
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from tests.models.tiny import panorama_of_scene, photo_of_scene
from tests.search.town import NORTH, WEST, Town, prepared
from tiercel.datasets import SimulatedSample
from tiercel.datasets.journal import read_journal
from tiercel.errors import TiercelError
from tiercel.evaluation import Protocol, evaluate, read_rows, render, write_into_card
from tiercel.evaluation import evaluate as evaluate_function
from tiercel.evaluation.evaluate import MAP_FILE, METHODS, city_folder, prepare
from tiercel.evaluation.protocol import LOCATE_QUERIES
from tiercel.locate import Locator
from tiercel.photos.write import write_photo
from tiercel.training.card import METRICS

PROTOCOL = Protocol("tiny", "unseen", seeds=(0, 1), photos=2, size=500.0, queries=LOCATE_QUERIES)
MODULE = sys.modules[evaluate_function.__module__]
TOGETHER = ("retrieval", "fusion", "match")
FIELDS = {"panorama": 360.0, "photo_90": 90.0, "photo_70": 70.0}


@pytest.fixture(scope="module")
def locator() -> Locator:
    model, atlas = prepared()
    return Locator(atlas, model)


def sample_at(file, kind, east, south, heading) -> SimulatedSample:
    return SimulatedSample(file, kind, WEST + east, NORTH - south, 45.0, 15.0, heading, FIELDS[kind], 0.0, 1.6)


@pytest.fixture(scope="module")
def samples(tmp_path_factory) -> list[SimulatedSample]:
    folder, made = tmp_path_factory.mktemp("photos"), []
    for index, (kind, east, south, heading) in enumerate(
        [
            ("panorama", 100, 70, 20.0), ("photo_70", 300, 90, 110.0), ("panorama", 50, 400, 300.0),
            ("photo_70", 9, 9, 0.0), ("photo_90", 300, 90, 110.0), ("photo_90", 300, 90, 293.0),
            ("photo_90", 9, 9, 0.0), ("photo_90", 9, 9, 175.0),
        ]
    ):  # fmt: skip
        sample = sample_at(folder / f"{index}.jpg", kind, east, south, heading)
        wide = kind == "panorama"
        pixels = panorama_of_scene(heading, 256) if wide else photo_of_scene(heading, FIELDS[kind], 160, 120)
        write_photo(
            sample.file, pixels, latitude=45.0, longitude=15.0, heading=heading,
            field_of_view=sample.field_of_view, panorama=wide,
        )  # fmt: skip
        made.append(sample)
    return made


@pytest.fixture
def tiny(locator, samples, monkeypatch) -> None:
    """In place of cities that take minutes to draw."""
    monkeypatch.setattr(MODULE, "load_model", lambda name: locator.model)
    monkeypatch.setattr(MODULE, "prepare", lambda *_: (locator, samples))


@pytest.fixture
def rows(tiny, tmp_path):  # noqa: ANN201
    lines: list[str] = []
    files = {"out": tmp_path / "rows.json", "calibration": tmp_path / "calibration.json"}
    rows = evaluate("tiny", **files, protocol=PROTOCOL, work=tmp_path / "work", report=lines.append)
    assert len(lines) == len(PROTOCOL.seeds) * len(LOCATE_QUERIES)
    return rows


def test_every_method_is_measured_on_the_same_queries(rows, tmp_path, locator, samples) -> None:
    found = {row.name: row for row in rows}
    assert len(found) == len(rows)
    for query in LOCATE_QUERIES:
        for method in METHODS:
            row = found.get(f"r1_50m/{query.name}/unseen/{method}")
            assert (row is None) == (len(query.shots) > 1 and method not in TOGETHER)
            if row is None:
                continue
            assert (row.n, row.unit, row.seeds) == (4, "%", (0, 1))
            assert row.low <= row.value <= row.high
            five, ten = (found.get(f"r{rank}_50m/{query.name}/unseen/{method}") for rank in (5, 10))
            assert (five is None) == (method in ("greedy", "bottom_up"))  # which come to one leaf
            assert five is None or row.value <= five.value <= ten.value
        assert found[f"seconds/{query.name}/unseen/match"].value > 0
        tree, leaves = locator.atlas.tree, locator.atlas.leaf_index
        x, y = tree.centre(2, *tree.unflat(2, leaves))
        asked = [spot[0] for spot in PROTOCOL.asked(samples, query)]
        by_hand = np.mean([(np.hypot(x - s.x, y - s.y) <= 100).mean() for s in asked])
        assert found[f"r1_100m/{query.name}/unseen/chance"].value == pytest.approx(100 * by_hand)
    stored = {row.name: row.value for row in read_rows(tmp_path / "rows.json")}
    assert stored.keys() == found.keys()
    page = render(tmp_path / "rows.json")
    assert "nan" not in page and "None" not in page


def test_how_honest_the_answers_are_is_measured_on_the_same_queries(rows, tmp_path) -> None:
    kept = {row.name: row for row in read_rows(tmp_path / "calibration.json")}
    found = {row.name: row for row in rows}
    for query in LOCATE_QUERIES:
        for share in (50, 90):
            row = kept[f"coverage_{share}/{query.name}/unseen/match"]
            assert (row.n, row.seeds) == (4, (0, 1))
            assert row.value == found[f"inside_{share}/{query.name}/unseen/match"].value
        for method in ("local", "greedy", "global", "match"):
            row = kept.get(f"expected_calibration_error/{query.name}/unseen/{method}")
            assert (row is None) == (len(query.shots) > 1 and method != "match")
            assert row is None or 0 <= row.value <= 100
    assert kept["coverage_50/all/unseen/match"].n == 4 * 7
    assert kept["coverage_50/all/unseen/global_uncalibrated"].n == 4 * 5
    page = render(tmp_path / "rows.json", tmp_path / "calibration.json")
    assert page.startswith(render(tmp_path / "rows.json"))
    assert page.count("| all together |") == 2 and "pictures/reliability.png" in page
    assert "nan" not in page and "None" not in page


def test_an_interrupted_measurement_goes_on_and_comes_to_the_same(rows, locator, tmp_path, monkeypatch) -> None:
    settings = {"protocol": PROTOCOL, "work": tmp_path / "work", "report": str}
    journals = sorted((tmp_path / "work").glob("answers-*.jsonl"))
    assert len(journals) == len(PROTOCOL.seeds)
    assert [len(list(read_journal(one))) for one in journals] == [2 * len(LOCATE_QUERIES)] * 2
    lines = journals[0].read_bytes().splitlines(keepends=True)
    journals[0].write_bytes(b"".join(lines[:3]) + lines[3][:40])  # cut off within an answer
    asked = []
    analyse = locator.analyse_together
    monkeypatch.setattr(locator, "analyse_together", lambda *given: asked.append(given) or analyse(*given))
    again = evaluate("tiny", out=None, **settings)
    assert len(asked) == len(lines) - 3
    assert [(row.name, row.n) for row in again] == [(row.name, row.n) for row in rows]
    one, other = (np.array([row.value for row in some if row.unit != "s"]) for some in (rows, again))
    np.testing.assert_allclose(one, other)
    asked.clear()
    assert repr(evaluate("tiny", out=None, **settings)) == repr(again) and not asked


def test_both_difficulties_stand_in_one_file_and_do_not_share_answers(tiny, tmp_path) -> None:
    told: dict[str, list[tuple[int, int]]] = {}

    def step(what):
        return lambda done, total: told.setdefault(what, []).append((done, total))

    rows = evaluate(
        "tiny", seeds=(1,), difficulties=("plain", "hard"), out=tmp_path / "rows.json", protocol=PROTOCOL,
        work=tmp_path, report=str, step=step,
    )  # fmt: skip
    areas = [row.parts[2] for row in read_rows(tmp_path / "rows.json")]
    assert areas == sorted(areas) and areas.count("unseen") == areas.count("unseen_hard") == len(rows) / 2
    assert "--difficulty plain --difficulty hard" in rows[0].command
    assert len(list(tmp_path.glob("answers-city-1-500m-2-hard-*.jsonl"))) == 1
    assert len(list(tmp_path.glob("answers-*.jsonl"))) == 2
    queries, photos = 2 * 2 * len(LOCATE_QUERIES), 2 * 2 * (1 + 1 + 2)
    assert told["Locating photos"][-1] == (queries, queries)
    assert told["Taking photos"][-1] == (0, photos)  # none was: samples were given
    page = render(tmp_path / "rows.json")
    assert page.count("## Methods beside each other") == 2


def test_a_city_is_made_of_two_data_sets_with_one_map(locator, samples, tmp_path, monkeypatch) -> None:
    made = []

    def simulate(folder, **settings) -> list[SimulatedSample]:
        shared = (folder / MAP_FILE).is_file()
        folder.mkdir(parents=True, exist_ok=True)
        (folder / MAP_FILE).write_text("a map")
        made.append((folder, shared, settings))
        return [sample for sample in samples if sample.kind in settings["kinds"]]

    class Map(Town):
        def __enter__(self) -> "Map":
            return self

        def __exit__(self, *_: object) -> None: ...

    monkeypatch.setattr(MODULE, "simulate", simulate)
    monkeypatch.setattr(MODULE, "open_map", lambda path: Map())
    monkeypatch.setattr(MODULE, "build", lambda basemap, model, target, **_: locator.atlas)
    for difficulty, added in (("plain", {}), ("hard", {"difficulty": "hard"})):
        protocol, common = PROTOCOL.at(difficulty), {"seed": 7, "size": 500.0, **added}
        folder = city_folder(protocol, 7, tmp_path)
        assert ("hard" in folder.name) == bool(added)
        _, found = prepare(locator.model, protocol, 7, tmp_path, str)
        assert len(found) == len(samples)
        assert made == [
            (folder, False, {**common, "photos": 4, "kinds": ("panorama", "photo_70")}),
            (folder / "spots-2", True, {**common, "photos": 4, "kinds": ("photo_90",), "shots": 2}),
        ]
        made.clear()


def test_a_hard_city_is_hard_in_both_its_data_sets(locator, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(MODULE, "build", lambda basemap, model, target, **_: locator.atlas)
    queries = tuple(query for query in LOCATE_QUERIES if query.kind != "panorama")
    protocol = dataclasses.replace(PROTOCOL, photos=1, size=300.0, queries=queries).at("hard")
    _, samples = prepare(locator.model, protocol, 1000, tmp_path, str)
    assert [sample.kind for sample in samples] == ["photo_70", "photo_90", "photo_90"]
    assert (samples[1].x, samples[1].y) == (samples[2].x, samples[2].y)
    turn = (samples[2].heading - samples[1].heading) % 360
    assert 170 <= turn <= 190
    folder = city_folder(protocol, 1000, tmp_path)
    for part in (folder, folder / "spots-2"):
        assert json.loads((part / "dataset.json").read_text())["difficulty"] == "hard"
    assert (folder / MAP_FILE).read_bytes() == (folder / "spots-2" / MAP_FILE).read_bytes()


def test_the_table_goes_into_the_card_and_replaces_the_last_one(rows, tmp_path) -> None:
    card, results = tmp_path / "card.md", tmp_path / "rows.json"
    card.write_text(f"# Model\n\n{METRICS}\n\nstale\n")
    write_into_card(card, results)
    text = card.read_text()
    assert text.startswith("# Model") and "stale" not in text
    assert all(text.count(f"| {query.words} |") == 1 for query in LOCATE_QUERIES[:-1])
    assert "| the full pipeline: all together |" in text
    write_into_card(card, results)
    assert card.read_text() == text
    card.write_text("# A card without the mark\n")
    with pytest.raises(TiercelError, match=r"card\.md is no model card with a line"):
        write_into_card(card, results)
    assert card.read_text() == "# A card without the mark\n"


def test_cities_that_train_are_refused() -> None:
    with pytest.raises(TiercelError, match=r"cities \[10000\] belong to the seeds that train"):
        evaluate(seeds=[1, 10_000])


def test_difficulties_that_there_are_not_are_refused() -> None:
    with pytest.raises(TiercelError, match=r"no cities of difficulty 'horrid': choose from plain, hard"):
        evaluate(seeds=[1], difficulties=("plain", "horrid"))


def test_cities_may_be_measured_side_by_side(tiny, monkeypatch, tmp_path) -> None:
    """What comes out does not depend on how many processes ask."""
    # Threads see what is patched; another process would not.
    monkeypatch.setattr(MODULE, "ProcessPoolExecutor", lambda jobs, context: ThreadPoolExecutor(jobs))
    alone, together = (
        evaluate("tiny", out=None, protocol=PROTOCOL, work=tmp_path / str(jobs), jobs=jobs, report=str)
        for jobs in (1, 2)
    )
    assert [row.name for row in alone] == [row.name for row in together]
    one, other = (
        np.array([(row.value, row.low, row.high) for row in rows if row.unit != "s"]) for rows in (alone, together)
    )
    np.testing.assert_allclose(one, other)
