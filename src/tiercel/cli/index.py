"""``tiercel index``: make millions of cells searchable in a moment."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def index(
    atlas: Annotated[Path, typer.Argument(metavar="ATLAS", help="The prepared map, from [bold]tiercel build[/bold].")],
) -> None:
    """Build the approximate index of an atlas's gallery, to search more than a million cells by.

    Up to a million cells every one is compared, which needs no index. After districts were appended, build it anew: the
    index of fewer cells than the atlas has is not used.

    [bold]Example[/bold]

    tiercel index country.atlas
    """
    from tiercel.cli.terminal import progress_of_steps
    from tiercel.search.indexing import index_atlas

    with progress_of_steps() as steps:
        built = index_atlas(atlas, steps=steps)
    print(
        f"{atlas}: an index of {built.cells:,} cells, which finds {built.recall:.1%} of the ten most similar "
        "(measured on photos made up from the cells)"
    )
