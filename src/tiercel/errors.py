"""The one error that a user is meant to read."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pydantic import ValidationError


class TiercelError(Exception):
    """Something the user can mend.

    The message is one sentence that names the file or argument and the remedy. The command line prints it
    without a traceback and ends with exit code 2.
    """


def wrong_setting(where: object, error: ValidationError, example: object) -> TiercelError:
    """What to raise where a file's settings are wrong: names the first of them.

    Args:
        where: The file.
        error: What pydantic made of it.
        example: What to compare it with.
    """
    first = error.errors()[0]
    place = ".".join(map(str, first["loc"])) or "settings"
    words = str(first["msg"]).removeprefix("Value error, ")
    return TiercelError(f"{where}: {place}: {words}; compare it with {example}.")
