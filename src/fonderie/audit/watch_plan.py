"""What to watch: which files were published, where, and what they must be.

Either `watch.toml`, or a release's folder and the places where copies of it were published. The list of files is
always the publisher's own release.json, never what the place itself says that it holds.

    timeout_seconds = 30                                   how to ask: every field of Manners

    [[release]]
    folder = "fonderie-store/releases/demo"                beside watch.toml
    at = ["https://models.example.org/demo/", "hub:example/demo@v1", "/srv/mirror/demo"]

    [[file]]
    at = "https://data.example.org/corpus.tar.zst"
    sha256 = "…"
    size_bytes = 123456789
"""

import os
import re
import tomllib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Literal, Self
from urllib.parse import quote, unquote, urlsplit

from pydantic import BaseModel, ConfigDict, Field, NonNegativeFloat, PositiveFloat, PositiveInt, ValidationError

from fonderie.core.digest import digest_bytes, digest_file
from fonderie.core.errors import UsageError
from fonderie.release.folder import JSON_LIMIT_BYTES, is_safe_name
from fonderie.release.layout import INDEX, SIGNATURE, ReleaseIndex

Kind = Literal["file", "http", "hub"]

_HUB = re.compile(
    r"hub:(?:(?P<type>models|datasets|spaces)/)?(?P<id>[\w.-]+/[\w.-]+)(?:@(?P<revision>[\w./-]+))?", re.ASCII
)
_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*:", re.ASCII | re.IGNORECASE)


class Manners(BaseModel):
    """How servers are asked: bounded, and no faster than they like."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    timeout_seconds: PositiveFloat = 30.0
    """For a connection, and for each silence while reading."""
    pause_seconds: NonNegativeFloat = 0.2
    """Between two requests to one server; one request at a time."""
    attempts: PositiveInt = 3
    """Before a server that does not answer, or answers that it cannot, counts as unreachable."""
    retry_seconds: NonNegativeFloat = 2.0
    """Before the second attempt; twice as long before each further one, and as a server's Retry-After asks."""
    redirects: int = Field(default=5, ge=0, le=20)
    """How many are followed, to http or https alone, and never from https to http."""
    slowest_bytes_per_second: PositiveInt = 16_384
    """A transfer slower than this on the whole is broken off."""


class Published(BaseModel):
    """One file, one place where it was published, and what it must be."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    at: str
    """The place, as it was written."""
    path: str
    """Of the file, inside that place; empty if the place is the file."""
    kind: Kind
    address: str
    """What is opened: a URL, or a file's path."""
    sha256: str
    size_bytes: int

    @property
    def identity(self) -> tuple[str, str, str]:
        """What its history hangs on: a new version at the same place is another thing."""
        return self.at, self.path, self.sha256


class Plan(BaseModel):
    """Everything to look for."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    manners: Manners
    published: tuple[Published, ...]


class _ReleaseTable(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    folder: Path
    at: tuple[str, ...] = Field(min_length=1)


class _FileTable(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    at: str
    path: str = ""
    sha256: str = Field(pattern=r"^(sha256:)?[0-9a-f]{64}$")
    size_bytes: int = Field(ge=0)


class _WatchFile(Manners):
    release: tuple[_ReleaseTable, ...] = ()
    file: tuple[_FileTable, ...] = ()

    @property
    def manners(self) -> Manners:
        return Manners(**{name: getattr(self, name) for name in Manners.model_fields})


class Place(BaseModel):
    """A place that holds published files."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    text: str
    kind: Kind
    base: str
    """A folder's path, a URL, or a hub repository's id."""
    revision: str = "main"
    repo_type: str = "model"

    @classmethod
    def parse(cls, text: str, beside: Path) -> Self:
        """Read a place: http(s) URL, file URL or path, hub:OWNER/NAME[@REVISION]; UsageError for anything else."""
        if text.startswith("hub:"):
            found = _HUB.fullmatch(text)
            if found is None or ".." in text:
                raise UsageError(
                    f"{text} names no repository of a hub",
                    hint="hub:OWNER/NAME or hub:OWNER/NAME@REVISION; for data, hub:datasets/OWNER/NAME",
                )
            return cls(
                text=text,
                kind="hub",
                base=found["id"],
                revision=found["revision"] or "main",
                repo_type=(found["type"] or "models").removesuffix("s"),
            )
        if text.startswith(("http://", "https://")):
            parts = urlsplit(text)
            if not parts.hostname or parts.query or parts.fragment or "@" in parts.netloc:
                raise UsageError(f"{text} is no address of a public place", hint="https://HOST/PATH, nothing more")
            return cls(text=text, kind="http", base=text)
        if text.startswith("file:"):
            path = unquote(urlsplit(text).path)
            return cls(text=text, kind="file", base=str(beside / path))
        if _SCHEME.match(text):
            raise UsageError(
                f"{text} cannot be watched", hint="Places are http(s) URLs, hub:OWNER/NAME, file: URLs and paths."
            )
        return cls(text=text, kind="file", base=str(beside / text))

    def published(self, path: str, sha256: str, size_bytes: int) -> Published:
        """A file of this place; an empty path means the place itself."""
        return Published(
            at=self.text,
            path=path,
            kind=self.kind,
            address=self._address(path),
            sha256=f"sha256:{sha256.removeprefix('sha256:')}",
            size_bytes=size_bytes,
        )

    def _address(self, path: str) -> str:
        if self.kind == "http":
            return f"{self.base.rstrip('/')}/{quote(path)}" if path else self.base
        if self.kind == "file":
            return str(Path(self.base) / path) if path else self.base
        from huggingface_hub import constants, hf_hub_url

        # Read here and not where huggingface_hub is imported: a program may set it later.
        endpoint = os.environ.get("HF_ENDPOINT", constants.ENDPOINT).rstrip("/")
        return hf_hub_url(self.base, path, repo_type=self.repo_type, revision=self.revision, endpoint=endpoint)


def plan_release(folder: Path, places: Sequence[str], manners: Manners | None = None) -> Plan:
    """Watch a release in some places; UsageError if the folder holds no release.json or a place is none."""
    published = list(_release(folder, [Place.parse(text, Path()) for text in places]))
    return Plan(manners=manners or Manners(), published=_distinct(published, str(folder)))


def read_plan(path: Path) -> Plan:
    """Read a watch.toml; UsageError names the file, the field and what is wrong."""
    try:
        read = _WatchFile.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} is not TOML: {error}") from error
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"]))
        known = ", ".join(_WatchFile.model_fields)
        what = f"there is no such field (known: {known})" if first["type"] == "extra_forbidden" else first["msg"]
        raise UsageError(f"{path}: {where}: {what}") from error
    published: list[Published] = []
    for release in read.release:
        places = [Place.parse(text, path.parent) for text in release.at]
        published += _release(path.parent / release.folder, places)
    for file in read.file:
        place = Place.parse(file.at, path.parent)
        if place.kind == "hub" and not file.path:
            raise UsageError(f"{path}: {file.at} needs the file's path inside the repository", hint='path = "…"')
        if file.path and not is_safe_name(file.path):
            raise UsageError(f"{path}: {file.path} is not a name inside {file.at}")
        published.append(place.published(file.path, file.sha256, file.size_bytes))
    if not published:
        raise UsageError(f"{path} names nothing to watch", hint="Add a [[release]] or a [[file]].")
    return Plan(manners=read.manners, published=_distinct(published, str(path)))


def _release(folder: Path, places: Sequence[Place]) -> Iterable[Published]:
    """Every file that a release's own release.json lists, release.json itself, and a signature inside."""
    index_path = folder / INDEX if folder.is_dir() else folder
    try:
        with index_path.open("rb") as file:
            data = file.read(JSON_LIMIT_BYTES + 1)
    except OSError as error:
        raise UsageError(
            f"no release can be read at {folder}: {error.strerror}",
            hint=f"Give a release's folder, or its {INDEX}: it lists what was published.",
        ) from error
    try:
        index = ReleaseIndex.model_validate_json(data)
    except ValidationError as error:
        raise UsageError(f"{index_path} cannot be understood as the list of a release's files") from error
    bad = [entry.path for entry in index.files if not is_safe_name(entry.path)]
    if bad:
        raise UsageError(f"{index_path} lists {bad[0]!r}, which is not a name inside a release")
    listed = [(entry.path, entry.sha256, entry.size_bytes) for entry in index.files]
    listed.append((INDEX, digest_bytes(data), len(data)))
    signature = index_path.with_name(SIGNATURE)
    if signature.is_file():
        listed.append((SIGNATURE, digest_file(signature), signature.stat().st_size))
    return [place.published(*entry) for place in places for entry in sorted(listed)]


def _distinct(published: Sequence[Published], where: str) -> tuple[Published, ...]:
    seen: set[tuple[str, str]] = set()
    for each in published:
        if (each.at, each.path) in seen:
            raise UsageError(f"{where}: {each.path or 'the file'} at {each.at} is named twice")
        seen.add((each.at, each.path))
    return tuple(published)
