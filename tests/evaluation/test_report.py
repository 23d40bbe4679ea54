"""The page of results says what the rows say, and leaves a dash where they say nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from tiercel.evaluation.pages import fill
from tiercel.evaluation.protocol import GOALS, LOCATE_QUERIES
from tiercel.evaluation.report import goals_table, methods_table, render
from tiercel.evaluation.results import Row, write_rows

OLD = ("panorama_north", "panorama", "photo_90_north", "photo_90")
"""Kinds of queries that were measured before there were others."""


def row(name: str, value: float, unit: str = "%") -> Row:
    return Row(name, value, unit, 600, value - 1, value + 1, (0, 1), "a machine", "tiercel evaluate")


def old_rows() -> list[Row]:
    rows = [row(f"r1_{radius}m/{query}/unseen/{method}", 40.0) for query in OLD for radius in (40, 50, 100)
            for method in ("chance", "greedy", "beam4", "retrieval", "match")]  # fmt: skip
    rows += [row(f"{metric}/{query}/unseen/match", 2.0, "m") for query in OLD for metric in ("position_m", "seconds")]
    return [*rows, *(row(f"inside_{share}/{query}/unseen/match", 50.0) for query in OLD for share in (50, 90))]


def lines_of(text: str, start: str) -> list[str]:
    return [line for line in text.splitlines() if line.startswith(f"| {start} |")]


def test_the_goals_come_first_and_the_answers_stand_beside_them(tmp_path: Path) -> None:
    write_rows(tmp_path / "locate.json", old_rows())
    text = render(tmp_path / "locate.json")
    heads = [line.removeprefix("## ") for line in text.splitlines() if line.startswith("## ")]
    assert heads[:2] == [f"The full pipeline against its goals, {words} cities" for words in ("plain", "hard")]
    assert heads[2:] == [
        "Methods beside each other, plain cities", "Among the first five and ten answers, plain cities",
        "Metres and degrees, plain cities", "Is the error radius honest, plain cities?",
    ]  # fmt: skip
    plain, hard = lines_of(text, "panorama, heading unknown")[:2]
    assert plain == (
        "| panorama, heading unknown | 40.0 (39.0-41.0) | 90 | 2.00 (1.00-3.00) | 1.5 | - | 2.00 (1.00-3.00) |"
    )
    assert hard == "| panorama, heading unknown | - | 90 | - | 1.5 | - | - |"
    assert lines_of(text, "photo, 70 degrees, heading unknown")[0].startswith(
        "| photo, 70 degrees, heading unknown | - | 30 |"
    )
    assert "nan" not in text and "None" not in text


@pytest.mark.parametrize(("query", "goal"), [(query, GOALS.get(query.name)) for query in LOCATE_QUERIES])
def test_each_kind_of_query_has_its_goal(query, goal) -> None:
    (line,) = lines_of("\n".join(goals_table({}, "unseen")), query.words)
    assert line.split(" | ")[2] == ("-" if goal is None else f"{goal:g}")


def test_methods_stand_below_each_other_and_those_that_were_not_measured_are_left_out() -> None:
    lines = methods_table({one.name: one for one in old_rows()}, "unseen")
    assert [line.split(" | ")[0] for line in lines[2:]] == [
        "| chance", "| zooming, greedy (the published search)", "| retrieval", "| the full pipeline: all together",
    ]  # fmt: skip
    assert all(line.count("|") == 2 + len(LOCATE_QUERIES) for line in lines)


def test_ranks_and_hard_cities_where_they_were_measured(tmp_path: Path) -> None:
    rows = [row(f"r{rank}_50m/photo_90_opposite/unseen_hard/match", 10.0 * rank) for rank in (1, 5, 10)]
    write_rows(tmp_path / "locate.json", [*old_rows(), *rows])
    text = render(tmp_path / "locate.json")
    assert "## Methods beside each other, hard cities" in text
    ranks = text.partition("## Among the first five and ten answers, hard cities")[2].partition("##")[0]
    (line,) = lines_of(ranks, "two of 90 degrees back to back, nothing known")
    assert line.endswith("| - | - | - | - | - | - | 10.0 | 50.0 | 100.0 |")


def test_other_pages_may_show_the_main_tables(tmp_path: Path) -> None:
    write_rows(tmp_path / "locate.json", old_rows())
    page = tmp_path / "page.md"
    page.write_text("\n".join(f"<!-- table {name} -->\n<!-- end -->" for name in ("locate", "locate_hard")))
    fill(page, tmp_path)
    text = page.read_text()
    assert text.count("| query | answers within 50 m, % | goal |") == 2 and text.count("Measured by") == 2
