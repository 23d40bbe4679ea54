"""A whole evaluation of a tiny model on a tiny map, with photos of nothing in particular at known places."""

import dataclasses
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from tests.models.tiny import panorama_of_scene, photo_of_scene
from tests.search.town import NORTH, WEST, planted, prepared
from tiercel.datasets import SimulatedSample
from tiercel.errors import TiercelError
from tiercel.evaluation import QUERIES, Protocol, evaluate, read_rows, render, write_into_card
from tiercel.evaluation import evaluate as evaluate_function
from tiercel.evaluation.evaluate import METHODS, answer_all, answers
from tiercel.locate import Analysis, Locator
from tiercel.photos.write import write_photo
from tiercel.training.card import METRICS

PROTOCOL = Protocol("tiny", "unseen", seeds=(0, 1), photos=2, size=500.0)


@pytest.fixture(scope="module")
def locator() -> Locator:
    model, atlas = prepared()
    return Locator(atlas, model)


def sample_at(file, kind, east, south, heading) -> SimulatedSample:
    field = 360.0 if kind == "panorama" else 90.0
    return SimulatedSample(file, kind, WEST + east, NORTH - south, 45.0, 15.0, heading, field, 0.0, 1.6)


@pytest.fixture(scope="module")
def samples(tmp_path_factory) -> list[SimulatedSample]:
    folder, made = tmp_path_factory.mktemp("photos"), []
    for index, (kind, east, south, heading) in enumerate(
        [
            ("panorama", 100, 70, 20.0),
            ("photo_90", 300, 90, 110.0),
            ("panorama", 50, 400, 300.0),
            ("photo_90", 9, 9, 0.0),
        ]
    ):
        sample = sample_at(folder / f"{index}.jpg", kind, east, south, heading)
        pixels = panorama_of_scene(heading, 256) if kind == "panorama" else photo_of_scene(heading, 90, 160, 120)
        write_photo(
            sample.file, pixels, latitude=45.0, longitude=15.0, heading=heading,
            field_of_view=sample.field_of_view, panorama=kind == "panorama",
        )  # fmt: skip
        made.append(sample)
    return made


@pytest.fixture
def rows(locator, samples, monkeypatch, tmp_path):  # noqa: ANN201
    module = sys.modules[evaluate_function.__module__]
    monkeypatch.setattr(module, "load_model", lambda name: locator.model)
    monkeypatch.setattr(module, "prepare", lambda *_: (locator, samples))
    lines: list[str] = []
    files = {"out": tmp_path / "rows.json", "calibration": tmp_path / "calibration.json"}
    rows = evaluate("tiny", **files, protocol=PROTOCOL, report=lines.append)
    assert len(lines) == len(PROTOCOL.seeds) * len(QUERIES)
    return rows


def test_every_method_is_measured_on_the_same_queries(rows, tmp_path, locator, samples) -> None:
    found = {row.name: row for row in rows}
    assert len(found) == len(rows)
    for query in QUERIES:
        for method in METHODS:
            row = found[f"r1_50m/{query.name}/unseen/{method}"]
            assert (row.n, row.unit, row.seeds) == (4, "%", (0, 1))
            assert row.low <= row.value <= row.high
        assert found[f"seconds/{query.name}/unseen/match"].value > 0
        tree, leaves = locator.atlas.tree, locator.atlas.leaf_index
        x, y = tree.centre(2, *tree.unflat(2, leaves))
        asked = [s for s in samples if s.kind == query.kind]
        by_hand = np.mean([(np.hypot(x - s.x, y - s.y) <= 100).mean() for s in asked])
        assert found[f"r1_100m/{query.name}/unseen/chance"].value == pytest.approx(100 * by_hand)
    stored = {row.name: row.value for row in read_rows(tmp_path / "rows.json")}
    assert stored.keys() == found.keys()
    page = render(tmp_path / "rows.json")
    for query in QUERIES:
        assert page.count(f"| {query.words} |") == 5
    assert "nan" not in page and "None" not in page


def test_how_honest_the_answers_are_is_measured_on_the_same_queries(rows, tmp_path) -> None:
    kept = {row.name: row for row in read_rows(tmp_path / "calibration.json")}
    found = {row.name: row for row in rows}
    for query in QUERIES:
        for share in (50, 90):
            row = kept[f"coverage_{share}/{query.name}/unseen/match"]
            assert (row.n, row.seeds) == (4, (0, 1))
            assert row.value == found[f"inside_{share}/{query.name}/unseen/match"].value
            assert f"coverage_{share}/{query.name}/unseen/global_uncalibrated" in kept
        for method in ("local", "greedy", "global", "match"):
            assert 0 <= kept[f"expected_calibration_error/{query.name}/unseen/{method}"].value <= 100
    page = render(tmp_path / "rows.json", tmp_path / "calibration.json")
    assert page.startswith(render(tmp_path / "rows.json"))
    for query in QUERIES:
        assert page.count(f"| {query.words} |") == 7
    assert page.count("| all together |") == 2 and "pictures/reliability.png" in page
    assert "nan" not in page and "None" not in page


def test_the_table_goes_into_the_card_and_replaces_the_last_one(rows, tmp_path) -> None:
    card, results = tmp_path / "card.md", tmp_path / "rows.json"
    card.write_text(f"# Model\n\n{METRICS}\n\nstale\n")
    write_into_card(card, results)
    text = card.read_text()
    assert text.startswith("# Model") and "stale" not in text
    assert all(text.count(f"| {query.words} |") == 1 for query in QUERIES)
    write_into_card(card, results)
    assert card.read_text() == text
    card.write_text("# A card without the mark\n")
    with pytest.raises(TiercelError, match=r"card\.md is no model card with a line"):
        write_into_card(card, results)
    assert card.read_text() == "# A card without the mark\n"


def test_the_heading_is_told_only_where_the_query_says_so(locator, samples) -> None:
    panoramas = [sample for sample in samples if sample.kind == "panorama"]
    told, untold = (next(iter(answer_all(locator, panoramas, query))) for query in QUERIES[:2])
    assert told.answers["match"].heading_error_deg < 0.01
    assert untold.answers["match"].heading_error_deg > 0.01
    assert told.seconds > 0


@pytest.mark.parametrize("heading", [0.0, 123.75, 348.75])
def test_answers_to_a_planted_photo(locator, heading) -> None:
    x, y = WEST + 210.0, NORTH - 140.0
    photo = planted(locator.atlas, locator.model, x, y, heading, told=False)
    found = answers(Analysis(locator, photo), sample_at("p.jpg", "photo_90", 210.0, 140.0, heading))
    assert found["retrieval"].error_m < 31.25 * 0.71
    assert found["retrieval"].heading_error_deg < 0.1
    assert found["match"].error_m < 3
    assert found["match"].heading_error_deg < 4
    assert np.isnan(found["global"].heading_error_deg)
    assert found["match"].inside_90 is True and found["greedy"].inside_50 is None
    off = answers(Analysis(locator, photo), sample_at("p.jpg", "photo_90", 310.0, 140.0, heading + 90))
    assert off["match"].error_m == pytest.approx(100, abs=3)
    assert off["match"].heading_error_deg == pytest.approx(90, abs=4)
    assert off["match"].inside_90 is False


def test_cities_that_train_are_refused() -> None:
    with pytest.raises(TiercelError, match=r"cities \[10000\] belong to the seeds that train"):
        evaluate(seeds=[1, 10_000])


def test_the_protocol_asks_each_kind_told_and_untold() -> None:
    assert {(query.kind, query.north_known) for query in QUERIES} == {
        (kind, known) for kind in ("panorama", "photo_90") for known in (True, False)
    }
    assert dataclasses.replace(PROTOCOL).queries == QUERIES


def test_cities_may_be_measured_side_by_side(locator, samples, monkeypatch) -> None:
    """What comes out does not depend on how many processes ask."""
    module = sys.modules[evaluate_function.__module__]
    monkeypatch.setattr(module, "load_model", lambda name: locator.model)
    monkeypatch.setattr(module, "prepare", lambda *_: (locator, samples))
    # Threads see what is patched; another process would not.
    monkeypatch.setattr(module, "ProcessPoolExecutor", lambda jobs, context: ThreadPoolExecutor(jobs))
    alone, together = (evaluate("tiny", out=None, protocol=PROTOCOL, jobs=jobs, report=str) for jobs in (1, 2))
    assert [row.name for row in alone] == [row.name for row in together]
    one, other = (
        np.array([(row.value, row.low, row.high) for row in rows if row.unit != "s"]) for rows in (alone, together)
    )
    np.testing.assert_allclose(one, other)
