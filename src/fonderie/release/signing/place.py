"""Where a signature lies beside a release, and what a check of one comes to."""

import stat
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from fonderie.core.errors import ReleaseError, UsageError
from fonderie.release.layout import SIGNATURE
from fonderie.release.signing.dsse import ENVELOPE_LIMIT_BYTES

ENDING = ".dsse.json"


class SignatureCheck(BaseModel):
    """What a signature comes to."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    ok: bool
    detail: str
    problems: tuple[str, ...] = ()
    keyid: str
    """Of the public key it was checked with."""
    signature_path: str | None
    """The file that was read; None if there is none."""


def beside(folder: Path, ending: str = ENDING) -> Path:
    """Where the signature of a folder, or of a link to one, lies: next to it, under its name."""
    # absolute() alone would leave "." and ".." without a name; resolve() would leave the link.
    named = folder.absolute() if folder.name and folder.name != ".." else folder.resolve()
    return named.with_name(named.name + ending)


def find_signature(folder: Path, given: Path | None = None) -> Path | None:
    """The signature to check: the one named, else the one inside or beside; ReleaseError if these differ."""
    if given is not None:
        if not given.is_file():
            raise UsageError(f"there is no signature at {given}")
        return given
    inside, outside = folder / SIGNATURE, beside(folder)
    found = [path for path in (inside, outside) if is_regular(path)]
    if len(found) == 2 and read_bounded(inside) != read_bounded(outside):
        raise ReleaseError(
            f"two signatures that differ: {inside} and {outside}",
            hint="Say which one with --signature FILE.",
        )
    return found[0] if found else None


def place_for(folder: Path, target: Path) -> Path:
    """Where a signature may be written; UsageError for a place inside the release that it does not have."""
    root = folder.resolve()
    home = target.absolute().parent.resolve()
    if not home.is_dir():
        raise UsageError(f"no signature can be written at {target}: its folder is not there")
    if home != root and root not in home.parents:
        return target
    if (root.parent / "manifest.json").is_file():
        raise UsageError(
            f"{root} is an artifact of a store, and nothing is added to one",
            hint=f"Leave --out away: the signature then lies beside, as {beside(folder).name}. "
            f"In a copy of the folder it may be called {SIGNATURE}.",
        )
    if home != root or target.name != SIGNATURE:
        raise UsageError(
            f"inside the release a signature is called {SIGNATURE}, not {target.name}",
            hint="verify knows no other name, and would report a file too many.",
        )
    return target


def is_regular(path: Path) -> bool:
    """Whether a regular file lies there, and no link to one."""
    try:
        return stat.S_ISREG(path.lstat().st_mode)
    except OSError:
        return False


def read_bounded(path: Path) -> bytes:
    """The bytes of an envelope, and one more where it is too large to be one; ReleaseError if it cannot be read."""
    try:
        with path.open("rb") as file:
            return file.read(ENVELOPE_LIMIT_BYTES + 1)
    except OSError as error:
        raise ReleaseError(f"{path} cannot be read: {error.strerror}") from error
