"""``python -m tiercel.evaluation.pages PAGE RESULTS``: tables rendered into a page from files of results.

A page says where a table stands by a pair of lines, and nothing between them is written by hand::

    <!-- table zoom_training -->
    <!-- end -->
"""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from tiercel.errors import TiercelError
from tiercel.evaluation.protocol import ALL_QUERIES, QUERIES
from tiercel.evaluation.reliability import ALL
from tiercel.evaluation.report import METHOD_WORDS, cell, goals_table, line, methods_table, plain
from tiercel.evaluation.reranking.tables import arms_table, budgets_table, controls_table, kinds_table
from tiercel.evaluation.results import Row, read_rows

Rows = Mapping[str, Row]
_PLACE = re.compile(r"(<!-- table (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)


def fill(page: Path, results: Path) -> None:
    """Render the tables of a page anew.

    Args:
        page: A Markdown file.
        results: Folder of the files of rows; the table ``name`` comes from ``name.json``, or from what `FILES` says.

    Raises:
        TiercelError: the page asks for a table that does not exist, or a file of rows is missing.
    """

    def rendered(place: re.Match[str]) -> str:
        name = place[2]
        if name not in TABLES:
            raise TiercelError(f"{page} asks for a table '{name}': there are {', '.join(TABLES)}.")
        rows = {row.name: row for row in read_rows(results / f"{FILES.get(name, name)}.json")}
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
            cells = [plain(rows.get(f"{metric}/{query}/unseen/{method}"), 1) for metric in metrics]
            cells[heads.index("< 50 m")] = cell(rows.get(f"r1_50m/{query}/unseen/{method}"))
            ends = zip(("median_m", "position_m", "heading_deg", "seconds"), (1, 1, 1, 3), strict=True)
            cells += [plain(rows.get(f"{metric}/{query}/unseen/{method}"), digits) for metric, digits in ends]
            lines.append(line([name, count, *cells]))
        lines.append("")
    return [*lines, _source(rows)]


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


def _retrieval_short(rows: Rows) -> list[str]:
    """Answers within 50 m: methods by queries."""
    queries = [query for query in ALL_QUERIES if f"r1_50m/{query.name}/unseen/chance" in rows]
    lines = [line(["method", *(query.words for query in queries)]), line(["---"] + ["---:"] * len(queries))]
    for method, words in RETRIEVAL_WORDS.items():
        found = [rows.get(f"r1_50m/{query.name}/unseen/{method}") for query in queries]
        if any(found):
            lines.append(line([words, *(cell(row) for row in found)]))
    return [*lines, "", _source(rows)]


def _fusion_short(rows: Rows) -> list[str]:
    """What a sum gains over the better of its parts, all queries together."""
    lines = [line(["pair", "first alone", "second alone", "their sum", "gain, points"]), line(["---"] + ["---:"] * 4)]
    for pair in dict.fromkeys(row.parts[3].partition("@")[2] for row in rows.values() if "@" in row.name):
        names = [f"r1_50m/{ALL}/unseen/{name}@{pair}" for name in ("retrieval", "retrieval_2", "global", "fusion")]
        cells = [cell(rows[name]) for name in names if name in rows]
        lines.append(line([f"`{pair}`", *cells, cell(rows.get(f"gain_50m/{ALL}/unseen/fusion@{pair}"))]))
    return [*lines, "", _source({name: row for name, row in rows.items() if row.parts[2] == "unseen"})]


INDEX_METRICS = {
    "build_s/all": ("time to build, s", 1.0),
    "latency_ms/one": ("one query, ms", 1.0),
    "latency_ms/one_one_core": ("one query on one core, ms", 1.0),
    "latency_ms/batch_100": ("100 queries at once, ms", 1.0),
    "recall_at_10/one": ("recall at 10, %", 1.0),
    "memory_mb/all": ("memory to search, GB", 1e-3),
    "build_memory_mb/all": ("memory to build, GB", 1e-3),
    "disk_mb/all": ("disk, GB", 1e-3),
}


def _index(rows: Rows) -> list[str]:
    """A table a measure: indexes by sizes, and how each grows."""
    areas = list(dict.fromkeys(row.parts[2] for row in rows.values() if not row.name.startswith("growth_")))
    areas.sort(key=lambda area: (area.startswith("isotropic"), int(area.rpartition("_")[2])))
    heads = [f"{int(area.rpartition('_')[2]):,}{' isotropic' if area.startswith('iso') else ''}" for area in areas]
    whole = max((row.parts[2] for row in rows.values() if row.name.startswith("growth_")), key=_span, default="")
    lines: list[str] = []
    for metric, (words, scale) in INDEX_METRICS.items():
        lines += [line([words, *heads, "grows as cells to the power"]), line(["---"] + ["---:"] * (len(areas) + 1))]
        what, query = metric.split("/")
        for index, name in INDEX_WORDS.items():
            found = [rows.get(f"{metric}/{area}/{index}") for area in areas]
            growth = rows.get(f"growth_{what}/{query}/{whole}/{index}")
            cells = [_significant(row, scale) for row in found]
            lines.append(line([name, *cells, plain(growth, 2)]))
        lines.append("")
    return [*lines, _source(rows).partition(" In brackets")[0]]


def _span(area: str) -> float:
    """How many times as many cells the last size of a growth has."""
    first, _, last = area.removeprefix("cells_").partition("_to_")
    return int(last) / int(first)


def _significant(row: Row | None, scale: float) -> str:
    """Three digits of a number, whatever its size."""
    if row is None or row.value is None:
        return "-"
    value = row.value * scale
    return f"{value:,.0f}" if value >= 1000 else f"{value:.{max(0, 2 - math.floor(math.log10(max(value, 1e-3))))}f}"


def _metrics_speed(rows: Rows) -> list[str]:
    """Kinds of embeddings by what it took."""
    kinds = list(dict.fromkeys(row.parts[1] for row in rows.values()))
    area = next(iter(rows.values())).parts[2]
    loop = next(row.parts[3] for row in rows.values() if row.parts[3].startswith("loop"))
    heads = ("embeddings", "the usual evaluation, s", "of that its products, s", "tiercel, s", "times as fast")
    ends = ("tiercel's extra memory, GB", "the matrix, GB", "R@1, %", "ranks that differ")
    lines = [line([*heads, *ends]), line(["---"] + ["---:"] * (len(heads) + len(ends) - 1))]
    for kind in kinds:
        speedup = next(row for row in rows.values() if row.name.startswith(f"speedup_over_loop/{kind}/"))
        differing = next(row for row in rows.values() if row.name.startswith(f"different_ranks/{kind}/"))
        seconds = [f"seconds/{kind}/{area}/{loop}", f"seconds_of_products/{kind}/{area}/{loop}"]
        cells = [*(plain(rows.get(name), 1) for name in seconds), cell(rows.get(f"seconds/{kind}/{area}/tiercel"), 2)]
        memory = [plain(rows.get(f"extra_memory_gb/{kind}/{area}/{one}"), 2) for one in ("tiercel", loop)]
        recall = plain(rows.get(f"r1/{kind}/{area}/tiercel"), 1)
        lines.append(line([kind, *cells, cell(speedup), *memory, recall, f"{differing.value:.0f} of {differing.n:,}"]))
    some = next(iter(rows.values()))
    brackets = "In brackets: the fastest and the slowest of three times."
    return [*lines, "", f"Measured by `{some.command}` on {some.machine}, seed {some.seeds[0]}. {brackets}"]


def _together(rows: Rows) -> list[str]:
    """Sets of photos by what is known of their headings."""
    from tiercel.evaluation.together import KNOWN, SETS

    known = dict(zip(KNOWN, ("headings unknown", "the turns between them known", "north known"), strict=True))
    metrics = (("r1_5m", 1), ("r1_50m", 1), ("median_m", 1), ("inside_90", 1))
    words = ("within 5 m, %", "within 50 m, %", "median, m", "truth inside the 90 % region, %")
    lines = [line(["photos of 90 degrees", "known", *words]), line(["---", "---"] + ["---:"] * len(words))]
    for one in SETS:
        for suffix, told in known.items():
            found = [rows.get(f"{metric}/{one.name}{suffix}/unseen/match") for metric, _ in metrics]
            if any(found):
                cells = [cell(row, digits) for row, (_, digits) in zip(found, metrics, strict=True)]
                lines.append(line([one.words, told, *cells]))
    return [*lines, "", _source(rows)]


REAL_WORDS = {"retrieval": "polar matching", "match": "geometric match", "both": "both, pose by pose"}


def _real(rows: Rows) -> list[str]:
    """Real photos among ten places: models and methods by the size of the views."""
    areas = list(dict.fromkeys(row.parts[2] for row in rows.values()))
    models = list(dict.fromkeys(row.parts[3].partition("@")[2] for row in rows.values() if "@" in row.name))
    heads = [f"{words}, {area.rpartition('_')[2]}" for area in areas for words in ("R@1, %", "mean rank", "p")]
    lines = [line(["model", "method", *heads]), line(["---", "---"] + ["---:"] * len(heads))]
    guess = [cell(rows.get(f"{what}/photo/{area}/chance")) for area in areas for what in ("r1", "mean_rank")]
    guess = [part for index in range(0, len(guess), 2) for part in (*guess[index : index + 2], "")]
    lines.append(line(["chance", "", *guess]))
    for model in models:
        for method, words in REAL_WORDS.items():
            cells: list[str] = []
            for area in areas:
                first, mean = (rows.get(f"{what}/photo/{area}/{method}@{model}") for what in ("r1", "mean_rank"))
                p = None if mean is None else mean.extra.get("p")
                cells += [cell(first), cell(mean), "-" if p is None else f"{p:.2f}"]
            lines.append(line([f"`{model}`", words, *cells]))
    commands = dict.fromkeys(row.command for row in rows.values() if "@" in row.name)
    some = next(iter(rows.values()))
    brackets = "In brackets: for chance what 95 % of guesses come to; else the exact 95 % interval of R@1, and the "
    brackets += (
        "bootstrap interval over photos of the mean rank. p: how often places shuffled among the photos do as well."
    )
    return [*lines, "", f"Measured by {', '.join(f'`{one}`' for one in commands)} on {some.machine}. {brackets}"]


ERROR_QUERIES = ("panorama", "photo_90", "photo_90_north")


def _errors(rows: Rows) -> list[str]:
    """Wrong answers by cause and kind of query."""
    from tiercel.evaluation.causes import CAUSES

    queries = {query.name: query.words for query in ALL_QUERIES if query.name in ERROR_QUERIES}
    lines = [line(["cause", *queries.values(), "all"]), line(["---"] + ["---:"] * (len(queries) + 1))]
    some = next(iter(rows.values()))
    area = some.parts[2]
    for cause, words in CAUSES.items():
        found = [rows.get(f"wrong/{query}/{area}/{cause}") for query in (*queries, ALL)]
        lines.append(line([words, *("-" if row is None or row.value is None else f"{row.value:.0f}" for row in found)]))
    counts = [rows.get(f"wrong/{query}/{area}/any") for query in (*queries, ALL)]
    lines.append(line(["together", *("-" if row is None else f"{row.value:.0f} of {row.n} asked" for row in counts)]))
    seeds = ", ".join(map(str, some.seeds))
    return [*lines, "", f"Counted by `{some.command}` on {some.machine}, seeds {seeds}."]


def _pairs(rows: Rows) -> list[str]:
    """Data sets of pairs, as `tiercel evaluate` shows them."""
    from tiercel.evaluation.pairs import render_pairs

    commands = dict.fromkeys(row.command for row in rows.values())
    told = [f"Measured on {next(iter(rows.values())).machine} by {', '.join(f'`{one}`' for one in commands)}."]
    return [*render_pairs(list(rows.values())).split("\n"), *told]


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
    "retrieval_short": _retrieval_short,
    "fusion_short": _fusion_short,
    "index": _index,
    "metrics_speed": _metrics_speed,
    "together": _together,
    "pairs": _pairs,
    "real": _real,
    "errors": _errors,
    "rerank": arms_table,
    "rerank_controls": controls_table,
    "rerank_kinds": kinds_table,
    "rerank_budgets": budgets_table,
    "locate": lambda rows: [*goals_table(rows, "unseen"), "", _source(rows)],
    "locate_hard": lambda rows: [*goals_table(rows, "unseen_hard"), "", _source(rows)],
    "locate_methods": lambda rows: [*methods_table(rows, "unseen"), "", _source(rows)],
}

FILES = {
    "locate_hard": "locate", "locate_methods": "locate",
    "retrieval_short": "retrieval", "fusion_short": "fusion", "rerank_controls": "rerank", "rerank_kinds": "rerank",
    "rerank_budgets": "rerank",
}  # fmt: skip
"""Tables that are another view of the rows of another."""


def main(arguments: Sequence[str]) -> None:
    """Fill a page."""
    page, results = arguments
    fill(Path(page), Path(results))


if __name__ == "__main__":
    main(sys.argv[1:])
