import json

import pytest

from tiercel.errors import TiercelError
from tiercel.evaluation import Row, read_rows, write_rows
from tiercel.evaluation.results import machine

ROW = Row("r1_50m/panorama/unseen/match", 87.5, "%", 600, 84.0, 90.25, (0, 1, 2), "a machine", "tiercel evaluate")


def test_rows_come_back(tmp_path) -> None:
    path = tmp_path / "results" / "rows.json"
    rows = [ROW, Row("median_m/photo_90/unseen/greedy", 12.0, "m", 3, None, None, (5,), "a machine", "command")]
    write_rows(path, rows)
    assert read_rows(path) == rows
    assert ROW.parts == ("r1_50m", "panorama", "unseen", "match")
    assert [one.name for one in path.parent.iterdir()] == ["rows.json"]


def test_what_is_no_number_becomes_null(tmp_path) -> None:
    path = tmp_path / "rows.json"
    write_rows(path, [Row("a/b/c/d", float("nan"), "m", 0, float("inf"), 1.234567, (), "", "")])
    (content,) = json.loads(path.read_text())
    assert (content["value"], content["low"], content["high"]) == (None, None, 1.2346)
    assert read_rows(path)[0].value is None


def test_a_file_that_is_missing(tmp_path) -> None:
    with pytest.raises(TiercelError, match="does not exist: run `tiercel evaluate`"):
        read_rows(tmp_path / "rows.json")


@pytest.mark.parametrize("content", ["{", "[3]", '[{"name": "a"}]', '[{"seeds": [1], "pace": 3}]', "3"])
def test_a_file_without_rows(tmp_path, content) -> None:
    (tmp_path / "rows.json").write_text(content)
    with pytest.raises(TiercelError, match="holds no rows of results"):
        read_rows(tmp_path / "rows.json")


def test_this_machine_has_a_name_and_cores() -> None:
    assert machine().endswith("cores")
