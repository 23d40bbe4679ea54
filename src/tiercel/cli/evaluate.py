"""``tiercel evaluate``: measure a model."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tiercel.cli.terminal import progress_of_steps, say, stoppable
from tiercel.errors import TiercelError

if TYPE_CHECKING:
    from tiercel.evaluation.pairs import PairProtocol

ZOOMING = "With --data, on a zooming benchmark"
PAIRS = "With --data, on pairs of photos and tiles (VIGOR, CVUSA, CVACT, two folders)"


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
    difficulties: Annotated[
        list[str] | None,
        typer.Option("--difficulty", help="Of the cities: plain, hard or both; may be repeated.", show_default="plain"),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "-o",
            metavar="FILE",
            help="File of result rows to write.",
            show_default="results/locate.json, with --data results/benchmark.json or results/pairs.json",
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
        typer.Option(
            metavar="DIR",
            help="Measure on this data set instead of on cities: a zooming benchmark, or pairs of any kind.",
        ),
    ] = None,
    north: Annotated[
        bool | None,
        typer.Option(
            "--north/--no-north",
            help="With --data: tell methods the headings of the photos that carry one, or none.",
            show_default="none on a zooming benchmark, one after the other on pairs",
        ),
    ] = None,
    protocol: Annotated[
        str,
        typer.Option(help="random, sequence_disjoint, block_disjoint or every_photo.", rich_help_panel=ZOOMING),
    ] = "random",
    gallery: Annotated[
        str,
        typer.Option(
            help="All leaf cells may be answered, or only those occupied by a photo.", rich_help_panel=ZOOMING
        ),
    ] = "all",
    split: Annotated[
        str | None,
        typer.Option(help="Split to measure on.", show_default="test, else val, else all", rich_help_panel=PAIRS),
    ] = None,
    area: Annotated[str, typer.Option(help="Of VIGOR: same or cross.", rich_help_panel=PAIRS)] = "same",
    labels: Annotated[str, typer.Option(help="Of VIGOR: original or corrected.", rich_help_panel=PAIRS)] = "original",
    fields_of_view: Annotated[
        list[float] | None,
        typer.Option(
            "--field-of-view",
            help="Degrees of each panorama that are shown, in a direction drawn at random; may be repeated.",
            rich_help_panel=PAIRS,
        ),
    ] = None,
    tiles: Annotated[
        str,
        typer.Option(
            help="Show tiles whole, or scaled to the ground that the model's own tiles show.", rich_help_panel=PAIRS
        ),
    ] = "whole",
    features: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Rank these embeddings, an .npz with queries and references, instead of a model's.",
            rich_help_panel=PAIRS,
        ),
    ] = None,
    incomplete: Annotated[
        bool,
        typer.Option(
            "--incomplete",
            help="Leave out files that are missing or cannot be read; the rows are marked.",
            rich_help_panel=PAIRS,
        ),
    ] = False,
    candidates: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Also write each photo's best tiles, as JSON lines or (.json) as published rerankers take them.",
            rich_help_panel=PAIRS,
        ),
    ] = None,
    top: Annotated[int, typer.Option(min=1, help="How many of them.", rich_help_panel=PAIRS)] = 20,
) -> None:
    """Measure how well a model locates photos in cities it has never seen, by every method, beside chance.

    Photos, maps and answers are kept in runs/locate: a measurement that was interrupted goes on where it stopped.

    [bold]Examples[/bold]

    tiercel evaluate

    tiercel evaluate --difficulty both --jobs 2

    tiercel evaluate --model runs/mine --seed 7 --photos 50 -o mine.json

    tiercel evaluate recipes/zoom-objectives.yaml

    tiercel evaluate --data justzoomin_data --protocol block_disjoint -o results/justzoomin.json

    tiercel evaluate --data VIGOR --area cross --model runs/vigor -o results/vigor.json
    """
    from rich.console import Console
    from rich.markdown import Markdown

    from tiercel.evaluation import evaluate as evaluate_model
    from tiercel.evaluation import render, write_into_card
    from tiercel.evaluation.files import run_file
    from tiercel.evaluation.protocol import DIFFICULTIES

    if recipe is not None:
        print(run_file(recipe, report=say))
        return
    if data is not None:
        if difficulties:
            raise TiercelError(f"{data} is as hard as it is: leave out --difficulty.")
        from tiercel.datasets.inspection import kind_of
        from tiercel.evaluation.pairs import PairProtocol

        kind = kind_of(data)
        if kind == "pairs":
            if seeds is not None:
                raise TiercelError(f"{data} has splits of its own and none that is drawn: leave out --seed.")
            asked = PairProtocol(
                data, split, area, labels, tuple(fields_of_view or ()), north, tiles, photos, incomplete
            )
            _evaluate_pairs(asked, model, features, candidates, top, out, page)
            return
        if kind != "a zooming benchmark":
            raise TiercelError(f"{data} is {kind}: give --data a zooming benchmark, or pairs of photos and tiles.")
        if seeds is not None and len(seeds) > 1:
            raise TiercelError("A benchmark is split by one seed: give --seed once with --data.")
        seed = seeds[0] if seeds else None
        _evaluate_benchmark(data, model, protocol, gallery, seed, photos, bool(north), out, page)
        return
    out = out or Path("results") / "locate.json"
    both = [each for one in difficulties or () for each in (DIFFICULTIES if one == "both" else (one,))]
    with stoppable(), progress_of_steps() as step:
        evaluate_model(
            model, seeds=seeds, photos=photos, difficulties=list(dict.fromkeys(both)) or None, out=out,
            calibration=calibration, jobs=jobs, report=say, step=step,
        )  # fmt: skip
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
    out: Path | None,
    page: Path | None,
) -> None:
    """As `evaluate`, on a benchmark; photos that cannot be read are told of at the end."""
    from rich.console import Console
    from rich.markdown import Markdown

    from tiercel.cli.terminal import progress
    from tiercel.evaluation.benchmark import evaluate_benchmark, render_benchmark

    with progress("Locating photos") as bar:
        rows, problems = evaluate_benchmark(
            data, model, protocol=protocol, gallery=gallery, seed=seed, photos=photos, north=north,
            out=out or Path("results") / "benchmark.json", report=say, progress=bar,
        )  # fmt: skip
    tables = render_benchmark(rows)
    if page:
        page.write_text(tables, encoding="utf-8")
    Console().print(Markdown(tables))
    say(str(problems))


def _evaluate_pairs(
    asked: PairProtocol,
    model: str,
    features: Path | None,
    candidates: Path | None,
    top: int,
    out: Path | None,
    page: Path | None,
) -> None:
    """As `evaluate`, on a data set of pairs."""
    from rich.console import Console
    from rich.markdown import Markdown

    from tiercel.evaluation.pairs import evaluate_pairs, render_pairs

    with progress_of_steps() as step:
        rows = evaluate_pairs(
            asked, model, features=features, candidates=candidates, top=top,
            out=out or Path("results") / "pairs.json", report=say, step=step,
        )  # fmt: skip
    tables = render_pairs(rows)
    if page:
        page.write_text(tables, encoding="utf-8")
    Console().print(Markdown(tables))
