"""``python -m tiercel.evaluation.quick FOLDER FILE``: a model that was trained quickly beside the bundled one.

Both are asked the same panoramas of an unseen city. Whoever trains from nothing sees soon whether
the recipe works on their machine.
"""

from __future__ import annotations

import argparse
import dataclasses
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from tiercel.evaluation.evaluate import evaluate
from tiercel.evaluation.protocol import QUERIES, UNSEEN
from tiercel.evaluation.results import Row, write_rows

ASKED = dataclasses.replace(
    UNSEEN, name="quick", seeds=(0,), photos=100, queries=tuple(query for query in QUERIES if query.kind == "panorama")
)
WITHIN = 15.0
"""How many points behind the bundled model a quick one may be."""


def measure_quick(folder: Path, *, work: Path = Path("runs/evaluation"), jobs: int = 1) -> list[Row]:
    """Measure a quickly trained model and the bundled one.

    Args:
        folder: The model.
        work: Where the city and the atlases are kept.
        jobs: Cities measured at once.

    Returns:
        The rows of both, their names behind the method's: ``@quick`` and ``@bundled``.
    """
    command = f"python -m tiercel.evaluation.quick {folder} results/quick.json"
    rows: list[Row] = []
    for name, model in (("quick", folder), ("bundled", "bundled")):
        for row in evaluate(model, protocol=ASKED, out=None, work=work, jobs=jobs):
            rows.append(dataclasses.replace(row, name=f"{row.name}@{name}", command=command))
    return rows


def behind(rows: Sequence[Row]) -> Iterator[tuple[str, float, float]]:
    """For each kind of query its words, and the answers of the full pipeline within 50 m, quick and bundled, %."""
    found = {row.name: row.value for row in rows}
    for query in ASKED.queries:
        quick, bundled = (found[f"r1_50m/{query.name}/unseen/match@{name}"] for name in ("quick", "bundled"))
        yield query.words, float(quick or 0.0), float(bundled or 0.0)


def main(arguments: Sequence[str]) -> int:
    """Measure, write the rows, and say how far behind the quick model is; 1 if that is too far."""
    parser = argparse.ArgumentParser(description="Measure a quickly trained model beside the bundled one.")
    parser.add_argument("folder", type=Path, help="the model")
    parser.add_argument("out", type=Path, help="file of result rows to write")
    parser.add_argument("--jobs", type=int, default=1, help="cities measured at once")
    given = parser.parse_args(arguments)
    rows = measure_quick(given.folder, jobs=given.jobs)
    write_rows(given.out, rows)
    compared = list(behind(rows))
    for words, quick, bundled in compared:
        print(f"{words}: {quick:.1f} % within 50 m, the bundled model {bundled:.1f} %")
    return int(any(bundled - quick > WITHIN for _, quick, bundled in compared))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
