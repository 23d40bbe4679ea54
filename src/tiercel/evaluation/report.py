"""Tables in Markdown, rendered from rows of results and from nothing else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from tiercel.errors import TiercelError
from tiercel.evaluation.protocol import GOAL_M, GOALS, LOCATE_QUERIES
from tiercel.evaluation.reliability import ALL, BINS, RAW
from tiercel.evaluation.results import Row, read_rows
from tiercel.training.card import METRICS

Rows = Mapping[str, Row]

AREAS = {"unseen": "plain cities", "unseen_hard": "hard cities"}
"""Parts of rows' names that say where was measured, with words for them."""

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

STAGES = {"retrieval": "retrieval", "fusion": "with zooming", "match": "all together"}
"""In short, what the pipeline comes to stage by stage."""

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
        f"of 31.25 m, {_asked(rows)}, other days, seasons and cameras than the map's. In brackets: "
        "95 % bootstrap interval over queries. A dash stands where nothing was measured. An answer is *right* within "
        "50 m.",
        "",
    ]
    for area, words in AREAS.items():
        parts += [f"## The full pipeline against its goals, {words}", "", *goals_table(rows, area), ""]
    for area, words in _measured(rows):
        parts += [f"## Methods beside each other, {words}", "", "Answers within 50 m, %:", ""]
        parts += [*methods_table(rows, area), ""]
    for area, words in _measured(rows):
        parts += [f"## Among the first five and ten answers, {words}", "", "At least one within 50 m, %:", ""]
        parts += [*_ranks_table(rows, area), ""]
    for area, words in _measured(rows):
        parts += [
            f"## Metres and degrees, {words}",
            "",
            "The full pipeline; share of answers within so many metres:",
            "",
        ]
        parts += [*_metres_table(rows, area), "", "Medians:", "", *_error_table(rows, area), ""]
    for area, words in _measured(rows):
        parts += [f"## Is the error radius honest, {words}?", "", *_region_table(rows, area), ""]
    if calibration is not None:
        parts += render_calibration(calibration)
    for name, words in BESIDE.items():
        if (path.parent / f"{name.removesuffix('_short')}.json").is_file():
            picture = f"![{words}](pictures/{name.removesuffix('_short')}.png)"
            parts += [f"## {words}", "", f"<!-- table {name} -->", "<!-- end -->", "", picture, ""]
    return "\n".join(parts)


def _measured(rows: Rows) -> list[tuple[str, str]]:
    """The areas that rows are of, with words for them."""
    found = {row.parts[2] for row in rows.values()}
    return [(area, words) for area, words in AREAS.items() if area in found]


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


def _coverage_table(rows: Rows, method: str) -> list[str]:
    head = ["query", "50 % region, before", "50 % region", "90 % region, before", "90 % region"]
    lines = [line(head), line(["---"] + ["---:"] * 4)]
    asked = [query for query in LOCATE_QUERIES if f"coverage_50/{query.name}/unseen/{method}" in rows]
    for name, words in [*((query.name, query.words) for query in asked), (ALL, "all together")]:
        ends = [f"{share}/{name}/unseen/{method}{suffix}" for share in (50, 90) for suffix in (RAW, "")]
        lines.append(line([words, *(cell(rows.get(f"coverage_{end}")) for end in ends)]))
    return lines


def _honesty_table(rows: Rows) -> list[str]:
    lines = [line(["what is given a probability", "before", "after"]), line(["---", "---:", "---:"])]
    for method, words in HONEST_WORDS.items():
        names = [f"expected_calibration_error/{ALL}/unseen/{method}{suffix}" for suffix in (RAW, "")]
        if names[1] in rows:
            lines.append(line([words, *(cell(rows.get(name)) for name in names)]))
    return lines


def _asked(rows: Rows) -> str:
    """How many queries of each kind there were, in the cities of each difficulty."""
    first = {area: next(row for name, row in rows.items() if name.split("/")[2] == area) for area, _ in _measured(rows)}
    return ", ".join(f"{row.n:,} queries of each kind in {AREAS[area]}" for area, row in first.items())


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
    card.write_text("\n".join([before + METRICS, "", "## Accuracy", "", words, "", *methods_table(rows, "unseen"), ""]))


def goals_table(rows: Rows, area: str) -> list[str]:
    """The full pipeline on every kind of query beside what it is to reach."""
    metrics = (("r1_50m", 1), ("position_m", 2), ("heading_deg", 2), ("seconds", 2))
    head = ["query", "answers within 50 m, %", "goal", "median error where right, m", "goal", "heading error, °", "s"]
    lines = [line(head), line(["---"] + ["---:"] * 6)]
    for query in LOCATE_QUERIES:
        right, metres, degrees, seconds = (
            cell(rows.get(f"{metric}/{query.name}/{area}/match"), digits) for metric, digits in metrics
        )
        goal = f"{GOALS[query.name]:.0f}" if query.name in GOALS else "-"
        lines.append(line([query.words, right, goal, metres, f"{GOAL_M:g}", degrees, seconds]))
    return lines


def methods_table(rows: Rows, area: str) -> list[str]:
    """Answers within 50 m: methods below each other, kinds of queries beside each other."""
    lines = [line(["method", *(query.words for query in LOCATE_QUERIES)])]
    lines.append(line(["---"] + ["---:"] * len(LOCATE_QUERIES)))
    for method, words in METHOD_WORDS.items():
        found = [rows.get(f"r1_50m/{query.name}/{area}/{method}") for query in LOCATE_QUERIES]
        if any(found) and method not in LEFT_OUT:
            lines.append(line([words, *(cell(row) for row in found)]))
    return lines


def _ranks_table(rows: Rows, area: str) -> list[str]:
    """The first, five and ten answers of the methods that end the pipeline's stages."""
    ranks, methods = (1, 5, 10), ("retrieval", "fusion", "match")
    head = ["query", *(f"{STAGES[method]}, {_first(rank)}" for method in methods for rank in ranks)]
    lines = [line(head), line(["---"] + ["---:"] * (len(head) - 1))]
    for query in LOCATE_QUERIES:
        names = [f"r{rank}_50m/{query.name}/{area}/{method}" for method in methods for rank in ranks]
        lines.append(line([query.words, *(plain(rows.get(name)) for name in names)]))
    return lines


def _first(rank: int) -> str:
    return "first" if rank == 1 else f"first {rank}"


def _metres_table(rows: Rows, area: str) -> list[str]:
    return _table(rows, area, {f"r1_{radius}m": f"within {radius} m, %" for radius in (5, 40, 50, 100)})


def _error_table(rows: Rows, area: str) -> list[str]:
    medians = {
        "median_m": "error of all answers, m", "position_m": "error where right, m",
        "heading_deg": "heading error where right, °", "seconds": "seconds a query",
    }  # fmt: skip
    return _table(rows, area, medians, digits=2)


def _region_table(rows: Rows, area: str) -> list[str]:
    return _table(
        rows, area, {"inside_50": "truth inside the 50 % region, %", "inside_90": "inside the 90 % region, %"}
    )


def _table(rows: Rows, area: str, metrics: Mapping[str, str], digits: int = 1) -> list[str]:
    """The full pipeline: kinds of queries by metrics, which come with words for them."""
    lines = [line(["query", *metrics.values()]), line(["---"] + ["---:"] * len(metrics))]
    for query in LOCATE_QUERIES:
        names = [f"{metric}/{query.name}/{area}/match" for metric in metrics]
        lines.append(line([query.words, *(cell(rows.get(name), digits) for name in names)]))
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


def plain(row: Row | None, digits: int = 1) -> str:
    """A number without its interval, for tables that have no room for it; a dash where there is none."""
    return "-" if row is None or row.value is None else f"{row.value:.{digits}f}"
