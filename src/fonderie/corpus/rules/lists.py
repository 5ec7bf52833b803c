"""Lists that rules look words and addresses up in: stop words of ours, URL and word lists of the user's."""

import re
import tomllib
from collections.abc import Iterable, Iterator
from functools import cache
from importlib import resources
from pathlib import Path

import numpy as np
import numpy.typing as npt

from fonderie.core.errors import InputError
from fonderie.corpus.kernels.words import WordLists, word_lists
from fonderie.corpus.measures import TOKEN

_SCHEME = re.compile(r"^[a-z][a-z0-9+.-]*://", re.IGNORECASE)
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
        hashes = [self._hash(_address(line).encode("utf-8")) for path in paths for line in _entries(path)]
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


def _address(entry: str) -> str:
    """Without scheme, user, port, "www." and final slash; the host in lower case, the path as it is."""
    host, slash, path = _SCHEME.sub("", entry).partition("/")
    host = host.rpartition("@")[2].partition(":")[0].lower().removeprefix("www.").strip(".")
    return (host + slash + path).rstrip("/")


def _parts(url: str) -> Iterator[str]:
    address = _address(url.partition("#")[0])
    host, _, path = address.partition("/")
    labels = host.split(".")
    for first in range(len(labels)):
        yield ".".join(labels[first:])
    yield address
    pieces = path.partition("?")[0].split("/")
    for last in range(len(pieces)):
        yield "/".join([host, *pieces[: last + 1]]).rstrip("/")
