"""``python -m tiercel``: the command line."""

from tiercel.cli import main

if __name__ == "__main__":
    main()
