import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.rerank import small_judge
from tests.rerank.pictures import a_list
from tiercel.candidates import CandidateFile, write_candidates
from tiercel.errors import TiercelError
from tiercel.evaluation.files import run_file
from tiercel.evaluation.reranking import Study, measure_study, read_study
from tiercel.evaluation.reranking.asking import ask_all, fit_model, top1
from tiercel.evaluation.reranking.study import Lists, arm_name, gather
from tiercel.evaluation.reranking.tables import arms_table, budgets_table, controls_table, draw_study, kinds_table
from tiercel.evaluation.results import Row, read_rows
from tiercel.rerank.backends.local import LocalBackend

RECIPES = Path(__file__).parents[3] / "recipes"
RIGHT = (1, 0, 3, 0, 2)
"""Which candidate of each photo is the right one: the first stage has two of five."""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("study")
    small_judge.save(folder / "tiny")
    lists = [a_list(folder / f"photo-{number}", 4, correct=right) for number, right in enumerate(RIGHT)]
    lists = [replace(one, query=one.query.rename(one.query.with_name(f"{n}.png"))) for n, one in enumerate(lists)]
    write_candidates(folder / "candidates.jsonl", CandidateFile(tuple(lists)))
    return folder


def settings(home: Path, judges: Sequence[dict[str, Any]], **more: object) -> dict[str, Any]:
    return {
        "protocol": "rerank",
        "results": str(home / "rerank.json"),
        "lists": {"files": [str(home / "candidates.jsonl")]},
        "counts": [2, 4],
        "judges": list(judges),
        "failed_share": 1.0,
        **more,
    }


CONTROLS = [
    {"name": name, "kind": name, "arms": {"control": ["paper", "all_pairs-both-bradley_terry", "adaptive"]}}
    for name in ("always_first", "always_second", "random", "oracle", "stage")
]


def measured(home: Path, content: dict[str, Any]) -> dict[str, Row]:
    rows = measure_study(read_study(home / "mine.yaml", content), home / "mine.yaml", home / "work", lambda _: None)
    return {row.name: row for row in rows}


def test_controls_do_what_they_must(home: Path) -> None:
    rows = measured(home, settings(home, CONTROLS))
    assert rows["top1/first_stage"].value == 40.0 and rows["top1/ceiling"].value == 100.0
    assert rows["top1/ceiling/top2/all"].value == 60.0
    assert rows["top1/oracle/paper"].value == 100.0 and rows["top1/oracle/paper"].extra["gained"] == 3.0
    for way in ("paper", "all_pairs-both-bradley_terry", "adaptive"):
        constant = rows[f"top1/always_first/{way}"]
        assert constant.value == 40.0 and constant.extra["constant"] == 1.0 and constant.extra["mcnemar_p"] == 1.0
    # Shown second every time, the last challenger wins under the published sort; asked both ways, nothing moves.
    assert rows["top1/always_second/paper"].value != 40.0
    assert rows["top1/always_second/all_pairs-both-bradley_terry"].value == 40.0
    assert rows["top1/stage/all_pairs-both-bradley_terry"].value == 40.0


def test_calls_are_counted(home: Path) -> None:
    rows = measured(home, settings(home, CONTROLS[:1]))
    calls = {name: row.extra["calls"] for name, row in rows.items() if "/always_first/" in name}
    assert calls["top1/always_first/paper"] == 3 * 4 - 6
    assert calls["top1/always_first/all_pairs-both-bradley_terry"] == 12
    assert calls["top1/always_first/all_pairs-both-bradley_terry/top2/all"] == 2
    assert calls["top1/always_first/adaptive"] <= 4


SMALL = {
    "name": "small",
    "arms": {"pairwise": ["paper", "all_pairs-both-bradley_terry", "adaptive"], "yes_no": ["scores"]},
}


def test_a_finished_study_asks_no_model_again(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = settings(home, [{**SMALL, "model": str(home / "tiny")}])
    first = measured(home, content)
    monkeypatch.setattr(LocalBackend, "answer", lambda *_: pytest.fail("a model was asked"))
    again = measured(home, content)
    assert {name: (row.value, row.extra) for name, row in again.items()} == {
        name: (row.value, row.extra) for name, row in first.items()
    }
    assert first["top1/pairwise_direct/all_pairs-both-bradley_terry"].extra["calls"] == 12


def test_rows_are_written_as_they_are_measured_and_read_back(home: Path) -> None:
    measured(home, settings(home, CONTROLS[:1]))
    content = json.loads((home / "rerank.json").read_text())
    row = next(one for one in content if one["name"] == "top1/always_first/paper")
    assert row["mcnemar_p"] == 1.0 and row["calls"] == 6.0
    assert {one.name: one.extra.get("calls") for one in read_rows(home / "rerank.json")}[row["name"]] == 6.0


def test_a_judge_that_cannot_answer_fails_the_study_after_the_others(home: Path) -> None:
    gone = [replace_crops(home)]
    judges = [{**SMALL, "model": str(home / "tiny"), "arms": {"yes_no": ["scores"]}}, CONTROLS[0]]
    content = settings(home, judges, failed_share=0.3) | {"lists": {"files": gone}}
    with pytest.raises(
        TiercelError, match=r"more than 30% of the answers are unreadable of pointwise_yes_no.*gone\.png"
    ):
        measured(home, content)
    assert any("always_first" in row.name for row in read_rows(home / "rerank.json"))


def replace_crops(home: Path) -> str:
    lists = [a_list(home / "bad", 4)]
    lists = [
        replace(one, candidates=tuple(replace(it, crop=home / "gone.png") for it in one.candidates)) for one in lists
    ]
    write_candidates(home / "bad.jsonl", CandidateFile(tuple(lists)))
    return str(home / "bad.jsonl")


def test_what_tournaments_assume_is_fitted_on_validation_lists(home: Path) -> None:
    oracle = read_study(home / "mine.yaml", settings(home, [{"name": "oracle", "kind": "oracle", "arms": {}}])).judges[
        0
    ]
    lists = gather(Lists(files=(home / "candidates.jsonl",)), 4, home / "work", lambda _: None)
    wanted = ("all_pairs-both-bradley_terry", "adaptive", "scores")
    asked = ask_all(oracle, "control", wanted, lists, home / "work", home / "work", lambda _: None, "oracle")
    fit = fit_model(asked, wanted, lists)
    # One who knows is right whatever is assumed, so the first that is tried stands.
    assert fit.pairs == {"temperature": 0.7, "prior_weight": 0.0, "answer_weight": 1.0, "prior_scale": "standard"}
    assert fit.scores == {"prior_weight": 0.0} and top1(asked.judge, "adaptive", fit.adaptive, lists) == 1.0


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"judges": [{"name": "x"}]}, "judges.0.arms"),
        ({"lists": {"seeds": [20000]}}, "not of the split 'test'"),
        ({"lists": {"seeds": [0]}, "validation": {"seeds": [1]}}, "not of the split 'validation'"),
        ({"lists": {}}, "give seeds of simulated cities, or files"),
        ({"colour": 1}, "colour"),
    ],
)
def test_a_wrong_file_names_its_setting(change: dict[str, Any], words: str, home: Path) -> None:
    with pytest.raises(TiercelError, match=rf"mine\.yaml.*{words}"):
        read_study(home / "mine.yaml", settings(home, []) | change)


def test_lists_without_truth_are_refused(home: Path) -> None:
    one = a_list(home / "unknown")
    unknown = replace(one, candidates=tuple(replace(it, correct=None) for it in one.candidates))
    write_candidates(home / "unknown.jsonl", CandidateFile((unknown,)))
    with pytest.raises(TiercelError, match="make the candidates with --truth"):
        measured(home, settings(home, CONTROLS[:1]) | {"lists": {"files": [str(home / "unknown.jsonl")]}})


@pytest.mark.parametrize("name", ["rerank-sim.yaml", "rerank-vigor.yaml"])
def test_the_shipped_studies_are_read(name: str) -> None:
    study = read_study(RECIPES / name, yaml.safe_load((RECIPES / name).read_text(encoding="utf-8")))
    names = [arm_name(choice, arm) for choice in study.judges for arm in choice.arms]
    assert len(set(names)) == len(names)


def test_tables_and_the_figure_are_rendered_from_rows(home: Path) -> None:
    judges = [
        *CONTROLS,
        {**SMALL, "model": str(home / "tiny")},
        {**SMALL, "name": "steps_3", "model": str(home / "tiny")},
    ]
    rows = measured(home, settings(home, judges))
    assert any("pairwise | `paper`" in text and "(" in text for text in arms_table(rows))
    assert any("always the first" in text and "yes" in text for text in controls_table(rows))
    assert any("3 steps" in text for text in budgets_table(rows))
    assert kinds_table(rows)
    assert draw_study(rows).width > 400


def test_the_file_runs_and_renders_its_page(home: Path) -> None:
    page = home / "docs" / "page.md"
    page.parent.mkdir()
    page.write_text("<!-- table rerank_controls -->\n<!-- end -->\n")
    content = settings(home, CONTROLS[:1], page=str(page))
    (home / "mine.yaml").write_text(yaml.safe_dump(content))
    assert run_file(home / "mine.yaml", home / "work", lambda _: None) == home / "rerank.json"
    assert "always the first" in page.read_text() and (home / "docs" / "pictures" / "rerank.png").is_file()


def test_a_study_without_judges_is_its_baseline(home: Path) -> None:
    assert set(measured(home, settings(home, []))) == {
        "top1/first_stage", "top1/ceiling", "top1/first_stage/top2/all", "top1/ceiling/top2/all",
    }  # fmt: skip
    assert isinstance(read_study(home / "mine.yaml", settings(home, [])), Study)
