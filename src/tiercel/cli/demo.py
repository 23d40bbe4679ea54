"""``tiercel demo``: the whole path on a city nobody has seen."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tiercel.demo import SEED


def demo(
    seed: Annotated[int, typer.Option(min=0, max=9999, help="The city's seed; training starts at 10,000.")] = SEED,
    out: Annotated[
        Path, typer.Option("--out", metavar="DIR", help="Folder for the map, the atlas and the page.")
    ] = Path("demo"),
) -> None:
    """Make a city, prepare its map, and locate 50 photos taken in it.

    Ends with a table on the terminal and one page of pictures, DIR/index.html. Needs neither a GPU nor the network.

    [bold]Examples[/bold]

    tiercel demo

    tiercel demo --seed 7 --out city-7
    """
    from rich.console import Console

    from tiercel.cli.terminal import say
    from tiercel.demo.run import run

    page, table = run(seed, out, say=say)
    console = Console()
    console.print(table)
    console.print(f"The page: {page}", soft_wrap=True)
