"""Tables in Markdown, rendered from rows of results and from nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tiercel.errors import TiercelError
from tiercel.evaluation.protocol import QUERIES
from tiercel.evaluation.results import Row, read_rows
from tiercel.training.card import METRICS

METHOD_WORDS = {
    "chance": "chance",
    "greedy": "zooming, greedy (the published search)",
    "beam4": "zooming, beam of 4",
    "beam16": "zooming, beam of 16",
    "best_first": "zooming, exact best-first",
    "bottom_up": "zooming, greedy among what leaves hold together",
    "global": "zooming, all leaves against each other",
    "retrieval": "retrieval",
    "fusion": "retrieval and zooming",
    "sweep": "geometric match of the likeliest poses",
    "match": "the full pipeline: all together",
}

LEFT_OUT = ("beam4", "beam16", "bottom_up")
"""Methods that the tables of this page have no room for; docs/zooming.md has them."""


def render(path: Path) -> str:
    """The page ``docs/results.md`` from a file of rows."""
    rows = {row.name: row for row in read_rows(path)}
    some = next(iter(rows.values()))
    parts = [
        "# Results",
        "",
        "This page is rendered from `results/locate.json` by `make results`; do not edit it.",
        "",
        f"Measured by `{some.command}` on {some.machine}. Simulated cities of seeds "
        f"{', '.join(map(str, some.seeds))}, which neither trained nor fitted anything: 2 km square, 4,096 leaf cells "
        f"of 31.25 m, {some.n} queries of each kind, other days, seasons and cameras than the map's. In brackets: "
        "95 % bootstrap interval over queries.",
        "",
    ]
    for radius in (50, 40, 100):
        parts += [f"## Answers within {radius} m, %", "", *_recall_table(rows, radius), ""]
    parts += ["## Metres, degrees, seconds", "", *_error_table(rows), ""]
    parts += ["## Is the error radius honest?", "", *_region_table(rows), ""]
    return "\n".join(parts)


def write_into_card(card: Path, results: Path) -> None:
    """Put the table of answers within 50 m into a model card, in place of what stood there.

    Args:
        card: The card, with the mark that `tiercel.training.card.METRICS` is.
        results: The rows.

    Raises:
        TiercelError: the card is missing or has no such mark.
    """
    text = card.read_text() if card.is_file() else ""
    before, mark, _ = text.partition(METRICS)
    if not mark:
        raise TiercelError(f"{card} is no model card with a line '{METRICS}': train the model again, or add the line.")
    rows = {row.name: row for row in read_rows(results)}
    some = next(iter(rows.values()))
    words = f"Answers within 50 m, %, on {some.n} queries of each kind (`{some.command}`, {some.machine}):"
    card.write_text("\n".join([before + METRICS, "", "## Accuracy", "", words, "", *_recall_table(rows, 50), ""]))


def _recall_table(rows: dict[str, Row], radius: int) -> list[str]:
    methods = [m for m in METHOD_WORDS if m not in LEFT_OUT and f"r1_{radius}m/{QUERIES[0].name}/unseen/{m}" in rows]
    lines = [_line(["query", *(METHOD_WORDS[method] for method in methods)]), _line(["---"] + ["---:"] * len(methods))]
    for query in QUERIES:
        cells = [_cell(rows.get(f"r1_{radius}m/{query.name}/unseen/{method}")) for method in methods]
        lines.append(_line([query.words, *cells]))
    return lines


def _error_table(rows: dict[str, Row]) -> list[str]:
    head = [
        "query",
        "within 5 m, %",
        "median error where right, m",
        "median heading error where right, °",
        "seconds a photo",
    ]
    lines = [_line(head), _line(["---"] + ["---:"] * 4)]
    for query in QUERIES:
        names = [f"{metric}/{query.name}/unseen/match" for metric in ("r1_5m", "position_m", "heading_deg", "seconds")]
        lines.append(_line([query.words, *(_cell(rows.get(name), digits=2) for name in names)]))
    return lines


def _region_table(rows: dict[str, Row]) -> list[str]:
    head = ["query", "truth inside the 50 % region, %", "inside the 90 % region, %"]
    lines = [_line(head), _line(["---"] + ["---:"] * 2)]
    for query in QUERIES:
        names = [f"inside_{share}/{query.name}/unseen/match" for share in (50, 90)]
        lines.append(_line([query.words, *(_cell(rows.get(name)) for name in names)]))
    return lines


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _cell(row: Row | None, digits: int = 1) -> str:
    if row is None or row.value is None:
        return "-"
    if row.low is None or row.high is None:
        return f"{row.value:.{digits}f}"
    return f"{row.value:.{digits}f} ({row.low:.{digits}f}-{row.high:.{digits}f})"
