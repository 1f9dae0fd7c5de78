"""Why a command ends without having done what was asked."""

OK, FAILED, USAGE, UNDECIDED, TIMED_OUT = 0, 1, 2, 3, 4
"""Exit codes: done; refused or failed; wrong command line; something else than hoped for; not yet."""


class Failure(Exception):  # noqa: N818  # what it says is all that people see
    """In words for people: what went wrong and what to do. `code`: the exit code."""

    def __init__(self, message: str, code: int = FAILED) -> None:
        self.code = code
        super().__init__(message)


class Changed(Failure):
    """The object is another one than was seen."""
