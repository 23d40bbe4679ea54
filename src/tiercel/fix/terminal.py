"""The answer on a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tiercel.fix.words import coordinate, direction, metres, percent

if TYPE_CHECKING:
    from rich.console import Console

    from tiercel.fix.fix import Fix


def print_fix(fix: Fix, console: Console | None = None) -> None:
    """Prints the coordinate, the radii, the heading and a table of the candidates."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    console = console or Console()
    for photo in (fix.photo, *fix.together):
        console.print(f"[bold]{escape(photo)}[/bold]")
    console.print(f"  [bold green]{coordinate(fix.latitude, fix.longitude)}[/bold green]", highlight=False)
    console.print(
        f"  half of the probability within {metres(fix.radius_50_m)}, nine tenths within {metres(fix.radius_90_m)}",
        highlight=False,
    )
    if fix.heading is not None:
        console.print(f"  looking {direction(fix.heading)}", highlight=False)
    if fix.gps_distance_m is not None:
        console.print(f"  {metres(fix.gps_distance_m)} from where the photo's GPS says it was taken", highlight=False)
    table = Table(box=None, padding=(0, 2), header_style="dim")
    for name in ("rank", "probability", "from best", "latitude", "longitude", "heading"):
        table.add_column(name, justify="right")
    for candidate in fix.candidates:
        table.add_row(
            str(candidate.rank),
            percent(candidate.probability),
            metres(fix.distance(candidate.x, candidate.y)),
            f"{candidate.latitude:.6f}",
            f"{candidate.longitude:.6f}",
            "" if candidate.heading is None else direction(candidate.heading),
        )
    if fix.candidates:
        console.print(table)
