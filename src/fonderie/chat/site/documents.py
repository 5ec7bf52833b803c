"""The files of a release that people read: its card, its documents, what its findings rest on.

Only what release.json lists, and only the very bytes it lists. They were written by the release's maker, so they
get a policy of their own: styles of the page itself, no script, no form, nothing from anywhere.
"""

import re
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from fastapi import FastAPI, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import Response
from starlette.exceptions import HTTPException

from fonderie.chat.site.words import read_words
from fonderie.core.digest import digest_bytes
from fonderie.core.manifest import FileEntry
from fonderie.release.folder import is_safe_name
from fonderie.release.writing.html import to_html
from fonderie.release.writing.words import Language
from fonderie.serve.served import Served

LIMIT_BYTES = 4 << 20
"""Of what is shown in a browser: no weights and no corpora."""
POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src 'self' data:; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'; sandbox"
)
_KINDS = {
    ".html": "text/html; charset=utf-8",
    ".json": "application/json",
    ".jsonl": "text/plain; charset=utf-8",
    ".jinja": "text/plain; charset=utf-8",
    ".md": "text/html; charset=utf-8",  # read as Markdown, and shown as a page
    ".svg": "image/svg+xml",
    ".toml": "text/plain; charset=utf-8",
    ".txt": "text/plain; charset=utf-8",
    "": "text/plain; charset=utf-8",  # LICENSE
}
_CARDS: dict[Language, str] = {"en": "README.md", "fr": "README.fr.md"}
_HEADER = re.compile(r"\A---\n(.*?)\n---\n", re.DOTALL)


def readable(entry: FileEntry) -> bool:
    """Whether a file is one for people to read in a browser."""
    return entry.size_bytes <= LIMIT_BYTES and PurePosixPath(entry.path).suffix in _KINDS


def add_documents(app: FastAPI, models: Mapping[str, Served]) -> None:
    """Declare `/release/<name>/<path>`."""
    listed = {
        name: {entry.path: entry.sha256 for entry in model.index.files if readable(entry)}
        for name, model in models.items()
    }

    @app.get("/release/{name}/{path:path}", include_in_schema=False)
    async def document(name: str, path: str, request: Request) -> Response:
        digest = listed.get(name, {}).get(path)
        if digest is None or not is_safe_name(path):
            raise HTTPException(404, "no such document")
        tag = f'"{digest.removeprefix("sha256:")}"'
        headers = {
            "content-security-policy": POLICY,
            "x-content-type-options": "nosniff",
            "referrer-policy": "no-referrer",
            "cache-control": "no-cache",
            "etag": tag,
        }
        if request.headers.get("if-none-match") == tag:
            return Response(status_code=304, headers=headers)
        body = await run_in_threadpool(_read, models[name].folder, path, digest)
        if PurePosixPath(path).suffix == ".md":
            body = _page(body.decode("utf-8"), name, path, listed[name])
        return Response(body, media_type=_KINDS[PurePosixPath(path).suffix], headers=headers)


def _read(folder: Path, path: str, digest: str) -> bytes:
    """The bytes of a listed file; 404 if they are not the ones that were listed."""
    try:
        data = (folder / path).read_bytes()
    except OSError as error:
        raise HTTPException(404, "no such document") from error
    if digest_bytes(data) != digest:
        raise HTTPException(404, "this document is not the one that the release lists")
    return data


def _page(markdown: str, name: str, path: str, listed: Mapping[str, str]) -> bytes:
    """A card as people read it: what stands at its head for programs comes last, and links lead back."""
    language: Language = "fr" if path.endswith(".fr.md") else "en"
    words = read_words(language)
    header = _HEADER.match(markdown)
    if header is not None:
        title, body = words["model.for_programs"], markdown[header.end() :]
        markdown = f"{body}\n\n## {title}\n\n~~~~~~~~yaml\n{header[1]}\n~~~~~~~~\n"
    links = [(f"/{language}/models/{name}", words["model.back"].format(name=name), language)]
    for other, card in _CARDS.items():
        if path in _CARDS.values() and card != path and card in listed:
            links.append((f"/release/{name}/{card}", words[f"common.language.{other}"], other))
    page = to_html(
        markdown, title=f"{name} · {path}", language=language, skip=words["common.skip"], links=links, pictures=True
    )
    return page.encode("utf-8")
