"""Every error a user can meet, as one tree.

FonderieError                 the thing, the place, the way out
├── UsageError                the request itself is wrong; exit status 2
│   └── RecipeError           names the recipe, the call and the parameter
│       └── NoSourceError     names the path that matches nothing
├── StoreError                names the file or folder of the store
├── InputError                names the input file, and the line or offset where it breaks
├── LicenceError              names the licence and the file that carries it
├── StepError                 names the call that failed; keeps its cause
└── ReleaseError              names what in a release does not hold

The command line prints the message and the way out without a traceback, and exits with 1, or 2 for UsageError.
"""


class FonderieError(Exception):
    """Base of all errors meant for a person; `hint` says what to do next."""

    exit_status = 1

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}\n{self.hint}" if self.hint else self.message

    def __reduce__(self) -> tuple[object, ...]:
        # The default would call __init__ with `args` alone and lose the hint on the way back from a worker.
        return (_rebuild, (type(self), self.message, self.hint))


def _rebuild(kind: type[FonderieError], message: str, hint: str) -> FonderieError:
    return kind(message, hint=hint)


class UsageError(FonderieError):
    """The request cannot be understood."""

    exit_status = 2


class RecipeError(UsageError):
    """The recipe is wrong: unknown step or parameter, bad value, missing or circular input."""


class NoSourceError(RecipeError):
    """A path or glob of the recipe matches no file here."""


class StoreError(FonderieError):
    """The store cannot be read or written, or holds something altered."""


class InputError(FonderieError):
    """A source document cannot be read."""


class LicenceError(FonderieError):
    """A document's licence is not one that the recipe's policy accepts."""


class StepError(FonderieError):
    """A step failed; the cause is chained."""


class ReleaseError(FonderieError):
    """A release is incomplete, altered, or contradicts itself."""
