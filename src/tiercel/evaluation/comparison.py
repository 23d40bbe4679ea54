"""Training the arms of a comparison by one file, and measuring them on the same photos.

The file says what all arms share and what each changes, so that nothing else can differ. Arms train one after the
other, each resumably, in a folder of its own.
"""

from __future__ import annotations

import csv
import dataclasses
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from pydantic import BaseModel, ConfigDict, ValidationError

from tiercel.errors import TiercelError
from tiercel.evaluation.evaluate import evaluate
from tiercel.evaluation.protocol import UNSEEN
from tiercel.evaluation.results import Row, machine, write_rows
from tiercel.training.loop import WEIGHTS, prepare_data, train_stage
from tiercel.training.recipe import Recipe

Report = Callable[[str], None]


class Arm(BaseModel):
    """One way to train.

    Attributes:
        name: In result rows.
        words: For people.
        model: Settings of the model that differ from the base's.
        stage: Settings of the stage that differ from the common ones.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    words: str
    model: dict[str, Any] = {}
    stage: dict[str, Any] = {}


class Comparison(BaseModel):
    """A comparison of arms.

    Attributes:
        protocol: ``objectives``.
        results: File of rows to write.
        seeds: Seeds of the cities to measure on.
        photos: Photos of each kind in each of them.
        base: Recipe without stages.
        stage: What the stages of all arms share.
        arms: The arms.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    protocol: str
    results: Path
    seeds: tuple[int, ...]
    photos: int
    base: dict[str, Any]
    stage: dict[str, Any]
    arms: tuple[Arm, ...]

    def recipe(self, arm: Arm) -> Recipe:
        """The whole recipe of one arm.

        Raises:
            TiercelError: a setting does not exist.
        """
        model = {**self.base.get("model", {}), **arm.model, "name": arm.name}
        stage = {**self.stage, **arm.stage, "name": arm.name}
        return Recipe.from_dict({**self.base, "model": model, "stages": [stage]}, f"arm '{arm.name}'")


def read_comparison(path: Path, content: Any) -> Comparison:  # noqa: ANN401  (whatever a file held)
    """A comparison from the content of its file.

    Raises:
        TiercelError: a setting is missing, unknown or of another kind.
    """
    try:
        comparison = Comparison.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise TiercelError(f"{path}: {place}: {first['msg']}; compare it with recipes/zoom-objectives.yaml.") from None
    for arm in comparison.arms:
        comparison.recipe(arm)
    return comparison


def compare(comparison: Comparison, path: Path, work: Path = Path("runs"), report: Report = print) -> list[Row]:
    """Train what is not trained yet, measure all arms, and write the rows.

    Args:
        comparison: What to compare.
        path: Its file, as it is told in the rows.
        work: Checkpoints and training cities go into a folder of the file's name in it, cities and atlases of the
            evaluation where `evaluate` keeps them.
        report: Told a line now and then.
    """
    rows: list[Row] = []
    for arm in comparison.arms:
        folder = work / path.stem / arm.name
        _train(comparison.recipe(arm), folder, work / path.stem / "cities", report)
        measured = evaluate(
            folder,
            seeds=comparison.seeds,
            photos=comparison.photos,
            out=None,
            work=work / "evaluation",
            protocol=UNSEEN,
            report=report,
        )
        command = f"tiercel evaluate {path}"
        rows += [row for row in _of_arm(arm, measured, command) if row not in rows]
        rows += _training_rows(arm, folder / "log.csv", command)
        write_rows(comparison.results, rows)
    return rows


def _train(recipe: Recipe, folder: Path, cities: Path, report: Report) -> None:
    (stage,) = recipe.stages
    if (folder / WEIGHTS).exists():
        return
    if recipe.threads:
        torch.set_num_threads(recipe.threads)
    train_stage(recipe, stage, folder, prepare_data(recipe, cities, report), report)


def _of_arm(arm: Arm, rows: Sequence[Row], command: str) -> Iterator[Row]:
    """The rows with the arm's name beside the method's; chance belongs to no arm."""
    for row in rows:
        name = row.name if row.parts[3] == "chance" else f"{row.name}@{arm.name}"
        yield dataclasses.replace(row, name=name, command=command)


def _training_rows(arm: Arm, log: Path, command: str) -> Iterator[Row]:
    """How long the training took, the waiting for batches included."""
    with log.open(newline="") as file:
        seconds = [float(row["value"]) for row in csv.DictReader(file) if row["name"] == "seconds"]
    name = f"training_minutes/all/unseen/training@{arm.name}"
    yield Row(name, sum(seconds) / 60, "min", len(seconds), None, None, (), machine(), command)
