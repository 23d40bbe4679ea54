"""``python -m tiercel.evaluation.pages PAGE RESULTS``: tables rendered into a page from files of results.

A page says where a table stands by a pair of lines, and nothing between them is written by hand::

    <!-- table zoom_training -->
    <!-- end -->
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from tiercel.errors import TiercelError
from tiercel.evaluation.protocol import ALL_QUERIES, QUERIES
from tiercel.evaluation.reliability import ALL
from tiercel.evaluation.report import METHOD_WORDS, cell, line
from tiercel.evaluation.results import Row, read_rows

Rows = Mapping[str, Row]
_PLACE = re.compile(r"(<!-- table (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)


def fill(page: Path, results: Path) -> None:
    """Render the tables of a page anew.

    Args:
        page: A Markdown file.
        results: Folder of the files of rows; the table ``name`` is rendered from ``name.json``.

    Raises:
        TiercelError: the page asks for a table that does not exist, or a file of rows is missing.
    """

    def rendered(place: re.Match[str]) -> str:
        name = place[2]
        if name not in TABLES:
            raise TiercelError(f"{page} asks for a table '{name}': there are {', '.join(TABLES)}.")
        rows = {row.name: row for row in read_rows(results / f"{name}.json")}
        return place[1] + "\n" + "\n".join(TABLES[name](rows)) + "\n\n" + place[3]

    page.write_text(_PLACE.sub(rendered, page.read_text(encoding="utf-8")), encoding="utf-8")


def _training(rows: Rows) -> list[str]:
    """Arms of a comparison by search, one table a kind of query."""
    arms = list(dict.fromkeys(row.parts[3].partition("@")[2] for row in rows.values() if "@" in row.name))
    lines: list[str] = []
    for query in QUERIES:
        chance = cell(rows.get(f"r1_50m/{query.name}/unseen/chance"))
        lines += [f"Answers within 50 m, %: {query.words} (chance {chance})", ""]
        methods = ("greedy", "beam16", "best_first", "bottom_up", "global", "retrieval")
        lines += [line(["arm", *(METHOD_WORDS[method] for method in methods)]), line(["---"] + ["---:"] * len(methods))]
        for arm in arms:
            cells = [cell(rows.get(f"r1_50m/{query.name}/unseen/{method}@{arm}")) for method in methods]
            lines.append(line([f"`{arm}`", *cells]))
        lines.append("")
    minutes = [f"`{arm}` {cell(rows.get(f'training_minutes/all/unseen/training@{arm}'), 0)}" for arm in arms]
    return [*lines, f"Minutes of training: {', '.join(minutes)}. {_source(rows)}"]


SPEED_WORDS = {
    "query_over_encoding": "whole query over encoding the photo",
    "speedup_over_published_loop": "queries a second against the published loop, same picks",
    "squares_scored": "squares scored in a query",
    "seconds": "seconds a photo",
    "encodings_saved": "squares asked for, for one that is encoded, in training",
    "training_speedup": "photos trained on a second, against encoding every square of every photo",
    "training_photos_a_second": "photos trained on a second",
    "greedy": "greedy",
    "best_first": "exact best-first",
    "best_first_unsure": "exact best-first, picks no better than a guess",
    "global": "all leaves against each other",
    "published_loop": "the published loop",
    "encoding": "encoding alone",
    "random": "photos drawn at random",
    "places_of_4": "photos drawn four from a place",
}


def _speed(rows: Rows) -> list[str]:
    """What was timed, row by row, for each network."""
    networks = list(dict.fromkeys(row.parts[3] for row in rows.values()))
    lines = [line(["what", *(f"`{network}`" for network in networks)]), line(["---"] + ["---:"] * len(networks))]
    for timed in dict.fromkeys(row.name.rpartition("/")[0] for row in rows.values()):
        metric, what, _ = timed.split("/")
        words = f"{SPEED_WORDS.get(metric, metric)}: {SPEED_WORDS.get(what, what)}"
        found = [rows.get(f"{timed}/{network}") for network in networks]
        digits = 3 if metric == "seconds" else 0 if metric in ("squares_scored", "training_photos_a_second") else 2
        lines.append(line([words, *(cell(row, digits) for row in found)]))
    return [*lines, "", _source(rows)]


def _metropolis(rows: Rows) -> list[str]:
    """Methods by metric, one table a kind of query."""
    metrics = ("r1_40m", "r1_50m", "r1_100m", "r1_strict", "median_m")
    words = ("within 40 m, %", "within 50 m, %", "within 100 m, %", "strict R@1, %", "median error, m")
    lines: list[str] = []
    for query in QUERIES:
        methods = dict.fromkeys(row.parts[3] for row in rows.values() if row.parts[1] == query.name)
        if not methods:
            continue
        some = next(row for row in rows.values() if row.parts[1] == query.name and row.n)
        lines += [f"{query.words}, {some.n} queries", "", line(["method", *words]), line(["---"] + ["---:"] * 5)]
        for method in methods:
            digits = 3 if method == "chance" else 1
            cells = [cell(rows.get(f"{metric}/{query.name}/metropolis/{method}"), digits) for metric in metrics]
            lines.append(line([METHOD_WORDS.get(method, method), *cells]))
        lines.append("")
    return [*lines, _source(rows)]


RETRIEVAL_WORDS = {
    "chance": "chance",
    "retrieval@random": "one vector a cell: random batches",
    "retrieval@gps": "one vector a cell: geographic neighbours",
    "retrieval@both": "one vector a cell: geographic, then similar neighbours",
    "retrieval@both+overlapping": "the same, cells overlap by half",
    "retrieval@both+scales": "the same, two scales",
    "retrieval@both+both": "the same, two scales and overlap",
    "retrieval": "polar matching",
    "candidates": "the geometric match around its candidates",
    "match_map": "the geometric match of the whole map",
    "match": "the full pipeline",
}


def _retrieval(rows: Rows) -> list[str]:
    """Methods by metric, one table a kind of query."""
    metrics = ("r1", "r5", "r10", "r1pct", *(f"r1_{radius}m" for radius in (1, 5, 10, 25, 40, 50, 100)))
    heads = ("R@1", "R@5", "R@10", "R@1%", *(f"< {radius} m" for radius in (1, 5, 10, 25, 40, 50, 100)))
    errors = ("median, m", "where right, m", "heading, °", "seconds")
    lines: list[str] = []
    for query in dict.fromkeys(row.parts[1] for row in rows.values() if row.parts[1] != "all"):
        words = next((one.words for one in ALL_QUERIES if one.name == query), query)
        lines += [f"{words}; recall in %", ""]
        lines += [line(["method", "n", *heads, *errors]), line(["---"] + ["---:"] * (1 + len(heads) + len(errors)))]
        for method, name in RETRIEVAL_WORDS.items():
            if f"r1_50m/{query}/unseen/{method}" not in rows:
                continue
            count = str(rows[f"r1_50m/{query}/unseen/{method}"].n)
            cells = [_plain(rows.get(f"{metric}/{query}/unseen/{method}"), 1) for metric in metrics]
            cells[heads.index("< 50 m")] = cell(rows.get(f"r1_50m/{query}/unseen/{method}"))
            ends = zip(("median_m", "position_m", "heading_deg", "seconds"), (1, 1, 1, 3), strict=True)
            cells += [_plain(rows.get(f"{metric}/{query}/unseen/{method}"), digits) for metric, digits in ends]
            lines.append(line([name, count, *cells]))
        lines.append("")
    return [*lines, _source(rows)]


def _plain(row: Row | None, digits: int) -> str:
    """A number without its interval, for tables that have no room for it."""
    return "-" if row is None or row.value is None else f"{row.value:.{digits}f}"


def _fusion(rows: Rows) -> list[str]:
    """Two policies and their sum, pair by pair."""
    pairs = list(dict.fromkeys(row.parts[3].partition("@")[2] for row in rows.values() if "@" in row.name))
    heads = ("query", "first alone", "second alone", "their sum", "gain over the better, points", "either is right")
    lines: list[str] = []
    for pair in pairs:
        weight = rows[f"weight/all/validation/fusion@{pair}"]
        alone = [
            name for name in ("retrieval", "retrieval_2", "global") if f"median_m/panorama/unseen/{name}@{pair}" in rows
        ]
        lines += [f"`{pair}`, weight {weight.value:g}; R@1 < 50 m, %", "", line(heads), line(["---"] + ["---:"] * 5)]
        for query, words in [*((query.name, query.words) for query in QUERIES), (ALL, "all together")]:
            cells = [cell(rows.get(f"r1_50m/{query}/unseen/{name}@{pair}")) for name in (*alone, "fusion")]
            gain = cell(rows.get(f"gain_50m/{query}/unseen/fusion@{pair}"))
            either = cell(rows.get(f"r1_50m/{query}/unseen/either@{pair}"))
            lines.append(line([words, *cells, gain, either]))
        lines.append("")
    return [*lines, _source({name: row for name, row in rows.items() if row.parts[2] == "unseen"})]


INDEX_WORDS = {
    "tiercel_exact": "tiercel, exact",
    "tiercel_index": "tiercel, its index",
    "faiss_flat": "faiss, flat",
    "faiss_hnsw": "faiss, HNSW",
}


def _source(rows: Rows) -> str:
    some = next(iter(rows.values()))
    seeds = f", seeds {', '.join(map(str, some.seeds))}" if some.seeds else ""
    return f"Measured by `{some.command}` on {some.machine}{seeds}. In brackets: 95 % bootstrap interval over queries."


TABLES: dict[str, Callable[[Rows], list[str]]] = {
    "zoom_training": _training,
    "zoom_speed": _speed,
    "metropolis": _metropolis,
    "retrieval": _retrieval,
    "fusion": _fusion,
}


def main(arguments: Sequence[str]) -> None:
    """Fill a page."""
    page, results = arguments
    fill(Path(page), Path(results))


if __name__ == "__main__":
    main(sys.argv[1:])
