"""Errors for people: one line that says what is wrong, where, and what to do."""

import logging
import sys
from collections.abc import Callable


class UserError(Exception):
    """A mistake or a circumstance that the reader of the message can mend; one line."""


def run(main: Callable[[], None]) -> None:
    """Run a stage's `main` as a command: a `UserError` becomes one line and exit status 1."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    try:
        main()
    except UserError as error:
        sys.exit(f"error: {error}")
