"""``tiercel evaluate``: measure a model."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tiercel.cli.terminal import say


def evaluate(
    model: Annotated[
        str, typer.Option(help="Model: 'bundled', a checkpoint folder, or a Hugging Face id.")
    ] = "bundled",
    seeds: Annotated[
        list[int] | None,
        typer.Option("--seed", help="Seed of a city to measure on, instead of the protocol's; may be repeated."),
    ] = None,
    photos: Annotated[
        int | None, typer.Option(min=1, help="Photos of each kind in each city, instead of the protocol's.")
    ] = None,
    out: Annotated[Path, typer.Option("--out", "-o", metavar="FILE", help="File of result rows to write.")] = Path(
        "results/locate.json"
    ),
    jobs: Annotated[int, typer.Option(min=1, help="Cities measured at once, each by a process.")] = 1,
    calibration: Annotated[
        Path | None,
        typer.Option("--calibration", metavar="FILE", help="Also write how honest probabilities and error radii are."),
    ] = None,
    page: Annotated[
        Path | None, typer.Option("--page", metavar="FILE", help="Also write the tables as Markdown.")
    ] = None,
    card: Annotated[
        Path | None, typer.Option("--card", metavar="FILE", help="Also write the main table into this model card.")
    ] = None,
) -> None:
    """Measure how well a model locates photos in cities it has never seen, by every method, beside chance.

    [bold]Examples[/bold]

    tiercel evaluate

    tiercel evaluate --model runs/mine --seed 7 --photos 50 -o mine.json
    """
    from rich.console import Console
    from rich.markdown import Markdown

    from tiercel.evaluation import evaluate as evaluate_model
    from tiercel.evaluation import render, write_into_card

    evaluate_model(model, seeds=seeds, photos=photos, out=out, calibration=calibration, jobs=jobs, report=say)
    tables = render(out, calibration)
    if page:
        page.write_text(tables, encoding="utf-8")
    if card:
        write_into_card(card, out)
    Console().print(Markdown(tables))
