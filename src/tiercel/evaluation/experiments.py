"""Experiments with the recipe: one change at a time, trained for a short while, measured on validation cities.

What is expected of each change stands in the file before it is tried, and what was decided is added behind. All of them
stay in the table, those that failed as well.
"""

from __future__ import annotations

import csv
import dataclasses
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from tiercel.evaluation.arms import Arm, Arms
from tiercel.evaluation.metrics import Measured, mean
from tiercel.evaluation.results import Row, machine, write_rows
from tiercel.models import Model, load_model
from tiercel.training.cities import TrainingCity
from tiercel.training.feeding import FixedCities
from tiercel.training.loop import prepare_data
from tiercel.training.losses import loss_for
from tiercel.training.recipe import Recipe, Stage

Report = Callable[[str], None]

KINDS: dict[str, dict[str, Any]] = {
    "panorama": {"panoramas": 1.0},
    "photo_90": {"panoramas": 0.0, "field_of_view": (88.0, 90.0)},
    "photo_70": {"panoramas": 0.0, "field_of_view": (68.0, 70.0)},
}
"""What photos are asked about, as settings of a stage."""
BATCH = {"cities_per_step": 2, "crops_per_city": 1, "photos_per_crop": 16, "negatives_per_crop": 184}
"""What every trial is asked, whatever it was trained on: two crops, 32 photos, for retrieval among 400 positions."""
SHARES = ("right_known", "right_unknown", "right_place")
"""Of what a loss reports, in percent."""
NATS = ("known_heading", "unknown_heading", "match_loss")


class Trial(Arm):
    """One change to the recipe.

    Attributes:
        against: The trial that it differs from, which is measured by the same.
        expected: What was expected of it.
        decision: What was decided; empty while nothing is.
        curve: Name of the curve that it is a point of, and where: such as ``{"steps": 500}``.
    """

    against: str = ""
    expected: str
    decision: str = ""
    curve: dict[str, float] = {}


class Experiments(Arms):
    """A file of experiments.

    Attributes:
        protocol: ``experiments``.
        results: File of rows to write.
        batches: Batches of validation cities that each trial is asked, of each kind of photo.
        arms: The trials.
    """

    protocol: str
    results: Path
    batches: int = 40
    arms: tuple[Trial, ...]


def read_experiments(path: Path, content: Any) -> Experiments:  # noqa: ANN401  (whatever a file held)
    """Experiments from the content of their file.

    Raises:
        TiercelError: a setting is missing, unknown or of another kind.
    """
    experiments = Experiments.checked(path, content, "recipes/experiments.yaml")
    for trial in experiments.arms:
        if trial.against:
            experiments.arm(trial.against)
    return experiments


def run_experiments(
    experiments: Experiments, path: Path, work: Path = Path("runs"), report: Report = print
) -> list[Row]:
    """Train what is not trained yet, measure every trial, and write the rows.

    Args:
        experiments: What to try.
        path: Their file, as it is told in the rows.
        work: Weights go into a folder of the file's name in it, rendered cities beside that.
        report: Told a line now and then.
    """
    rows: list[Row] = []
    for trial in experiments.arms:
        folder = experiments.train(trial, work / path.stem, report)
        recipe = experiments.recipe(trial)
        watched = prepare_data(recipe, work / "cities", report).validation
        assert isinstance(watched, list)
        rows += trial_rows(
            trial, recipe, load_model(folder, "cpu"), watched, experiments.batches, f"tiercel evaluate {path}"
        )
        rows.append(_minutes(trial, folder / "log.csv", rows[-1]))
        report(f"{trial.name}: " + ", ".join(f"{row.name} {row.value:.1f}" for row in rows if _is_main(row, trial)))
        write_rows(experiments.results, rows)
    return rows


def _is_main(row: Row, trial: Trial) -> bool:
    return row.unit == "%" and row.parts[1] == "photo_90" and row.parts[3] == trial.name


def trial_rows(
    trial: Trial, recipe: Recipe, model: Model, cities: Sequence[TrainingCity], batches: int, command: str
) -> Iterator[Row]:
    """What a trial's network says about photos of validation cities.

    Args:
        trial: The trial.
        recipe: Its recipe.
        model: Its network.
        cities: The validation cities.
        batches: How many batches of each kind.
        command: As it is told in the rows.

    Yields:
        Rows ``<metric>/<kind>/validation/<trial>``; an interval is a bootstrap over batches.
    """
    (stage,) = recipe.stages
    seeds = tuple(city.seed for city in cities)
    for kind, settings in KINDS.items():
        for metric, found in asked(model, dataclasses.replace(stage, **BATCH, **settings), cities, batches).items():
            per_cent = metric in SHARES
            measured: Measured = mean([100.0 * value if per_cent else value for value in found])
            unit = "%" if per_cent else "nat"
            name = f"{metric}/{kind}/validation/{trial.name}"
            yield Row(
                name, measured.value, unit, 32 * len(found), measured.low, measured.high, seeds, machine(), command
            )


@torch.no_grad()
def asked(model: Model, stage: Stage, cities: Sequence[TrainingCity], batches: int) -> dict[str, list[float]]:
    """What the loss of a stage reports, batch by batch, on photos as they are: nothing is varied, nothing is off.

    Args:
        model: The network.
        stage: What it was trained on; its photos and their cameras are drawn as it says.
        cities: Where the photos were taken.
        batches: How many batches.
    """
    plain = dataclasses.replace(
        stage, land_cover_loss=0.0, augmented=0.0, faults=0.0, restyled=0.0, position_error=0.0, panoramas_until=0,
        tilt=(3.5, 1.0), panorama_tilt=0.0, field_of_view_error=0.0, distortion=0.0,
    )  # fmt: skip
    loss: Any = loss_for(model, plain)
    loss.eval()
    source = loss.batches(FixedCities(cities), plain, model.config, augment=False)
    found: dict[str, list[float]] = {}
    for number in range(batches):
        values = loss(source.sample(np.random.default_rng([number, 11])))
        values["match_loss"] = values["loss"] if "right_place" in values else torch.tensor(float("nan"))
        for metric in (*SHARES, *NATS):
            if metric in values and bool(torch.isfinite(values[metric])):
                found.setdefault(metric, []).append(float(values[metric]))
    return found


def _minutes(trial: Trial, log: Path, like: Row) -> Row:
    """How long the training took, the waiting for batches included, and what belongs to the trial in words."""
    with log.open(newline="") as file:
        seconds = [float(row["value"]) for row in csv.DictReader(file) if row["name"] == "seconds"]
    words = {"words": trial.words, "against": trial.against, "expected": trial.expected, "decision": trial.decision}
    name = f"training_minutes/all/validation/{trial.name}"
    extra = {**words, **{f"curve_{name}": at for name, at in trial.curve.items()}}
    minutes = sum(seconds) / 60
    return dataclasses.replace(like, name=name, value=minutes, unit="min", n=1, low=None, high=None, extra=extra)
