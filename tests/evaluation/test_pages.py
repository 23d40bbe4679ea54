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


def test_retrieval_in_short_is_another_view_of_its_rows(tmp_path: Path) -> None:
    rows = [row(f"r1_50m/{query}/unseen/{method}", value) for query in ("panorama", "photo_70")
            for method, value in (("chance", 0.2), ("match", 40.0))]  # fmt: skip
    write_rows(tmp_path / "retrieval.json", rows)
    page = tmp_path / "page.md"
    page.write_text(PAGE.format(name="retrieval_short"))
    fill(page, tmp_path)
    assert "| method | panorama, heading unknown | photo, 70 degrees, heading unknown |" in page.read_text()
    assert "| the full pipeline | 40.0 (39.0-41.0) | 40.0 (39.0-41.0) |" in page.read_text()


def test_a_sum_in_short(tmp_path: Path) -> None:
    names = {"retrieval": 20.0, "global": 10.0, "fusion": 22.0}
    rows = [row(f"r1_50m/all/unseen/{name}@polar", value) for name, value in names.items()]
    rows.append(row("gain_50m/all/unseen/fusion@polar", 2.0))
    write_rows(tmp_path / "fusion.json", rows)
    page = tmp_path / "page.md"
    page.write_text(PAGE.format(name="fusion_short"))
    fill(page, tmp_path)
    cells = " | ".join(f"{value:.1f} ({value - 1:.1f}-{value + 1:.1f})" for value in (20, 10, 22, 2))
    assert f"| `polar` | {cells} |" in page.read_text()


def test_indexes_by_size_and_how_they_grow(tmp_path: Path) -> None:
    rows = [row(f"memory_mb/all/{area}/faiss_flat", value, "MB", (1,)) for area, value in
            (("cells_10000", 24.0), ("isotropic_100000", 160.0), ("cells_5000000", 5282.0))]  # fmt: skip
    rows += [row("latency_ms/one/cells_10000/tiercel_exact", 0.418, "ms", (1,))]
    rows += [row(f"growth_memory_mb/all/cells_{span}/faiss_flat", value, "", (1,)) for span, value in
             (("10000_to_100000", 0.5), ("10000_to_5000000", 0.87))]  # fmt: skip
    text = filled(tmp_path, "index", rows)
    assert "| memory to search, GB | 10,000 | 5,000,000 | 100,000 isotropic | grows as cells to the power |" in text
    assert "| faiss, flat | 0.0240 | 5.28 | 0.160 | 0.87 |" in text
    assert "| tiercel, exact | 0.418 | - | - | - |" in text


def test_the_speed_of_metrics(tmp_path: Path) -> None:
    def of(metric: str, method: str, value: float) -> Row:
        return row(f"{metric}/flat/vigor_size/{method}", value, "", (7,))

    rows = [of("speedup_over_loop", "tiercel", 12.0), of("seconds", "tiercel", 6.0), of("seconds", "loop", 72.0)]
    rows += [of("seconds_of_products", "loop", 60.0), of("extra_memory_gb", "tiercel", 0.25), of("r1", "tiercel", 60.0)]
    rows += [of("extra_memory_gb", "loop", 19.08), of("different_ranks", "tiercel_and_loop", 1.0)]
    text = filled(tmp_path, "metrics_speed", rows)
    assert "| flat | 72.0 | 60.0 | 6.00 (5.00-7.00) | 12.0 (11.0-13.0) | 0.25 | 19.08 | 60.0 | 1 of 50 |" in text


def test_photos_from_one_spot(tmp_path: Path) -> None:
    rows = [row(f"r1_50m/{query}/unseen/match", 30.0) for query in ("photo_90", "photo_90_pair_turned")]
    text = filled(tmp_path, "together", rows)
    assert "| one photo | headings unknown | - | 30.0 (29.0-31.0) | - | - |" in text
    assert "| two that adjoin | the turns between them known | - | 30.0 (29.0-31.0) |" in text


def test_pairs(tmp_path: Path) -> None:
    text = filled(tmp_path, "pairs", [row("r1/panorama/cvusa-val/retrieval", 30.0)])
    assert "**cvusa-val**, 50 photos" in text and "| R@1, % | 30.0 (29.0-31.0) |" in text


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
