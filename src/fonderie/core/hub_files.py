"""Files of a hub, as sources: `hf://datasets/OWNER/NAME@COMMIT/data/*.parquet`, `hf://OWNER/MODEL@COMMIT`.

The commit is whole, so that the same recipe names the same bytes for ever; HF_ENDPOINT names another hub. Files
come into huggingface_hub's own cache (HF_HOME), once; from then on nothing is asked of the network.
"""

import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath
from typing import Literal

from fonderie.core.errors import InputError, RecipeError
from fonderie.core.files import write_atomically
from fonderie.core.manifest import describe_file
from fonderie.core.step import Source

SCHEME = "hf://"
READABLE = (".parquet", ".jsonl", ".jsonl.gz", ".jsonl.zst", ".jsonl.bz2")
"""What a data set's address without a pattern takes."""
OF_MODELS = (
    ".safetensors",
    ".json",
    ".jinja",
    "LICENSE",
    "LICENCE",
    "LICENSE.txt",
    "LICENSE.md",
    "NOTICE",
    "README.md",
)
"""What a model's address without a pattern takes."""
_ADDRESS = re.compile(
    r"hf://(?P<datasets>datasets/)?(?P<name>[\w.-]+/[\w.-]+)@(?P<revision>[^/]*)(?:/(?P<pattern>.*))?", re.ASCII
)
_NAMED = re.compile(r"datasets/[\w.-]+/[\w.-]+@[0-9a-f]{40}/", re.ASCII)
_COMMIT = re.compile(r"[0-9a-f]{40}")

Listing = list[tuple[str, str | None]]
"""Each file's name in the repository, and its SHA-256 where the hub states it (for large files)."""


def is_from_hub(name: str) -> bool:
    """Whether a source of that name was fetched from a data set of a hub."""
    return _NAMED.match(name) is not None


def hub_sources(address: str, where: str) -> tuple[Source, ...]:
    """The files that an address names, fetched and hashed, in the order of their names.

    RecipeError if the address is none, its revision is no commit, or nothing matches; InputError if the hub gives
    no file, or another than it states. `where` is call.parameter.
    """
    from huggingface_hub import constants

    place, pattern = _parse(address, where)
    name, commit = place.name, place.commit
    cache = Path(constants.HF_HUB_CACHE)
    listing = _listing(place, cache, where)
    usual = READABLE if place.kind == "dataset" else OF_MODELS
    # As in huggingface_hub's own allow_patterns, a star also passes slashes.
    chosen = sorted(
        item for item in listing if (fnmatchcase(item[0], pattern) if pattern else item[0].endswith(usual))
    )
    if not chosen:
        raise RecipeError(
            f"{where}: no file of {name} at {commit} matches {pattern or ', '.join(usual)}",
            hint=f"It has: {', '.join(sorted(path for path, _ in listing)[:10])}",
        )
    return tuple(_source(place, path, stated, cache) for path, stated in chosen)


@dataclass(frozen=True)
class _Place:
    kind: Literal["dataset", "model"]
    name: str
    commit: str

    @property
    def folder(self) -> str:
        """What the hub's own cache calls it."""
        return f"{self.kind}s--{self.name.replace('/', '--')}"


def _parse(address: str, where: str) -> tuple[_Place, str]:
    match = _ADDRESS.fullmatch(address)
    if match is None:
        raise RecipeError(
            f"{where}: {address} is no data set and no model on a hub",
            hint="Write hf://datasets/OWNER/NAME@COMMIT/data/*.parquet, or hf://OWNER/MODEL@COMMIT",
        )
    if not _COMMIT.fullmatch(match["revision"]):
        raise RecipeError(
            f"{where}: '{match['revision']}' is not a commit of {match['name']}: a branch or tag moves",
            hint="Give all 40 hexadecimal digits, as the hub's page Files shows them.",
        )
    kind: Literal["dataset", "model"] = "dataset" if match["datasets"] else "model"
    return _Place(kind, match["name"], match["revision"]), match["pattern"] or ""


def _endpoint() -> str:
    from huggingface_hub import constants

    return (os.environ.get("HF_ENDPOINT") or constants.ENDPOINT).rstrip("/")


@contextmanager
def _told(failed: str, hint: str) -> Iterator[None]:
    """InputError says what failed, whatever fails: by its version huggingface_hub asks one library or another."""
    try:
        yield
    except Exception as error:
        raise InputError(f"{failed}: {_first_line(error)}", hint=hint) from error


def _listing(place: _Place, cache: Path, where: str) -> Listing:
    """What the hub says is in the repository at that commit, which cannot change: asked once, then kept."""
    from huggingface_hub import HfApi

    name, commit = place.name, place.commit
    kept = cache / place.folder / "listings" / f"{commit}.json"
    if kept.is_file():
        return [(path, stated) for path, stated in json.loads(kept.read_text(encoding="utf-8"))]
    endpoint = _endpoint()
    words = "data set" if place.kind == "dataset" else "model"
    with _told(
        f"{where}: {endpoint} does not show the {words} {name} at {commit}",
        "Check its name and the network; HF_ENDPOINT names another hub, HF_TOKEN opens gated data.",
    ):
        api = HfApi(endpoint=endpoint)
        show = api.dataset_info if place.kind == "dataset" else api.model_info
        info = show(name, revision=commit, files_metadata=True)
    if info.sha != commit:
        raise InputError(f"{where}: {endpoint} shows {info.sha} of {name} when asked for {commit}")
    listing = [(item.rfilename, item.lfs.sha256 if item.lfs else None) for item in info.siblings or ()]
    for path, _ in listing:
        if PurePosixPath(path).is_absolute() or ".." in PurePosixPath(path).parts:
            raise InputError(f"{where}: {name} holds a file named {path!r}, which lies outside it")
    kept.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(kept, json.dumps(listing).encode("utf-8"))
    return listing


def _source(place: _Place, path: str, stated: str | None, cache: Path) -> Source:
    from huggingface_hub import hf_hub_download

    endpoint, name, commit = _endpoint(), place.name, place.commit
    with _told(
        f"{endpoint} does not give {path} of {name} at {commit}",
        "Run again: the files that came whole are kept. HF_ENDPOINT names another hub.",
    ):
        local = Path(
            hf_hub_download(name, path, repo_type=place.kind, revision=commit, endpoint=endpoint, cache_dir=cache)
        )
    modified_ns = local.stat().st_mtime_ns
    entry = describe_file(local, f"{place.kind}s/{name}@{commit}/{path}")
    if stated is not None and entry.sha256 != f"sha256:{stated}":
        raise InputError(
            f"{local} is not what {endpoint} states: {entry.sha256}, and the hub says sha256:{stated}",
            hint="Delete it from the cache and run again.",
        )
    return Source(entry.path, local, entry, modified_ns)


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
