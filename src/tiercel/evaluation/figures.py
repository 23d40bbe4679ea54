"""``python -m tiercel.evaluation.figures RESULTS PICTURES``: the figures of docs/retrieval.md, from rows of results."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from PIL import Image

from tiercel.evaluation.charts import HUES, Axis, Curve, Panel, draw
from tiercel.evaluation.pages import INDEX_WORDS, RETRIEVAL_WORDS
from tiercel.evaluation.protocol import QUERIES
from tiercel.evaluation.results import Row, read_rows
from tiercel.evaluation.retrieval import RADII_M

Rows = Mapping[str, Row]

CELLS = (1e4, 1e5, 1e6, 5e6)


def draw_radii(rows: Rows, methods: Sequence[str]) -> Image.Image:
    """How many answers lie within a radius, one panel a kind of query.

    Args:
        rows: Of ``results/retrieval.json``.
        methods: Which to draw.
    """
    across = Axis("metres from the answer to the camera", RADII_M, log=True)
    panels = []
    for query in QUERIES:
        curves = []
        for method, colour in zip(methods, HUES, strict=False):
            found = [(radius, rows.get(f"r1_{radius}m/{query.name}/unseen/{method}")) for radius in RADII_M]
            curves.append(_curve(RETRIEVAL_WORDS.get(method, method), colour, found))
        panels.append(Panel(query.words, across, Axis("answers within, %"), tuple(c for c in curves if c.points)))
    return draw(panels)


def draw_weights(rows: Rows) -> Image.Image:
    """Recall on validation cities against the weight of the second policy, a curve for each pair."""
    pairs = list(dict.fromkeys(row.parts[3].partition("@")[2] for row in rows.values() if "/validation/" in row.name))
    curves = []
    for pair, colour in zip(pairs, HUES, strict=False):
        tried = [
            row for row in rows.values() if row.name.startswith("r1_50m/weight_") and row.name.endswith(f"@{pair}")
        ]
        points = [(float(row.parts[1].removeprefix("weight_")), row) for row in tried]
        curves.append(_curve(pair, colour, points))
    across = Axis("weight of the second policy", (0.0, 0.5, 1.0, 1.5, 2.0, 2.5, 3.0))
    return draw(
        [Panel("Fitting the weight of a sum", across, Axis("R@1 < 50 m on validation cities, %"), tuple(curves))]
    )


def draw_growth(rows: Rows) -> Image.Image:
    """Time to build, time of a query, memory and disk against the number of cells, a curve for each index."""
    panels = []
    for title, metric, query, up in (
        ("Latency of one query", "latency_ms", "one", Axis("milliseconds", (0.01, 0.1, 1, 10, 100, 1000), log=True)),
        ("Time to build", "build_s", "all", Axis("seconds", (0.01, 0.1, 1, 10, 100, 1000, 10_000), log=True)),
        ("Memory to search", "memory_mb", "all", Axis("MB", (10, 100, 1000, 10_000), log=True)),
        ("Disk", "disk_mb", "all", Axis("MB", (1, 10, 100, 1000, 10_000), log=True)),
    ):
        curves = []
        for (index, words), colour in zip(INDEX_WORDS.items(), HUES, strict=False):
            found = [(cells, rows.get(f"{metric}/{query}/cells_{cells:.0f}/{index}")) for cells in CELLS]
            curves.append(_curve(words, colour, found))
        panels.append(
            Panel(title, Axis("cells", CELLS, log=True), up, tuple(curve for curve in curves if curve.points))
        )
    return draw(panels)


def _curve(words: str, colour: tuple[int, int, int], found: Sequence[tuple[float, Row | None]]) -> Curve:
    known = [(at, row, row.value) for at, row in found if row is not None and row.value is not None]
    spans = [(row.low, row.high) for _, row, _ in known if row.low is not None and row.high is not None]
    return Curve(words, colour, tuple((at, value) for at, _, value in known), tuple(spans))


def _read(path: Path) -> Rows:
    return {row.name: row for row in read_rows(path)}


DRAWN = ("retrieval@both", "retrieval@both+both", "retrieval", "candidates", "match_map", "match")
"""Methods in the figure of radii."""


def main(arguments: Sequence[str]) -> None:
    """Draw all figures."""
    results, pictures = map(Path, arguments)
    draw_radii(_read(results / "retrieval.json"), DRAWN).save(pictures / "retrieval.png")
    draw_weights(_read(results / "fusion.json")).save(pictures / "fusion.png")
    draw_growth(_read(results / "index.json")).save(pictures / "index.png")


if __name__ == "__main__":
    main(sys.argv[1:])
