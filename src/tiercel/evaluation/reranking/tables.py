"""Tables and the figure of docs/reranking.md, from rows of the study."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from PIL import Image

from tiercel.evaluation.charts import HUES, Axis, Curve, Panel, draw
from tiercel.evaluation.protocol import ALL_QUERIES
from tiercel.evaluation.report import cell, line
from tiercel.evaluation.results import Row

Rows = Mapping[str, Row]

CONTROLS = {
    "always_first": "always the first",
    "always_second": "always the second",
    "random": "a coin",
    "stage": "the first stage's own scores",
    "oracle": "one who knows",
}
ARMS = {
    "match": "the geometric match",
    "pointwise_yes_no": "pointwise: yes or no",
    "pointwise_likert": "pointwise: five steps",
    "pointwise_score": "pointwise: score",
    "pointwise_reasoning_score": "pointwise: reasons and score",
    "pointwise_reasoning_then_yes_no": "pointwise: reasons, then yes or no",
    "pointwise_reasoning_then_score": "pointwise: reasons, then score",
    "listwise": "listwise",
    "pairwise_direct": "pairwise",
    "pairwise_reasoning": "pairwise: reasons first",
}
BUDGETED = ("pairwise_direct", "pointwise_yes_no", "pointwise_likert")
"""Arms that are compared at several training budgets."""
BEST_PAIRS, POINTS = "all_pairs-both-bradley_terry", "scores"


def arms_table(rows: Rows) -> list[str]:
    """Every arm by every tournament, all photos together: the longest lists, and then shorter ones."""
    heads = ["judge", "decided by", "Top-1, %", "p against the first stage", "gained / lost", "calls", "tokens"]
    heads += ["alike in both orders, %", "unreadable, %"]
    lines: list[str] = []
    for count in (0, *_shorter(rows)):
        end = f"/top{count}/all" if count else ""
        lines += [f"The first {count} candidates", ""] if count else []
        lines += [line(heads), line(["---", "---"] + ["---:"] * (len(heads) - 2))]
        lines.append(line(["the first stage", "", cell(rows.get(f"top1/first_stage{end}")), "", "", "0", "0", "", ""]))
        for arm, words in ARMS.items():
            for way, row in _held(rows, arm, end):
                lines.append(line([words, f"`{way}`", *_cells(row)]))
        lines.append(line(["the ceiling", "", cell(rows.get(f"top1/ceiling{end}")), "", "", "", "", "", ""]))
        lines.append("")
    return [*lines, _source(rows)]


def _shorter(rows: Rows) -> list[int]:
    """Lengths of the lists that are not the longest."""
    return sorted({int(name.split("/top")[1].split("/")[0]) for name in rows if name.endswith("/all")}, reverse=True)


def _held(rows: Rows, arm: str, end: str) -> list[tuple[str, Row]]:
    """The tournaments that were held with an arm on lists of a length."""
    found = []
    for name, row in rows.items():
        way = name.removeprefix(f"top1/{arm}/").removesuffix(end)
        if name == f"top1/{arm}/{way}{end}" and "/" not in way:
            found.append((way, row))
    return found


def controls_table(rows: Rows) -> list[str]:
    """What judges do that look at nothing, or know everything."""
    heads = ("control", "decided by", "Top-1, %", "gained / lost", "calls", "always names one place")
    lines = [line(heads), line(["---", "---"] + ["---:"] * 4)]
    for control, words in CONTROLS.items():
        for row in (row for name, row in rows.items() if name.startswith(f"top1/{control}/") and name.count("/") == 2):
            told = "yes" if row.extra.get("constant") else "no"
            moved = f"{_number(row, 'gained')} / {_number(row, 'lost')}"
            cells = [cell(row), moved, _number(row, "calls", 1), told]
            lines.append(line([words, f"`{row.name.split('/')[2]}`", *cells]))
    return [*lines, "", _source(rows)]


def kinds_table(rows: Rows) -> list[str]:
    """The best ways to decide, one line an arm, by kind of photo and length of the lists."""
    kinds = [query for query in ALL_QUERIES if f"top1/first_stage/top5/{query.name}" in rows]
    lines: list[str] = []
    for count in sorted({int(name.split("/")[-2][3:]) for name in rows if "/top" in name}):
        lines += [f"The first {count} candidates; Top-1, %", "", line(["judge", *(kind.words for kind in kinds)])]
        lines.append(line(["---"] + ["---:"] * len(kinds)))
        for words, stem in _compared():
            found = [rows.get(f"top1/{stem}/top{count}/{kind.name}") for kind in kinds]
            if any(found):
                lines.append(line([words, *(cell(row) for row in found)]))
        lines.append("")
    return [*lines, _source(rows)]


def budgets_table(rows: Rows) -> list[str]:
    """Pairwise and pointwise arms of the same model, at several training budgets."""
    budgets = _budgets(rows)
    heads = [f"{steps:,} steps" for steps in budgets]
    lines = [line(["arm", "decided by", *heads]), line(["---", "---"] + ["---:"] * len(heads))]
    for arm in BUDGETED:
        for way in ("paper", BEST_PAIRS) if arm.startswith("pairwise") else (POINTS,):
            found = [rows.get(f"top1/{arm}{suffix}/{way}") for suffix in budgets.values()]
            if any(found):
                lines.append(line([ARMS[arm], f"`{way}`", *(cell(row) for row in found)]))
    return [*lines, "", _source(rows)]


def draw_study(rows: Rows) -> Image.Image:
    """Top-1 against calls a photo, and against steps of training."""
    panels = [_calls_panel(rows)]
    if len(_budgets(rows)) > 1:
        panels.append(_budgets_panel(rows))
    return draw(panels)


def _compared() -> list[tuple[str, str]]:
    """Words and beginnings of names of what stands in the table of kinds."""
    stems = [("the first stage", "first_stage"), ("the geometric match", f"match/{BEST_PAIRS}")]
    for arm, words in ARMS.items():
        if arm.startswith("pointwise"):
            stems.append((words, f"{arm}/{POINTS}"))
        elif arm == "listwise":
            stems.append((words, f"{arm}/ranking-both"))
        elif arm.startswith("pairwise"):
            ways = (("as published", "paper"), ("all pairs, Bradley-Terry", BEST_PAIRS), ("adaptive", "adaptive"))
            stems += [(f"{words}, {way}", f"{arm}/{name}") for way, name in ways]
    return [*stems, ("the ceiling", "ceiling")]


def _budgets(rows: Rows) -> dict[int, str]:
    """Steps of training and what stands behind the arm's name for them; the shipped model's has nothing there."""
    found = {
        int(name.split("@steps_")[1].split("/")[0]): f"@steps_{name.split('@steps_')[1].split('/')[0]}"
        for name in rows
        if "@steps_" in name
    }
    whole = next((row.extra.get("steps") for row in rows.values() if row.extra.get("steps")), None)
    if whole:
        found[int(whole)] = ""
    return dict(sorted(found.items()))


def _calls_panel(rows: Rows) -> Panel:
    curves = []
    groups: dict[str, list[Row]] = {}
    for name, row in rows.items():
        if name.count("/") != 2 or not row.extra.get("calls") or "@" in name:
            continue
        arm, way = name.split("/")[1:]
        group = _group(arm, way)
        if group:
            groups.setdefault(group, []).append(row)
    for colour, (words, some) in zip(HUES, sorted(groups.items()), strict=False):
        ordered = sorted(some, key=lambda row: float(row.extra["calls"] or 1))
        points = tuple((float(row.extra["calls"] or 1), float(row.value or 0)) for row in ordered)
        spans = tuple((float(row.low or 0), float(row.high or 0)) for row in ordered)
        curves.append(Curve(words, colour, points, spans))
    ends = (1.0, 100.0)
    for words, name in (("the first stage", "top1/first_stage"), ("the ceiling", "top1/ceiling")):
        value = float(rows[name].value or 0)
        curves.append(Curve(words, (60, 60, 60), tuple((at, value) for at in ends), faint=True))
    values = [value for curve in curves for _, value in curve.points] + [
        s for curve in curves for p in curve.spans for s in p
    ]
    up = Axis("Top-1, %", _ticks(min(values), max(values)))
    across = Axis("calls a photo", (1, 3, 10, 30, 100), log=True)
    return Panel("What a call buys", across, up, tuple(curves), faint_words="the first stage, and the ceiling")


def _group(arm: str, way: str) -> str:
    """The curve that a row belongs to; empty if to none."""
    if arm.startswith("pointwise"):
        return "pointwise arms"
    if arm == "match":
        return "the geometric match"
    if arm == "listwise":
        return "listwise"
    if arm != "pairwise_direct":
        return ""
    if way == "adaptive":
        return "pairwise, adaptive"
    return "pairwise, both orders" if "-both" in way else "pairwise, one order"


def _budgets_panel(rows: Rows) -> Panel:
    budgets, curves = _budgets(rows), []
    ways = [(ARMS[arm], arm, BEST_PAIRS if arm.startswith("pairwise") else POINTS) for arm in BUDGETED]
    ways.insert(1, (f"{ARMS[BUDGETED[0]]}, the published sort", BUDGETED[0], "paper"))
    for (words, arm, way), colour in zip(ways, HUES, strict=False):
        known = [
            (steps, rows[name]) for steps, suffix in budgets.items() if (name := f"top1/{arm}{suffix}/{way}") in rows
        ]
        points = tuple((float(steps), float(row.value or 0)) for steps, row in known)
        spans = tuple((float(row.low or 0), float(row.high or 0)) for _, row in known)
        curves.append(Curve(words, colour, points, spans))
    first = float(rows["top1/first_stage"].value or 0)
    ticks = _decades(min(budgets), max(budgets))
    curves.append(Curve("the first stage", (60, 60, 60), ((ticks[0], first), (ticks[-1], first)), faint=True))
    values = [end for curve in curves for span in curve.spans for end in span] + [first]
    up = Axis("Top-1, %", _ticks(min(values), max(values)))
    across = Axis("steps of training", ticks, log=True)
    return Panel("What training buys", across, up, tuple(curves), faint_words="the first stage")


def _decades(low: float, high: float) -> tuple[float, ...]:
    """1, 3, 10, 30 and so on, around values."""
    every = [base * 10.0**power for power in range(9) for base in (1.0, 3.0)]
    first = max(tick for tick in every if tick < low or tick == 1.0)
    return tuple(tick for tick in every if first <= tick <= min(other for other in every if other > high))


def _ticks(low: float, high: float) -> tuple[float, ...]:
    """Multiples of ten around values."""
    first, last = math.floor(low / 10) * 10, math.ceil(high / 10) * 10
    return tuple(float(tick) for tick in range(first, last + 1, 10))


def _cells(row: Row) -> Sequence[str]:
    p = row.extra.get("mcnemar_p")
    told = "-" if p is None else "< 0.001" if p < 0.001 else f"{p:.3f}"
    calls, bad = row.extra.get("calls"), row.extra.get("unreadable")
    share = "-" if not calls or bad is None else f"{100 * bad / calls:.1f}"
    moved = f"{_number(row, 'gained')} / {_number(row, 'lost')}"
    numbers = (_number(row, "calls", 1), _number(row, "tokens"), _number(row, "consistency", 1))
    return [cell(row), told, moved, *numbers, share]


def _number(row: Row, name: str, digits: int = 0) -> str:
    value = row.extra.get(name)
    return "-" if value is None else f"{value:,.{digits}f}"


def _source(rows: Rows) -> str:
    some = rows["top1/first_stage"]
    seeds = f", seeds {', '.join(map(str, some.seeds))}" if some.seeds else ""
    return (
        f"Measured by `{some.command}` on {some.machine}{seeds}; {some.n} photos. In brackets: 95 % bootstrap interval "
        "over photos. p: exact McNemar test on the same photos."
    )
