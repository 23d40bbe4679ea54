"""What the terminal shows."""

from __future__ import annotations

from dataclasses import replace
from io import StringIO

from rich.console import Console

from tiercel.fix import Fix


def _printed(fix: Fix) -> str:
    console = Console(file=StringIO(), width=100)
    fix.print(console)
    return console.file.getvalue()  # type: ignore[attr-defined]


def test_coordinate_radii_heading_and_candidates(fix: Fix) -> None:
    printed = _printed(fix)
    assert f"{fix.latitude:.6f}° N, {fix.longitude:.6f}° E" in printed
    assert "within 20 m" in printed and "within 740 m" in printed and "looking 124° SE" in printed
    rows = [line.split() for line in printed.splitlines() if line.strip()[:1] in "12" and "%" in line]
    assert [row[0] for row in rows] == ["1", "2"] and rows[0][1] == "60" and "1.1" in rows[1]


def test_the_photo_s_own_position_scores(fix: Fix) -> None:
    assert "GPS" not in _printed(fix)
    assert "50 m from where the photo's GPS says" in _printed(replace(fix, gps=(fix.x - 30, fix.y + 40)))


def test_names_with_brackets_are_names(fix: Fix) -> None:
    assert "[bold]photo[1].jpg" in _printed(replace(fix, photo="[bold]photo[1].jpg"))


def test_without_candidates_and_heading(fix: Fix) -> None:
    printed = _printed(replace(fix, candidates=[], heading=None, radius_90_m=float("inf")))
    assert "rank" not in printed and "looking" not in printed and "within unknown" in printed
