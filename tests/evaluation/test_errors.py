"""A page of wrong answers, from a tiny city and a network that knows nothing."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.models.tiny import tiny_model
from tiercel.errors import TiercelError
from tiercel.evaluation import pages
from tiercel.evaluation.causes import CAUSES
from tiercel.evaluation.error_sheets import ANSWER, GAP, SIDE, TRUTH, Shown, draw_pages, draw_sheet
from tiercel.evaluation.errors import QUERIES, Found, error_rows, examples, find_errors, shown
from tiercel.evaluation.protocol import Protocol
from tiercel.evaluation.results import write_rows

PROTOCOL = Protocol("errors", "validation", (1002,), 5, 500.0, QUERIES)


@pytest.fixture(scope="module")
def work(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("work")


@pytest.fixture(scope="module")
def found(work) -> Found:
    return find_errors(tiny_model(), PROTOCOL, 6, work, lambda line: None)


def test_wrong_answers_are_wrong_and_come_in_equal_parts(found) -> None:
    queries = [one.query.name for one in found.wrong]
    assert {query.name: queries.count(query.name) for query in QUERIES} == {query.name: 2 for query in QUERIES}
    for one in found.wrong:
        assert one.facts.error_m == pytest.approx(np.hypot(one.x - one.sample.x, one.y - one.sample.y))
        assert one.facts.error_m > 50 and 0 <= one.probability <= 1
        assert (one.facts.right_when_told is None) == one.query.north_known
    assert all(2 <= found.asked[query.name] <= 5 for query in QUERIES)


def test_counts_add_up_and_are_rendered_into_the_page(found, tmp_path) -> None:
    rows = {row.name: row for row in error_rows(found, PROTOCOL, "command")}
    for query in (*(query.name for query in QUERIES), "all"):
        counts = [rows[f"wrong/{query}/validation/{cause}"].value for cause in CAUSES]
        assert sum(counts) == rows[f"wrong/{query}/validation/any"].value
    assert rows["wrong/all/validation/any"].value == 6
    assert rows["wrong/all/validation/any"].n == sum(found.asked.values())
    write_rows(tmp_path / "errors.json", list(rows.values()))
    page = tmp_path / "page.md"
    page.write_text("<!-- table errors -->\n<!-- end -->\n")
    pages.fill(page, tmp_path)
    assert f"2 of {found.asked['panorama']} asked" in page.read_text() and "seeds 1002" in page.read_text()
    assert all(words in page.read_text() for words in CAUSES.values())


def test_every_wrong_answer_is_drawn_once(found, work) -> None:
    sheets = list(draw_pages(shown(found.wrong, PROTOCOL, work)))
    assert sum(sheet.height - GAP for sheet in sheets) == 6 * (SIDE + GAP)
    assert len(examples(found.wrong, 3)) == 3
    assert len({id(one) for one in examples(found.wrong, 10)}) == 6


def test_arrows_point_where_the_camera_looked() -> None:
    grey = np.full((SIDE, SIDE, 3), 120, np.uint8)
    one = Shown(Image.new("RGB", (320, 240)), grey, grey, (0.0, 0.0, 90.0), (500.0, 0.0, 180.0), ("why",))
    sheet = np.asarray(draw_sheet([one]))
    truth, answer = sheet[GAP : GAP + SIDE, 496 : 496 + SIDE], sheet[GAP : GAP + SIDE, 744 : 744 + SIDE]
    green, red = (np.argwhere((part == colour).all(2)) for part, colour in ((truth, TRUTH), (answer, ANSWER)))
    # East of the camera, and south of it.
    assert green[:, 1].max() - SIDE // 2 > 25 and abs(green[:, 0] - SIDE // 2).max() < 10
    assert red[:, 0].max() - SIDE // 2 > 25 and abs(red[:, 1] - SIDE // 2).max() < 10


def test_cities_of_other_splits_and_models_without_the_match_are_refused(work) -> None:
    for seed in (0, 10000):
        with pytest.raises(TiercelError, match="give seeds of validation"):
            find_errors(tiny_model(), Protocol("errors", "validation", (seed,), 5, 500.0, QUERIES), 6, work)
    with pytest.raises(TiercelError, match="no full pipeline"):
        find_errors(tiny_model(heads=("retrieval",)), PROTOCOL, 6, work)
