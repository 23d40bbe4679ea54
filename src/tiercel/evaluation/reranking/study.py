"""The study: every judge by every tournament on the same candidate lists, with significance and cost.

A file says which lists, which judges with which questions, and which tournaments. What a tournament's model assumes of
a judge (how far to believe it, and how far the first stage) is fitted on validation lists. Answers are kept on disk, so
that a study that was stopped goes on, and a finished one asks no model again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from tiercel.candidates import CandidateList, read_candidates
from tiercel.candidates.on_map import Method
from tiercel.errors import TiercelError, wrong_setting
from tiercel.evaluation.reranking.asking import Asked, Fit, ask_all, fit_model
from tiercel.evaluation.reranking.rows import RowMaker, baseline_rows, cut, tournament_rows
from tiercel.evaluation.results import Row, write_rows
from tiercel.rerank.opening import CONTROLS
from tiercel.training.splits import split_of

Report = Callable[[str], None]


class _Settings(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Lists(_Settings):
    """Where candidate lists come from.

    Attributes:
        seeds: Seeds of simulated cities.
        photos: Photos of each kind in each.
        queries: As in `tiercel.candidates.simulated.CityPlan`.
        model: The first stage.
        method: Which of its answers ranks the candidates, as in `tiercel.candidates.Plan`.
        files: Files of candidates instead, with truth.
        most: Lists that are taken of each file, evenly spaced; 0 for all.
    """

    seeds: tuple[int, ...] = ()
    photos: int = 50
    queries: tuple[str, ...] = ("panorama_north", "panorama", "photo_90_north", "photo_90")
    model: str = "bundled"
    method: Method = "first"
    files: tuple[Path, ...] = ()
    most: int = 0

    @model_validator(mode="after")
    def _one_source(self) -> Lists:
        if bool(self.seeds) == bool(self.files):
            raise ValueError("give seeds of simulated cities, or files of candidates")
        return self


class JudgeChoice(_Settings):
    """A judge and what is asked of it.

    Attributes:
        name: In result rows.
        kind: ``model`` (a vision-language model in this process), ``server``, ``match``, or the name of a control.
        model: Its id or folder; ``small`` for the one that comes with tiercel.
        url: Of the server.
        recipe: Recipe that makes the model, unless it is there.
        steps: Instead of the recipe's.
        view: Settings of `tiercel.rerank.views.View`, instead of what suits the model.
        backend: Settings of the backend, such as precision or concurrency.
        prompts: Folder of prompts; tiercel's own if left out.
        counts: How many candidates of each list it judges, instead of the study's.
        arms: For each prompt the tournaments that are held; for controls and the match, one arm of any name.
    """

    name: str
    kind: str = "model"
    model: str = "small"
    url: str = ""
    recipe: Path | None = None
    steps: int = 0
    view: Mapping[str, Any] = {}
    backend: Mapping[str, Any] = {}
    prompts: Path | None = None
    counts: tuple[int, ...] = ()
    arms: Mapping[str, tuple[str, ...]]


class Study(_Settings):
    """What is measured.

    Attributes:
        protocol: ``rerank``.
        results: File of rows to write.
        page: Page whose tables are rendered afterwards, with the figure beside it in ``pictures``; none if left out.
        lists: What is judged.
        validation: What the tournaments' models are fitted on; none if left out, and the models are as they come.
        counts: How many candidates of each list.
        judges: Who judges.
        adaptive: Settings of the adaptive tournament; its budget is a third of all pairs in both orders.
        failed_share: Greatest share of unreadable answers of a judge that is no failure.
    """

    protocol: Literal["rerank"]
    results: Path
    page: Path | None = None
    lists: Lists
    validation: Lists | None = None
    counts: tuple[int, ...] = (5, 10)
    judges: tuple[JudgeChoice, ...]
    adaptive: Mapping[str, Any] = {}
    failed_share: float = 0.05


def read_study(path: Path, content: Any) -> Study:  # noqa: ANN401  (whatever a file held)
    """The settings of a file.

    Raises:
        TiercelError: A setting is missing, unknown or of another kind, or a city belongs to another split.
    """
    try:
        study = Study.model_validate(content)
    except ValidationError as error:
        raise wrong_setting(path, error, "recipes/rerank-sim.yaml") from None
    for lists, split in ((study.lists, "test"), (study.validation, "validation")):
        wrong = [seed for seed in (lists.seeds if lists else ()) if split_of(seed) != split]
        if wrong:
            raise TiercelError(f"{path}: cities {wrong} are not of the split '{split}': see training/splits.py.")
    return study


def measure_study(study: Study, path: Path, work: Path = Path("runs"), report: Report = print) -> list[Row]:
    """Asks every judge, holds every tournament, and writes the rows.

    Args:
        study: What is measured.
        path: Its file, as it is told in the rows.
        work: Cities and models are kept in folders in it, and answers in one of the file's name.
        report: Told a line now and then.

    Returns:
        The rows.

    Raises:
        TiercelError: A judge cannot be had, or more of its answers were unreadable than the study allows; what was
            measured is written all the same.
    """
    home, most = work / path.stem, max(study.counts)
    lists = gather(study.lists, most, work, report)
    fitted_on = gather(study.validation, most, work, report) if study.validation else []
    make = RowMaker(study.lists.seeds, f"tiercel evaluate {path}")
    rows = list(baseline_rows(lists, study.counts, make))
    failing = []
    for choice in study.judges:
        for arm, tournaments in choice.arms.items():
            name, counts = arm_name(choice, arm), choice.counts or study.counts
            some, validation = cut(lists, max(counts)), cut(fitted_on, max(counts))
            asked = ask_all(choice, arm, tournaments, some, home, work, report, name)
            fit = _fitted(choice, arm, tournaments, validation, home, work, report, name)
            new = tournament_rows(name, tournaments, some, counts, most, asked, fit, dict(study.adaptive), make)
            rows += [replace(row, extra={**row.extra, "steps": asked.steps}) for row in new]
            write_rows(study.results, rows)
            report(f"{name}: {asked.line()}")
            if asked.unreadable_share > study.failed_share:
                failing.append(f"{name} ({asked.unreadable_share:.0%}: {asked.example})")
    if study.page is not None and study.page.is_file():
        _render(study.page, study.results, rows)
    if failing:
        raise TiercelError(
            f"{path}: more than {study.failed_share:.0%} of the answers are unreadable of {', '.join(failing)}; the "
            f"rows are in {study.results}."
        )
    return rows


def _render(page: Path, results: Path, rows: Sequence[Row]) -> None:
    """The page's tables and its figure."""
    from tiercel.evaluation.pages import fill
    from tiercel.evaluation.reranking.tables import draw_study

    pictures = page.parent / "pictures"
    pictures.mkdir(exist_ok=True)
    draw_study({row.name: row for row in rows}).save(pictures / "rerank.png")
    fill(page, results.parent)


def _fitted(
    choice: JudgeChoice, arm: str, tournaments: Sequence[str], lists: Sequence[CandidateList], home: Path, work: Path,
    report: Report, name: str,
) -> Fit:  # fmt: skip
    """What tournaments assume of a judge, by validation lists; of a control nothing is learnt."""
    if not lists or choice.kind in CONTROLS:
        return Fit()
    asked: Asked = ask_all(choice, arm, tournaments, lists, home, work, report, f"{name}, validation")
    return fit_model(asked, tournaments, lists)


def arm_name(choice: JudgeChoice, arm: str) -> str:
    """Of a judge's arm in result rows: the field's words for what is asked, and behind an ``@`` which model."""
    if choice.kind not in ("model", "server"):
        return choice.name
    from tiercel.rerank.prompt import load_prompt

    kind = load_prompt(arm, choice.prompts).kind if choice.prompts else load_prompt(arm).kind
    asked = {"point": f"pointwise_{arm}", "list": arm, "pair": arm if arm != "pairwise" else "pairwise_direct"}[kind]
    return asked if choice.name == "small" else f"{asked}@{choice.name}"


def gather(lists: Lists, most: int, work: Path, report: Report) -> list[CandidateList]:
    """The candidate lists that a study is of, at most so many candidates in each; cities are kept in a folder."""
    found: list[CandidateList] = []
    if lists.seeds:
        from tiercel.candidates.simulated import CityPlan, city_candidates
        from tiercel.models import load_model

        plan = CityPlan(photos=lists.photos, queries=lists.queries, count=most, method=lists.method)
        model = load_model(lists.model)
        ranks = model.with_heads([head for head in ("retrieval", "zoom") if head in model.config.heads])
        for seed in lists.seeds:
            folder = work / "rerank-cities" / f"city-{seed}-{plan.size:g}m-{plan.photos}"
            found += [one for file in city_candidates(folder, seed, plan, ranks, report).values() for one in file.lists]
        return found
    for file in lists.files:
        content = read_candidates(file).lists
        step = max(1, len(content) // lists.most) if lists.most else 1
        found += content[::step][: lists.most or None]
    unjudged = next((one for one in found if not one.judged), None)
    if unjudged is not None:
        raise TiercelError(f"It is not known where {unjudged.query} was taken: make the candidates with --truth.")
    return found
