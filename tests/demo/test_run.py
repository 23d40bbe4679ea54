"""The demo for real, on a village and with a small network of random weights."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console

from tiercel.demo.run import locate_city, run
from tiercel.models import Model, ModelConfig, save_model


def test_from_city_to_page_and_again_from_what_is_there(tmp_path: Path) -> None:
    model = tmp_path / "model"
    save_model(Model(ModelConfig(headings=8, ranges_m=(0.0, 9.0, 24.0))), model, "For tests.")
    said: list[str] = []
    out = tmp_path / "demo"
    with locate_city(2001, out, say=said.append, model=str(model), photos=4, size=500.0) as demo:
        assert {one.kind for one in demo.located} == {"panorama_north", "photo_90_north", "panorama", "photo_90"}
        assert [one.error_m for one in demo.located] == sorted(one.error_m for one in demo.located)
        assert all((one.photo.heading is None) != one.kind.endswith("north") for one in demo.located)
        assert set(demo.timing.seconds) == {"making the city", "encoding the map", "locating"}
    photos = {path: path.stat().st_mtime_ns for path in out.glob("city-2001/photos/*.jpg")}
    page, table = run(2001, out, say=said.append, model=str(model), photos=4, size=500.0)
    assert {path: path.stat().st_mtime_ns for path in photos} == photos
    assert page.read_text(encoding="utf-8").count("<article") == 4
    console = Console(width=100)
    with console.capture() as shown:
        console.print(table)
    assert all(words in shown.get() for words in ("posterior", "greedy zooming", "chance", "50 m"))
