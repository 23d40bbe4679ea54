"""Tables in Markdown, rendered from rows of results and from nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tiercel.errors import TiercelError
from tiercel.evaluation.protocol import QUERIES
from tiercel.evaluation.reliability import ALL, BINS, RAW
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

BESIDE = {
    "retrieval_short": "Ways to retrieve, answers within 50 m, %",
    "fusion_short": "Retrieval and zooming added up, answers within 50 m, %",
}
"""Tables that `tiercel.evaluation.pages` fills in where their results lie beside; docs/retrieval.md says more."""

HONEST_WORDS = {
    "local": "zooming, picks among siblings below the right parent",
    "greedy": "zooming, greedy: the cell it comes down to",
    "global": "zooming, all leaves: the best cell",
    "global_within_50m": "zooming, all leaves: within 50 m",
    "match": "the full pipeline: the best cell",
    "match_within_50m": "the full pipeline: within 50 m",
}


def render(path: Path, calibration: Path | None = None) -> str:
    """The page ``docs/results.md`` from a file of rows, and one of rows about calibration."""
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
    if calibration is not None:
        parts += render_calibration(calibration)
    for name, words in BESIDE.items():
        if (path.parent / f"{name.removesuffix('_short')}.json").is_file():
            picture = f"![{words}](pictures/{name.removesuffix('_short')}.png)"
            parts += [f"## {words}", "", f"<!-- table {name} -->", "<!-- end -->", "", picture, ""]
    return "\n".join(parts)


def render_calibration(path: Path) -> list[str]:
    """The lines of the part about calibration, from its file of rows."""
    rows = {row.name: row for row in read_rows(path)}
    some = next(row for name, row in rows.items() if name.startswith("coverage_50/"))
    parts = [
        "## Are the probabilities honest?",
        "",
        f"Rendered from `results/{path.name}`; cities of seeds {', '.join(map(str, some.seeds))}. The match's error "
        "inside a cell, a temperature for each level and for the whole tree, and the shares of the regions are fitted "
        "on validation cities alone. *Before* takes the raw scores at their word.",
        "",
    ]
    for method, words in (("match", "the full pipeline"), ("global", "zooming, all leaves against each other")):
        parts += [f"Truths inside the regions of {words}, %:", "", *_coverage_table(rows, method), ""]
    parts += [f"Expected calibration error, percentage points ({BINS} bins of equal mass, all queries):", ""]
    parts += [*_honesty_table(rows), "", "![Reliability and coverage](pictures/reliability.png)", ""]
    return parts


def _coverage_table(rows: dict[str, Row], method: str) -> list[str]:
    head = ["query", "50 % region, before", "50 % region", "90 % region, before", "90 % region"]
    lines = [line(head), line(["---"] + ["---:"] * 4)]
    for name, words in [*((query.name, query.words) for query in QUERIES), (ALL, "all together")]:
        ends = [f"{share}/{name}/unseen/{method}{suffix}" for share in (50, 90) for suffix in (RAW, "")]
        lines.append(line([words, *(cell(rows.get(f"coverage_{end}")) for end in ends)]))
    return lines


def _honesty_table(rows: dict[str, Row]) -> list[str]:
    lines = [line(["what is given a probability", "before", "after"]), line(["---", "---:", "---:"])]
    for method, words in HONEST_WORDS.items():
        names = [f"expected_calibration_error/{ALL}/unseen/{method}{suffix}" for suffix in (RAW, "")]
        if names[1] in rows:
            lines.append(line([words, *(cell(rows.get(name)) for name in names)]))
    return lines


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
    lines = [line(["query", *(METHOD_WORDS[method] for method in methods)]), line(["---"] + ["---:"] * len(methods))]
    for query in QUERIES:
        cells = [cell(rows.get(f"r1_{radius}m/{query.name}/unseen/{method}")) for method in methods]
        lines.append(line([query.words, *cells]))
    return lines


def _error_table(rows: dict[str, Row]) -> list[str]:
    head = [
        "query",
        "within 5 m, %",
        "median error where right, m",
        "median heading error where right, °",
        "seconds a photo",
    ]
    lines = [line(head), line(["---"] + ["---:"] * 4)]
    for query in QUERIES:
        names = [f"{metric}/{query.name}/unseen/match" for metric in ("r1_5m", "position_m", "heading_deg", "seconds")]
        lines.append(line([query.words, *(cell(rows.get(name), digits=2) for name in names)]))
    return lines


def _region_table(rows: dict[str, Row]) -> list[str]:
    head = ["query", "truth inside the 50 % region, %", "inside the 90 % region, %"]
    lines = [line(head), line(["---"] + ["---:"] * 2)]
    for query in QUERIES:
        names = [f"inside_{share}/{query.name}/unseen/match" for share in (50, 90)]
        lines.append(line([query.words, *(cell(rows.get(name)) for name in names)]))
    return lines


def line(cells: Sequence[str]) -> str:
    """One row of a table in Markdown."""
    return "| " + " | ".join(cells) + " |"


def cell(row: Row | None, digits: int = 1) -> str:
    """A number with its interval, if it has one; a dash where there is none."""
    if row is None or row.value is None:
        return "-"
    if row.low is None or row.high is None:
        return f"{row.value:.{digits}f}"
    return f"{row.value:.{digits}f} ({row.low:.{digits}f}-{row.high:.{digits}f})"
