"""The command line: one verb a module, each a function of the library with its arguments read from the shell."""

from tiercel.cli.app import app

__all__ = ["app", "main"]


def main() -> None:
    """Run the command line."""
    app()
