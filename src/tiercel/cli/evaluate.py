"""``tiercel evaluate``: measure a model."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def evaluate(
    model: Annotated[str, typer.Option(help="Model: 'bundled' or a checkpoint folder.")] = "bundled",
    seeds: Annotated[
        list[int] | None, typer.Option("--seed", help="Seed of a city to measure on; may be repeated.")
    ] = None,
    photos: Annotated[int, typer.Option(min=1, help="Photos of each kind in each city.")] = 200,
    out: Annotated[Path, typer.Option("--out", "-o", metavar="FILE", help="File of result rows to write.")] = Path(
        "results/locate.json"
    ),
) -> None:
    """Measure how well a model locates photos in cities it has never seen, by every method, beside chance.

    [bold]Examples[/bold]

    tiercel evaluate

    tiercel evaluate --model runs/mine/best --seed 7 --photos 50 -o mine.json
    """
    from tiercel.evaluation import evaluate as evaluate_model

    evaluate_model(model, seeds=seeds, photos=photos, out=out)
