"""``tiercel evaluate``: measure a model."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tiercel.cli.terminal import say
from tiercel.errors import TiercelError


def evaluate(
    recipe: Annotated[
        Path | None,
        typer.Argument(metavar="RECIPE", help="YAML file that says what is measured, instead of the options."),
    ] = None,
    model: Annotated[
        str, typer.Option(help="Model: 'bundled', a checkpoint folder, or a Hugging Face id.")
    ] = "bundled",
    seeds: Annotated[
        list[int] | None,
        typer.Option(
            "--seed",
            help="Seed of a city to measure on, instead of the protocol's; may be repeated. With --data: of the split.",
        ),
    ] = None,
    photos: Annotated[
        int | None, typer.Option(min=1, help="Photos of each kind in each city, instead of the protocol's.")
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "-o",
            metavar="FILE",
            help="File of result rows to write.",
            show_default="results/locate.json, with --data results/benchmark.json",
        ),
    ] = None,
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
    data: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Measure on this benchmark in the published layout, instead of on cities."),
    ] = None,
    protocol: Annotated[
        str, typer.Option(help="With --data: random, sequence_disjoint, block_disjoint or every_photo.")
    ] = "random",
    gallery: Annotated[
        str, typer.Option(help="With --data: all leaf cells may be answered, or only those occupied by a photo.")
    ] = "all",
    north: Annotated[
        bool, typer.Option("--north", help="With --data: tell methods the headings that photos carry.")
    ] = False,
) -> None:
    """Measure how well a model locates photos in cities it has never seen, by every method, beside chance.

    [bold]Examples[/bold]

    tiercel evaluate

    tiercel evaluate --model runs/mine --seed 7 --photos 50 -o mine.json

    tiercel evaluate recipes/zoom-objectives.yaml

    tiercel evaluate --data justzoomin_data --protocol block_disjoint -o results/justzoomin.json
    """
    from rich.console import Console
    from rich.markdown import Markdown

    from tiercel.evaluation import evaluate as evaluate_model
    from tiercel.evaluation import render, write_into_card
    from tiercel.evaluation.files import run_file

    if recipe is not None:
        print(run_file(recipe, report=say))
        return
    out = out or Path("results") / ("locate.json" if data is None else "benchmark.json")
    if data is not None:
        if seeds is not None and len(seeds) > 1:
            raise TiercelError("A benchmark is split by one seed: give --seed once with --data.")
        _evaluate_benchmark(data, model, protocol, gallery, seeds[0] if seeds else None, photos, north, out, page)
        return
    evaluate_model(model, seeds=seeds, photos=photos, out=out, calibration=calibration, jobs=jobs, report=say)
    tables = render(out, calibration)
    if page:
        page.write_text(tables, encoding="utf-8")
    if card:
        write_into_card(card, out)
    Console().print(Markdown(tables))


def _evaluate_benchmark(
    data: Path,
    model: str,
    protocol: str,
    gallery: str,
    seed: int | None,
    photos: int | None,
    north: bool,
    out: Path,
    page: Path | None,
) -> None:
    """As `evaluate`, on a benchmark; photos that cannot be read are told of at the end."""
    from rich.console import Console
    from rich.markdown import Markdown

    from tiercel.cli.terminal import progress
    from tiercel.evaluation.benchmark import evaluate_benchmark, render_benchmark

    with progress("Locating photos") as bar:
        rows, problems = evaluate_benchmark(
            data, model, protocol=protocol, gallery=gallery, seed=seed, photos=photos, north=north, out=out,
            report=say, progress=bar,
        )  # fmt: skip
    tables = render_benchmark(rows)
    if page:
        page.write_text(tables, encoding="utf-8")
    Console().print(Markdown(tables))
    say(str(problems))
