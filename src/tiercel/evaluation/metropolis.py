"""Measuring a model on a simulated city as large as the published zooming benchmark, in its layout."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from tiercel.datasets.simulated_benchmark import simulate_benchmark
from tiercel.errors import TiercelError, wrong_setting
from tiercel.evaluation.benchmark import evaluate_benchmark
from tiercel.evaluation.results import Row, write_rows
from tiercel.models import load_model
from tiercel.training.splits import split_of

Report = Callable[[str], None]
AREA = "metropolis"


class Metropolis(BaseModel):
    """What is made and what is asked.

    Attributes:
        protocol: ``metropolis``.
        results: File of rows to write.
        model: ``bundled``, a checkpoint folder, or a Hugging Face id.
        heads: Heads of it that are used; an atlas of few heads is smaller.
        seed: Seed of the city; one that trains is refused.
        size: Side of the city in metres.
        photos: How many photos are made.
        asked: How many of them are located, with their headings and again without.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    protocol: str
    results: Path
    model: str = "bundled"
    heads: tuple[str, ...] = ("retrieval", "zoom")
    seed: int = 0
    size: float = 10_000.0
    photos: int = 2200
    asked: int = 1000


def read_metropolis(path: Path, content: Any) -> Metropolis:  # noqa: ANN401  (whatever a file held)
    """The settings of a file.

    Raises:
        TiercelError: a setting is unknown or of another kind, or the seed belongs to the training split.
    """
    try:
        metropolis = Metropolis.model_validate(content)
    except ValidationError as error:
        raise wrong_setting(path, error, "recipes/metropolis.yaml") from None
    if split_of(metropolis.seed) == "train":
        raise TiercelError(f"{path}: city {metropolis.seed} belongs to the seeds that train: measure on another.")
    return metropolis


def measure_metropolis(settings: Metropolis, path: Path, work: Path, report: Report = print) -> list[Row]:
    """Make the city unless it is there, locate photos in it, and write the rows.

    Args:
        settings: What is made and asked.
        path: Their file, as it is told in the rows.
        work: The city goes into a folder of the file's name in it, the atlas where `evaluate_benchmark` keeps them.
        report: Told a line now and then.
    """
    folder = work / path.stem
    report(f"city {settings.seed} of {settings.size / 1000:g} km: photos and map in {folder}")
    simulate_benchmark(folder, seed=settings.seed, size=settings.size, photos=settings.photos, progress=_told(report))
    model = load_model(settings.model).with_heads(settings.heads)
    rows: list[Row] = []
    for north in (True, False):
        found, _ = evaluate_benchmark(
            folder,
            model,
            protocol="every_photo",
            photos=settings.asked,
            north=north,
            out=None,
            work=work / "evaluation",
            report=report,
            progress=_told(report),
        )
        rows += [_renamed(row, settings.seed, f"tiercel evaluate {path}") for row in found]
        write_rows(settings.results, rows)
    return rows


def _renamed(row: Row, seed: int, command: str) -> Row:
    """The row under the area's usual name."""
    metric, query, _, method = row.parts
    return dataclasses.replace(row, name=f"{metric}/{query}/{AREA}/{method}", seeds=(seed,), command=command)


def _told(report: Report, often: int = 20) -> Callable[[int, int], None]:
    """A line for each twentieth of the work."""

    def progress(done: int, total: int) -> None:
        if done * often // total > (done - 1) * often // total:
            report(f"{done} of {total}")

    return progress
