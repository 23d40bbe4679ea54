"""Experiments with the recipe: one change at a time, trained for a short while, measured on validation cities.

What is expected of each change stands in the file before it is tried, and what was decided is added behind. All of them
stay in the table, those that failed as well.
"""

from __future__ import annotations

import csv
import dataclasses
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from pydantic import Field

from tiercel.evaluation.arms import Arm, Arms
from tiercel.evaluation.charts import HUES, Axis, Curve, Panel, draw
from tiercel.evaluation.metrics import Measured, mean
from tiercel.evaluation.report import cell, line
from tiercel.evaluation.results import Row, machine, read_rows, write_rows
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
BATCH: dict[str, Any] = {
    "cities_per_step": 2, "crops_per_city": 1, "photos_per_crop": 16, "negatives_per_crop": 184,
}  # fmt: skip
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
        curve: The curves that it is a point of, and where: such as ``{"steps": 500}``.
        seed: Of weights and batches, where it is not the base's.
    """

    against: str = ""
    expected: str
    decision: str = ""
    curve: dict[str, float] = Field(default_factory=dict)
    seed: int | None = None


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
        folder = experiments.train(trial, work / path.stem, report, trial.seed)
        recipe = experiments.recipe(trial, trial.seed)
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
    """How long the training took, the waiting for batches included."""
    with log.open(newline="") as file:
        seconds = [float(row["value"]) for row in csv.DictReader(file) if row["name"] == "seconds"]
    name = f"training_minutes/all/validation/{trial.name}"
    return dataclasses.replace(like, name=name, value=sum(seconds) / 60, unit="min", n=1, low=None, high=None)


def render_experiments(experiments: Experiments, rows: Sequence[Row]) -> list[str]:
    """The table of all trials: what was expected, what came, what was decided.

    Args:
        experiments: The trials and their words.
        rows: What was measured.
    """
    named = {row.name: row for row in rows}
    lines = [line(["trial", "expected", *(words for words, _ in CAME), "minutes", "decision"])]
    lines.append(line(["---", "---", *["---:"] * (len(CAME) + 1), "---"]))
    for trial in experiments.arms:
        found = [_came(trial, metrics, kind, named) for _, (metrics, kind) in CAME]
        minutes = cell(named.get(f"training_minutes/all/validation/{trial.name}"), 0)
        decision = trial.decision or "-"
        lines.append(line([f"`{trial.name}`: {trial.words}", trial.expected, *found, minutes, decision]))
    some = next((row for row in rows if row.unit == "%"), None)
    if some is not None:
        seeds = ", ".join(str(seed) for seed in some.seeds)
        lines += [
            "",
            f"Measured by `{some.command}` on {some.machine}; validation cities of seeds {seeds}, {some.n} photos of",
        ]
        lines[-1] += " each kind. In brackets: the change against the trial that it differs from."
    return lines


CAME = (
    ("90° photo, heading unknown, %", (("right_unknown", "right_place"), "photo_90")),
    ("90° photo, north known, %", (("right_known",), "photo_90")),
    ("70° photo, heading unknown, %", (("right_unknown", "right_place"), "photo_70")),
    ("panorama, heading unknown, %", (("right_unknown", "right_place"), "panorama")),
)
"""What the table shows of each trial: of the metrics the one that its head has."""


def _came(trial: Trial, metrics: Sequence[str], kind: str, rows: Mapping[str, Row]) -> str:
    for metric in metrics:
        row, base = (rows.get(f"{metric}/{kind}/validation/{name}") for name in (trial.name, trial.against))
        if row is None or row.value is None:
            continue
        change = f" ({row.value - base.value:+.1f})" if base is not None and base.value is not None else ""
        return f"{row.value:.1f}{change}"
    return "-"


def draw_curves(experiments: Experiments, rows: Sequence[Row]) -> Image.Image:
    """What more of each costs and buys: the share of right answers against what a curve's trials differ in."""
    named = {row.name: row for row in rows}
    panels = []
    for curve in dict.fromkeys(name for trial in experiments.arms for name in trial.curve):
        points = sorted((trial.curve[curve], trial.name) for trial in experiments.arms if curve in trial.curve)
        curves = []
        for (words, (metrics, kind)), colour in zip(CAME, HUES, strict=False):
            known = [
                (at, row)
                for at, name in points
                for metric in metrics
                if (row := named.get(f"{metric}/{kind}/validation/{name}")) is not None and row.value is not None
            ]
            spans = tuple((row.low, row.high) for _, row in known if row.low is not None and row.high is not None)
            drawn = tuple((at, row.value) for at, row in known if row.value is not None)
            curves.append(Curve(words.removesuffix(", %"), colour, drawn, spans))
        across = Axis(curve, tuple(dict.fromkeys(at for at, _ in points)), log=True)
        panels.append(Panel(f"Accuracy against {curve}", across, Axis("right among the batch, %"), tuple(curves)))
    return draw(panels)


def main(arguments: Sequence[str]) -> None:
    """``python -m tiercel.evaluation.experiments FILE PAGE PICTURE``: render the page of experiments anew."""
    import yaml

    file, page, picture = map(Path, arguments)
    experiments = read_experiments(file, yaml.safe_load(file.read_text(encoding="utf-8")))
    rows = read_rows(experiments.results)
    table = "\n".join(render_experiments(experiments, rows))
    before, after = page.read_text(encoding="utf-8").split(BEGIN)[0], page.read_text(encoding="utf-8").split(END)[1]
    page.write_text(f"{before}{BEGIN}\n\n{table}\n\n{END}{after}", encoding="utf-8")
    draw_curves(experiments, rows).save(picture)


BEGIN, END = "<!-- experiments -->", "<!-- end of experiments -->"
"""Between these lines of the page nothing is written by hand."""


if __name__ == "__main__":
    main(sys.argv[1:])
