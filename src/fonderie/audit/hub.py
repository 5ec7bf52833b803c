"""A hub's repository, read as the public sees it: no token, no weights, a pinned commit, bounded answers.

Addresses and session are huggingface_hub's, so HF_ENDPOINT and proxies hold. Its own `model_info` reads answers of
any size without a deadline; here every answer is read up to a limit and a moment.
"""

import json
import os
import re
import time
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from fonderie.audit.target import Entry, Target, UnreadableError
from fonderie.core.digest import digest_bytes
from fonderie.core.environment import installed_version
from fonderie.core.errors import UsageError
from fonderie.release.folder import FILES_LIMIT, is_safe_name, plain

if TYPE_CHECKING:
    import httpx2

# The answer on a repository of 100,000 files has some 25 MB.
ANSWER_LIMIT_BYTES = 32 << 20
REQUEST_SECONDS = 20.0
ALL_SECONDS = 180.0
HUB_NAME = re.compile(r"^[A-Za-z0-9][A-Za-z0-9._-]{0,95}(/[A-Za-z0-9][A-Za-z0-9._-]{0,95})?$")
_COMMIT = re.compile(r"^[0-9a-f]{40}([0-9a-f]{24})?$")
_NOT_FOUND = (401, 403, 404, 410)
"""A hub answers 401 for what does not exist, so as not to say what is private."""


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class _Repository(_Record):
    """A record in which a hub writes null for what there is none of."""

    @model_validator(mode="before")
    @classmethod
    def _without_nulls(cls, value: Any) -> Any:
        return {key: item for key, item in value.items() if item is not None} if isinstance(value, dict) else value


class _Lfs(_Record):
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")


class _Sibling(_Record):
    rfilename: str
    size: int | None = None
    lfs: _Lfs | None = None


class HubModel(_Repository):
    """What a hub says of a repository."""

    id: str
    sha: str
    gated: bool | str = False
    """False, "auto" (whoever accepts), "manual" (whom the owner accepts)."""
    tags: tuple[str, ...] = ()
    card: dict[str, Any] = Field(default_factory=dict, alias="cardData")
    siblings: tuple[_Sibling, ...] = ()
    answer_sha256: str = ""
    """Of the hub's answer, which no file holds."""


class HubData(_Repository):
    """What a hub says of a data set; `found` is False if the public sees none of that name."""

    id: str
    found: bool = True
    detail: str = ""
    sha: str = ""
    gated: bool | str = False
    card: dict[str, Any] = Field(default_factory=dict, alias="cardData")
    siblings: tuple[_Sibling, ...] = ()
    answer_sha256: str = ""


_Answer = TypeVar("_Answer", HubModel, HubData)


class NotThereError(Exception):
    """The hub shows the public no such thing."""


class Hub:
    """One hub during one audit."""

    def __init__(self, endpoint: str | None = None, client: "httpx2.Client | None" = None) -> None:
        from huggingface_hub import constants, get_session

        self.endpoint = (endpoint or os.environ.get("HF_ENDPOINT") or constants.ENDPOINT).rstrip("/")
        self._client = client or get_session()
        self._until = time.monotonic() + ALL_SECONDS

    def model(self, name: str, revision: str | None) -> HubModel:
        """A model's repository at a revision; UsageError if there is none, or no hub."""
        from urllib.parse import quote

        path = f"/api/models/{name}" + (f"/revision/{quote(revision, safe='')}" if revision else "")
        try:
            found = self._record(f"{path}?blobs=true", HubModel)
        except NotThereError as error:
            what = f"'{name}'" + (f" at revision '{plain(revision)}'" if revision else "")
            raise UsageError(
                f"{what} is neither a path here nor a public repository at {self.endpoint}",
                hint="Give a folder, an MOF YAML file, or OWNER/NAME; HF_ENDPOINT names another hub.",
            ) from error
        except UnreadableError as error:
            raise UsageError(f"the hub at {self.endpoint} cannot be read: {error}") from error
        if not _COMMIT.match(found.sha):
            raise UsageError(f"the hub at {self.endpoint} does not say which commit of '{name}' it shows")
        return found

    def dataset(self, name: str) -> HubData:
        """What the public sees of a data set; UnreadableError if the hub does not answer."""
        if not HUB_NAME.match(name):
            return HubData(id=name, found=False, detail="no name that a hub can have")
        try:
            return self._record(f"/api/datasets/{name}", HubData)
        except NotThereError as error:
            return HubData(id=name, found=False, detail=str(error))

    def branches(self, name: str) -> list[str]:
        """Branches and tags of a model's repository; UnreadableError."""
        try:
            value, _ = self._json(f"/api/models/{name}/refs")
        except NotThereError:
            return []
        groups = [value.get(kind) for kind in ("branches", "tags")] if isinstance(value, dict) else []
        refs = [ref for group in groups if isinstance(group, list) for ref in group if isinstance(ref, dict)]
        return [ref["name"] for ref in refs if isinstance(ref.get("name"), str)]

    def read(self, name: str, commit: str, path: str, limit: int) -> bytes:
        """At most limit + 1 bytes of a file; UnreadableError."""
        from huggingface_hub import hf_hub_url

        try:
            return self._get(hf_hub_url(name, path, revision=commit, endpoint=self.endpoint), limit)
        except NotThereError as error:
            raise UnreadableError(f"the hub does not give it to the public ({error})") from error

    def _record(self, path: str, model: type[_Answer]) -> _Answer:
        value, digest = self._json(path)
        try:
            found = model.model_validate(value)
        except (ValidationError, RecursionError) as error:
            raise UnreadableError("its answer has not the form of a hub's") from error
        return found.model_copy(update={"answer_sha256": digest})

    def _json(self, path: str) -> tuple[Any, str]:
        data = self._get(self.endpoint + path, ANSWER_LIMIT_BYTES)
        if len(data) > ANSWER_LIMIT_BYTES:
            raise UnreadableError(f"its answer has more than {ANSWER_LIMIT_BYTES:,} bytes")
        try:
            return json.loads(data), digest_bytes(data)
        except (ValueError, RecursionError) as error:
            raise UnreadableError("its answer is not JSON") from error

    def _get(self, url: str, limit: int) -> bytes:
        import httpx2
        from huggingface_hub.errors import OfflineModeIsEnabled

        data = bytearray()
        if time.monotonic() > self._until:
            raise UnreadableError(f"not asked: the audit has taken {ALL_SECONDS:.0f} s")
        try:
            # Without a token: an audit sees what the public sees, and a gate is a gate.
            headers = {"user-agent": f"fonderie/{installed_version('fonderie')}", "accept-encoding": "identity"}
            with self._client.stream("GET", url, headers=headers, timeout=REQUEST_SECONDS) as answer:
                if answer.status_code in _NOT_FOUND:
                    raise NotThereError(f"status {answer.status_code}")
                if answer.status_code != 200:
                    raise UnreadableError(f"status {answer.status_code}")
                for chunk in answer.iter_bytes(1 << 16):
                    data += chunk
                    if len(data) > limit:
                        break
                    if time.monotonic() > self._until:
                        raise UnreadableError(f"it took more than {ALL_SECONDS:.0f} s")
        except (httpx2.HTTPError, httpx2.InvalidURL, OfflineModeIsEnabled, OSError) as error:
            raise UnreadableError(plain(str(error) or type(error).__name__)) from error
        return bytes(data[: limit + 1])


def open_repository(hub: Hub, name: str, revision: str | None = None) -> tuple[Target, HubModel]:
    """A hub's repository as a target, pinned to the commit that the hub shows now."""
    found = hub.model(name, revision)
    if len(found.siblings) > FILES_LIMIT:
        raise UsageError(f"'{name}' holds more than {FILES_LIMIT:,} files: no release does")
    entries, refused = {}, []
    for sibling in found.siblings:
        if not is_safe_name(sibling.rfilename) or not sibling.rfilename.isprintable():
            refused.append((sibling.rfilename, "not a name inside a repository"))
            continue
        sha256 = f"sha256:{sibling.lfs.sha256}" if sibling.lfs else ""
        entries[sibling.rfilename] = Entry(sibling.size, sha256)
    target = Target(
        kind="hub",
        name=name,
        revision=found.sha,
        entries=dict(sorted(entries.items())),
        fetch=lambda path, limit: hub.read(name, found.sha, path, limit),
        refused=tuple(refused),
    )
    return target, found
