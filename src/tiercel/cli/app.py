"""The command line: its verbs, and the one place where an error becomes a sentence."""

from __future__ import annotations

import errno
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from tiercel import __version__
from tiercel.cli.build import build
from tiercel.cli.dataset import dataset
from tiercel.cli.demo import demo
from tiercel.cli.doctor import doctor
from tiercel.cli.evaluate import evaluate
from tiercel.cli.index import index
from tiercel.cli.locate import locate
from tiercel.cli.rerank import rerank
from tiercel.cli.retrieve import retrieve
from tiercel.cli.sim import sim
from tiercel.cli.terminal import say
from tiercel.cli.train import train
from tiercel.errors import TiercelError

BAD_INPUT = 2
_NO_SPACE = {errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC)}  # Windows has no quota error
INTERRUPTED = 130  # 128 + SIGINT, as shells count it


class Verbs(TyperGroup):
    """The group of verbs: says what a user can mend in one sentence, and keeps tracebacks for mistakes of ours."""

    def invoke(self, ctx: Any) -> Any:  # noqa: ANN401  (the types of typer's own click are private)
        """Run a verb.

        Raises:
            typer.Exit: with code 2 after a :class:`TiercelError` or on a full disk, 130 after Ctrl-C.
        """
        try:
            return super().invoke(ctx)
        except TiercelError as error:
            say(f"Error: {error}")
            raise typer.Exit(BAD_INPUT) from None
        except KeyboardInterrupt as interrupt:
            say(str(interrupt) or "Stopped; nothing is left half-written.")
            raise typer.Exit(INTERRUPTED) from None
        except OSError as error:
            if not is_disk_full(error):
                raise
            where = f" while writing {error.filename}" if error.filename else ""
            say(f"Error: the disk is full{where}; free some space, or choose another folder, and try again.")
            raise typer.Exit(BAD_INPUT) from None


def is_disk_full(error: OSError) -> bool:
    """Tell whether a write failed for want of space (or quota), also where a library only says so in words."""
    return error.errno in _NO_SPACE or "No space left on device" in str(error)


app = typer.Typer(
    name="tiercel",
    cls=Verbs,
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"tiercel {__version__}")
        raise typer.Exit


@app.callback()
def tiercel(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version and stop.", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    """Where on this overhead map was this street photo taken?

    Prepare a map once with [bold]tiercel build[/bold], then ask for photos with [bold]tiercel locate[/bold].
    To see it all on a made-up city, run [bold]tiercel demo[/bold].
    """


for verb in (demo, build, index, locate, retrieve, rerank, sim, train, evaluate, doctor):
    app.command()(verb)
app.add_typer(dataset)
