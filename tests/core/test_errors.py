import errno
import pickle

import pytest

from fonderie.core import errors
from fonderie.core.errors import FonderieError, RecipeError, UsageError
from fonderie.core.files import disk_full

TREE = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, FonderieError)]


@pytest.mark.parametrize("kind", TREE)
def test_an_error_travels_between_processes_with_its_hint(kind: type[FonderieError]) -> None:
    again = pickle.loads(pickle.dumps(kind("no step 'x'", hint="Known: y.")))
    assert type(again) is kind
    assert (again.message, again.hint, str(again)) == ("no step 'x'", "Known: y.", "no step 'x'\nKnown: y.")


def test_exit_status_tells_a_wrong_request_from_a_failure() -> None:
    assert RecipeError("x").exit_status == UsageError("x").exit_status == 2
    assert {kind.exit_status for kind in TREE if not issubclass(kind, UsageError)} == {1}


def test_the_tree_is_the_one_drawn() -> None:
    assert errors.__doc__ is not None
    assert all(kind.__name__ in errors.__doc__ for kind in TREE)


def test_a_full_disk_is_known_through_what_libraries_make_of_it() -> None:
    assert disk_full(OSError(errno.ENOSPC, "x"))
    assert disk_full(OSError(errno.EFBIG, "x"))
    assert disk_full(RuntimeError("safetensors: I/O error: No space left on device (os error 28)"))
    assert not disk_full(OSError(errno.EACCES, "x"))
    wrapped = ValueError("wrapped")
    wrapped.__cause__ = OSError(errno.EDQUOT, "x")
    assert disk_full(wrapped)
    circular = ValueError("circular")
    circular.__cause__ = circular
    assert not disk_full(circular)
