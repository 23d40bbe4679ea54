"""``python -m tiercel.evaluation.diagram ROWS PICTURE``: reliability and coverage, drawn by Pillow from their rows."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from PIL import Image

from tiercel.errors import TiercelError
from tiercel.evaluation.charts import HUES, Axis, Curve, Panel, draw
from tiercel.evaluation.protocol import QUERIES
from tiercel.evaluation.reliability import ALL, BINS, RAW, SHARES
from tiercel.evaluation.results import Row, read_rows
from tiercel.fix.picture import Colour

BEFORE = "the same before calibration"


def draw_reliability(rows: Sequence[Row]) -> Image.Image:
    """Four panels: picks among siblings, answers within 50 m, and how much the regions hold; before and after.

    A perfectly honest method stays on the diagonal; below it, it is surer than it should be.

    Args:
        rows: Of a calibration's measurement, see `tiercel.evaluation.reliability`.

    Raises:
        TiercelError: the rows hold neither reliability nor coverage.
    """
    area = next((row.parts[2] for row in rows), "")
    panels = [panel for panel in _panels({row.name: row for row in rows}, area) if panel.curves]
    if not panels:
        raise TiercelError("these rows hold no reliability: measure it by `tiercel evaluate --calibration FILE`.")
    return draw(panels)


def _panels(rows: Mapping[str, Row], area: str) -> list[Panel]:
    levels = sorted({name.split("/")[3] for name in rows if "/local_level_" in name and not name.endswith(RAW)})
    picks = [(f"level {method.rsplit('_', 1)[1]}", method) for method in levels]
    answers = [("zooming, all leaves", "global_within_50m"), ("the full pipeline", "match_within_50m")]
    held, share = Axis("truths inside, %"), Axis("region that should hold, %")
    return [
        _panel(
            "Picks among siblings",
            Axis("probability of the pick, %"),
            Axis("it was right, %"),
            _reliable(rows, area, picks),
        ),
        _panel(
            "Answers within 50 m",
            Axis("probability of being within 50 m, %"),
            Axis("it was, %"),
            _reliable(rows, area, answers),
        ),
        _panel("Regions of the full pipeline", share, held, _covering(rows, area, "match")),
        _panel("Regions of zooming", share, held, _covering(rows, area, "global")),
    ]


def _panel(title: str, across: Axis, up: Axis, curves: tuple[Curve, ...]) -> Panel:
    return Panel(title, across, up, curves, diagonal=True, faint_words=BEFORE)


def _reliable(rows: Mapping[str, Row], area: str, methods: Sequence[tuple[str, str]]) -> tuple[Curve, ...]:
    curves = []
    for (words, method), colour in zip(methods, HUES, strict=False):
        for before in (True, False):
            end = f"/{ALL}/{area}/{method}{RAW if before else ''}"
            pairs = [(rows.get(f"predicted_bin_{n}{end}"), rows.get(f"right_bin_{n}{end}")) for n in range(1, BINS + 1)]
            curves.append(_curve(words, colour, before, [(one.value, so) for one, so in pairs if one and so]))
    return tuple(curve for curve in curves if curve.points)


def _covering(rows: Mapping[str, Row], area: str, method: str) -> tuple[Curve, ...]:
    curves = []
    for query, colour in zip(QUERIES, HUES, strict=False):
        for before in (True, False):
            end = f"/{query.name}/{area}/{method}{RAW if before else ''}"
            pairs = [(float(share), rows.get(f"coverage_{share}{end}")) for share in SHARES]
            curves.append(_curve(query.words, colour, before, [(share, row) for share, row in pairs if row]))
    return tuple(curve for curve in curves if curve.points)


def _curve(words: str, colour: Colour, before: bool, pairs: Sequence[tuple[float | None, Row]]) -> Curve:
    known = [(at, row) for at, row in pairs if at is not None and row.value is not None]
    points = tuple((at, row.value or 0.0) for at, row in known)
    spans = tuple((row.low or 0.0, row.high or 0.0) for _, row in known)
    return Curve(words, colour, points, spans, before)


if __name__ == "__main__":
    draw_reliability(read_rows(Path(sys.argv[1]))).save(Path(sys.argv[2]))
