"""Lists that rules look words and addresses up in: stop words of ours, URL and word lists of the user's."""

import re
import tomllib
from collections.abc import Iterable, Iterator
from contextlib import suppress
from functools import cache
from importlib import resources
from pathlib import Path

import numpy as np
import numpy.typing as npt

from fonderie.core.errors import InputError
from fonderie.corpus.kernels.words import WordLists, word_lists
from fonderie.corpus.measures import TOKEN

_SCHEME = re.compile(r"^[a-z][a-z0-9+.-]*://", re.IGNORECASE)
_HOST = re.compile(r"(?:[^/?#@]*@)?(?:(?P<six>\[[^\]/?#]*\])|(?P<name>[^/?#:]*))(?::\d*)?(?P<rest>.*)", re.DOTALL)
_HTTP = ("http://", "https://")


@cache
def stop_words(language: str | None) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The words of Gopher's rule and all stop words of a language; none for one without a list."""
    table = _stop_tables().get(language or "", {})
    few, more = table.get("few", []), table.get("more", [])
    return tuple(_both_apostrophes(few)), tuple(_both_apostrophes([*few, *more]))


@cache
def _stop_tables() -> dict[str, dict[str, list[str]]]:
    return tomllib.loads(resources.files(__package__ or "").joinpath("stop_words.toml").read_text("utf-8"))


def _both_apostrophes(words: Iterable[str]) -> Iterator[str]:
    for word in words:
        yield word
        if "'" in word:
            yield word.replace("'", "’")


def words_for(language: str | None, phrases: tuple[tuple[str, ...], ...]) -> WordLists:
    """What the kernel looks for in a language."""
    few, every = stop_words(language)
    return word_lists(few, every, phrases)


def read_phrases(paths: Iterable[Path]) -> tuple[tuple[str, ...], ...]:
    """Words and phrases, one a line, as the kernel splits them; blank lines and those after "#" are skipped."""
    return tuple(tuple(TOKEN.findall(line)) for path in paths for line in _entries(path))


class UrlList:
    """Domains and addresses, as sorted 64-bit hashes: five million take 40 MB."""

    def __init__(self, paths: Iterable[Path]) -> None:
        from xxhash import xxh3_64_intdigest

        self._hash = xxh3_64_intdigest
        hashes = [self._hash(entry.encode("utf-8")) for path in paths for entry in _addresses(path)]
        self._hashes: npt.NDArray[np.uint64] = np.unique(np.array(hashes, np.uint64))

    def names(self, url: str) -> bool:
        """Whether an address, a part of its path, its host or a domain above it is in the list."""
        keys = np.array([self._hash(part.encode("utf-8")) for part in _parts(url)], np.uint64)
        places = np.searchsorted(self._hashes, keys)
        inside = places < len(self._hashes)
        return bool(np.any(self._hashes[places[inside]] == keys[inside]))


def url_of(origin: str, metadata: dict[str, str]) -> str | None:
    """A document's address: its metadata's "url", or its origin where that is one."""
    return metadata.get("url") or (origin if origin.lower().startswith(_HTTP) else None)


def _entries(path: Path) -> Iterator[str]:
    try:
        with path.open(encoding="utf-8") as file:
            for line in file:
                entry = line.strip()
                if entry and not entry.startswith("#"):
                    yield entry
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not UTF-8: {error}", hint="A list has one entry a line.") from error


def _addresses(path: Path) -> Iterator[str]:
    """A list's entries; InputError names one that could never be found in an address."""
    for entry in _entries(path):
        if "*" in entry or len(entry.split()) != 1:
            raise InputError(
                f"{path}: '{entry[:80]}' is no domain and no address",
                hint="One a line, and nothing beside it; a domain stands for all below it, without a star.",
            )
        yield "".join(_split(entry))


def _split(address: str) -> tuple[str, str]:
    """Host and path with query, without scheme, user, port, "www." and final slash; the path as it is.

    The host is in lower case and as it is asked for in the domain name system (RFC 5891): "café.fr" is
    "xn--caf-dma.fr".
    """
    found = _HOST.match(_SCHEME.sub("", address))
    assert found is not None  # any string has a host, be it empty
    host = found["six"] or found["name"].lower().removeprefix("www.").strip(".")
    if not host.isascii():
        with suppress(UnicodeError):  # no name of a host: it is compared as it is written
            host = host.encode("idna").decode("ascii")
    return host.lower(), found["rest"].rstrip("/")


def _parts(url: str) -> Iterator[str]:
    host, rest = _split(url.partition("#")[0])
    labels = host.split(".")
    for first in range(len(labels)):
        yield ".".join(labels[first:])
    yield host + rest
    pieces = rest.partition("?")[0].split("/")
    for last in range(1, len(pieces)):
        yield "/".join([host, *pieces[1 : last + 1]]).rstrip("/")
