"""The one error that a user is meant to read."""


class TiercelError(Exception):
    """Something the user can mend.

    The message is one sentence that names the file or argument and the remedy. The command line prints it
    without a traceback and ends with exit code 2.
    """
