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

from tiercel.evaluation.arms import Arm, Arms
from tiercel.evaluation.evaluate import evaluate
from tiercel.evaluation.protocol import UNSEEN
from tiercel.evaluation.results import Row, machine, write_rows

Report = Callable[[str], None]


class Comparison(Arms):
    """A comparison of arms.

    Attributes:
        protocol: ``objectives``.
        results: File of rows to write.
        seeds: Seeds of the cities to measure on.
        photos: Photos of each kind in each of them.
    """

    protocol: str
    results: Path
    seeds: tuple[int, ...]
    photos: int


def read_comparison(path: Path, content: Any) -> Comparison:  # noqa: ANN401  (whatever a file held)
    """A comparison from the content of its file.

    Raises:
        TiercelError: a setting is missing, unknown or of another kind.
    """
    return Comparison.checked(path, content, "recipes/zoom-objectives.yaml")


def compare(comparison: Comparison, path: Path, work: Path = Path("runs"), report: Report = print) -> list[Row]:
    """Train what is not trained yet, measure all arms, and write the rows.

    Args:
        comparison: What to compare.
        path: Its file, as it is told in the rows.
        work: Checkpoints go into a folder of the file's name in it, training cities beside that, and cities and atlases
            of the evaluation where `evaluate` keeps them.
        report: Told a line now and then.
    """
    rows: list[Row] = []
    for arm in comparison.arms:
        folder = comparison.train(arm, work / path.stem, report)
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
