"""Tables stand between their marks, and come from rows alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from tiercel.errors import TiercelError
from tiercel.evaluation.pages import fill
from tiercel.evaluation.results import Row, write_rows

PAGE = "# Page\n\nbefore\n\n<!-- table {name} -->\nstale\n<!-- end -->\n\nafter\n"


def row(name: str, value: float, unit: str = "%", seeds: tuple[int, ...] = (0, 1)) -> Row:
    return Row(name, value, unit, 50, value - 1, value + 1, seeds, "a machine", "tiercel evaluate recipes/some.yaml")


def filled(folder: Path, name: str, rows: list[Row]) -> str:
    write_rows(folder / f"{name}.json", rows)
    page = folder / "page.md"
    page.write_text(PAGE.format(name=name))
    fill(page, folder)
    text = page.read_text()
    fill(page, folder)
    assert page.read_text() == text  # again makes no difference
    assert "stale" not in text and text.startswith("# Page\n\nbefore\n\n<!-- table") and text.endswith("\n\nafter\n")
    return text


def test_arms_stand_below_each_other(tmp_path: Path) -> None:
    rows = [row("r1_50m/panorama_north/unseen/chance", 0.2)]
    rows += [row(f"r1_50m/panorama_north/unseen/greedy@{arm}", value) for arm, value in (("old", 4.0), ("new", 8.0))]
    rows += [row("r1_50m/panorama_north/unseen/global@new", 40.0), row("training_minutes/all/unseen/training@new", 9.0)]
    text = filled(tmp_path, "zoom_training", rows)
    assert "panorama, north known (chance 0.2 (-0.8-1.2))" in text
    assert "| `old` | 4.0 (3.0-5.0) | - | - | - | - | - |" in text
    assert "| `new` | 8.0 (7.0-9.0) | - | - | - | 40.0 (39.0-41.0) | - |" in text
    assert "`new` 9" in text and "`tiercel evaluate recipes/some.yaml` on a machine, seeds 0, 1" in text


def test_ratios_and_the_metropolis(tmp_path: Path) -> None:
    loop = "speedup_over_published_loop/greedy/zoom"
    rows = [row(f"{loop}/compact", 12.5, "x", ()), row("seconds/encoding/zoom/large", 2.0, "s", ())]
    text = filled(tmp_path, "zoom_speed", rows)
    assert "| what | `compact` | `large` |" in text
    assert "| queries a second against the published loop, same picks: greedy | 12.50 (11.50-13.50) | - |" in text
    assert "| seconds a photo: encoding alone | - | 2.000 (1.000-3.000) |" in text
    rows = [row("r1_40m/photo_90/metropolis/beam4", 3.0), row("r1_strict/photo_90/metropolis/beam4", 2.0)]
    text = filled(tmp_path, "metropolis", rows)
    assert "photo, 90 degrees, heading unknown, 50 queries" in text
    assert "| zooming, beam of 4 | 3.0 (2.0-4.0) | - | - | 2.0 (1.0-3.0) | - |" in text


def test_a_table_that_does_not_exist(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(PAGE.format(name="weather"))
    with pytest.raises(TiercelError, match=r"page\.md asks for a table 'weather': there are zoom_training"):
        fill(page, tmp_path)
    assert page.read_text() == PAGE.format(name="weather")


def test_a_file_that_is_not_there_yet(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(PAGE.format(name="metropolis"))
    with pytest.raises(TiercelError, match=r"metropolis\.json does not exist"):
        fill(page, tmp_path)
