"""A hub's few routes that an audit asks for, on the loopback, answering as the real one does."""

import hashlib
import json
from typing import Any

from tests.audit.loopback import Site

COMMIT = "0123456789abcdef0123456789abcdef01234567"
LFS_BYTES = 10_000_000
"""From this size on, a hub keeps a file apart and states its SHA-256."""


def publish(
    site: Site,
    name: str,
    files: dict[str, bytes | str],
    *,
    kind: str = "models",
    branches: tuple[str, ...] = ("main",),
    revisions: tuple[str, ...] = (),
    sizes: dict[str, int] | None = None,
    **answer: Any,
) -> None:
    """Put a repository on the stand-in; `answer` overrides what it says of it, `sizes` what it says of files."""
    sizes = sizes or {}
    data = {path: text.encode("utf-8") if isinstance(text, str) else text for path, text in files.items()}
    record = {
        "id": name,
        "sha": COMMIT,
        "private": False,
        "gated": False,
        "disabled": False,
        "tags": [],
        "siblings": [_sibling(path, body, sizes.get(path, len(body))) for path, body in data.items()],
        **answer,
    }
    body = json.dumps(record).encode("utf-8")
    for path in (f"/api/{kind}/{name}", *(f"/api/{kind}/{name}/revision/{revision}" for revision in revisions)):
        site.serve(path, body)
        site.serve(f"{path}?blobs=true", body)
    refs = {"branches": [{"name": branch, "ref": f"refs/heads/{branch}"} for branch in branches], "tags": []}
    site.serve(f"/api/{kind}/{name}/refs", json.dumps(refs).encode("utf-8"))
    for path, body in data.items():
        site.serve(f"/{name}/resolve/{COMMIT}/{path}", body)


def _sibling(path: str, body: bytes, size: int) -> dict[str, Any]:
    found: dict[str, Any] = {"rfilename": path, "size": size, "blobId": "0" * 40}
    if size >= LFS_BYTES or path.endswith((".safetensors", ".bin")):
        found["lfs"] = {"size": size, "sha256": hashlib.sha256(body).hexdigest(), "pointerSize": 130}
    return found
