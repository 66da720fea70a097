"""Errors that a user can cause, and the exit status each one ends the program with.

`classify.py` prints such an error as one line on stderr and exits with its status; a library user catches it as an
ordinary ValueError.
"""


class UserError(ValueError):
    """Something the user can mend: one line that says what is wrong, which value, and what to do.

    Attributes:
        status: The exit status of the program. 2 is also what argparse uses for a wrong command line.
    """

    status = 2


class ModelError(UserError):
    """A model or label file that is missing, damaged, or of another kind."""

    status = 3


class SourceError(UserError):
    """A camera, file or stream that can't be opened or that stops delivering frames."""

    status = 4


class OutputError(UserError):
    """A file, folder or window that can't be written to."""

    status = 5


class NotUnderstood(Exception):
    """A model that is beyond the compiler: it is to be run as it is."""


class HeadNotUnderstood(NotUnderstood):
    """A model whose head can't be made to read two horizons of memory; otherwise the compiler may understand it."""


class PackageError(UserError):
    """A Python package that is not installed, or not in a version that works here."""

    status = 6
