"""WARC archives of crawls, and their WET companions of plain text (ISO 28500:2017; Common Crawl's use of both).

One record at a time is held. FastWARC reads the records but not the compression: where a member is cut
it ends as if the file were whole, and the offset would be lost.
"""

import base64
import hashlib
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from fonderie.core.errors import InputError
from fonderie.corpus.readers.pages import PageText, known_encoding, page
from fonderie.corpus.readers.raw import DOCUMENT_BYTES, Raw, language_code, open_binary

_HTML = ("text/html", "application/xhtml+xml")
_ABOUT = ("warcinfo", "request", "metadata")
"""Records about others: no documents."""
_TOO_LONG = "record longer than a document can be"
_HINT = "Fetch the file again, or take it out of the recipe's path."


def read_warc(path: Path, *, text: PageText) -> Iterator[Raw]:
    """One document per captured page: HTML or plain text, answered with status 200.

    Others are left out, each with its reason. `url`, `fetched` and `http_headers` are in the metadata.
    """
    for record, offset in _records(path):
        kind = record.headers.get("WARC-Type") or ""
        where = f"{path}, record at offset {offset:,}"
        if kind in _ABOUT:
            _pass(record, where)
            continue
        found = _captured(record, kind, text, where)
        yield replace(found, fragment=f"#record-{offset}", metadata={**_about(record), **found.metadata})


def read_wet(path: Path) -> Iterator[Raw]:
    """One document per `conversion` record: the text that the crawl's owner took from a page."""
    for record, offset in _records(path):
        where = f"{path}, record at offset {offset:,}"
        if record.headers.get("WARC-Type") != "conversion":
            _pass(record, where)
            continue
        languages = (record.headers.get("WARC-Identified-Content-Language") or "").split(",")
        found = _bounded(record, where)
        if found is None:
            found = Raw(
                _block(record, where).decode("utf-8", errors="replace").strip(),
                language=language_code(languages[0]) if len(languages) == 1 else None,
            )
        yield replace(found, fragment=f"#record-{offset}", metadata=_about(record))


def _records(path: Path) -> Iterator[tuple[Any, int]]:
    """Each record with its offset in the decompressed stream; InputError where the file is cut or not WARC."""
    from fastwarc.warc import ArchiveIterator

    offset, seen = 0, False
    with open_binary(path) as file:
        try:
            for record in ArchiveIterator(file, parse_http=False, stream_detect=False):
                offset, seen = record.stream_pos, True
                if record.headers.get("WARC-Type") is None or record.headers.get("Content-Length") is None:
                    raise InputError(f"{path} is truncated or corrupt: half a record at offset {offset:,}")
                yield record, offset
        except OSError as error:
            raise InputError(
                f"{path} is not WARC, or corrupt, after the record at offset {offset:,}: {error}"
            ) from error
        if not seen:
            raise InputError(f"{path} is empty: no WARC record", hint="Fetch the file again.")


def _block(record: Any, where: str) -> bytes:
    """The record's bytes; InputError if the file ends before them, or if they are not what was written."""
    wanted = record.content_length
    block = bytes(record.reader.read(wanted))
    _whole(len(block), wanted, where)
    algorithm, _, stated = (record.headers.get("WARC-Block-Digest") or "").partition(":")
    if algorithm.lower() == "sha1":
        sha1 = hashlib.sha1(block, usedforsecurity=False)
        if stated.upper() not in (base64.b32encode(sha1.digest()).decode(), sha1.hexdigest().upper()):
            raise InputError(f"{where}: corrupt, its bytes do not have the digest sha1:{stated}", hint=_HINT)
    return block


def _pass(record: Any, where: str) -> None:
    """Go on after a record that is not read; InputError if the file ends within it, and what follows is lost."""
    _whole(record.reader.consume(), record.content_length, where)


def _whole(found: int, wanted: int, where: str) -> None:
    if found < wanted:
        raise InputError(f"{where}: truncated, {found:,} of {wanted:,} bytes", hint=_HINT)


def _captured(record: Any, kind: str, text: PageText, where: str) -> Raw:
    from fastwarc.warc import WarcRecord

    too_long = _bounded(record, where)
    if too_long is not None:
        return too_long
    if kind not in ("response", "resource"):
        _pass(record, where)
        return Raw("", left_out="record holds no page", detail=kind)
    block = _block(record, where)
    if not record.is_http:
        return _page(block, record.headers.get("Content-Type"), {}, text)
    # A record of its own: one whose answer cannot be decoded would take the archive's reader with it.
    answer = WarcRecord()
    answer.set_bytes_content(block)
    answer.is_http = True
    try:
        answer.parse_http(auto_decode="all")
        body = bytes(answer.reader.read(DOCUMENT_BYTES + 1))
    except (OSError, ValueError) as error:
        return Raw("", left_out="HTTP answer cannot be decoded", detail=str(error))
    headers = _headers(answer)
    if answer.http_headers.status_code != 200:
        detail = str(answer.http_headers.status_code)
        return Raw("", left_out="HTTP status is not 200", detail=detail, metadata=_kept(headers))
    if len(body) > DOCUMENT_BYTES:
        return Raw("", left_out=_TOO_LONG, detail="when decompressed", metadata=_kept(headers))
    return _page(body, headers.get("content-type"), headers, text)


def _bounded(record: Any, where: str) -> Raw | None:
    if record.content_length <= DOCUMENT_BYTES:
        return None
    _pass(record, where)
    return Raw("", left_out=_TOO_LONG, detail=f"{record.content_length:,} bytes")


def _headers(record: Any) -> dict[str, str]:
    """HTTP headers by lower-case name; several of one name are joined (RFC 9110, section 5.3)."""
    headers: dict[str, str] = {}
    for name, value in record.http_headers.items():
        key = name.lower()
        headers[key] = f"{headers[key]}, {value}" if key in headers else value
    return headers


def _page(body: bytes, content_type: str | None, headers: dict[str, str], text: PageText) -> Raw:
    kind, _, parameters = (content_type or "").partition(";")
    kind = kind.strip().lower()
    charset = parameters.partition("charset=")[2].strip(" \"'").partition(";")[0].lower() or None
    if kind in _HTML:
        found = page(body, charset=charset, text=text)
    elif kind == "text/plain":
        from resiliparse.parse.encoding import bytes_to_str

        found = Raw(bytes_to_str(body, known_encoding(charset) or "utf-8", errors="replace").strip())
    else:
        found = Raw("", left_out="record is not text", detail=kind or "no content type")
    return replace(found, metadata={**_kept(headers), **found.metadata})


def _kept(headers: dict[str, str]) -> dict[str, str]:
    return {"http_headers": json.dumps(headers, ensure_ascii=False, sort_keys=True)} if headers else {}


def _about(record: Any) -> dict[str, str]:
    fields = {
        "url": record.headers.get("WARC-Target-URI"),
        "fetched": record.headers.get("WARC-Date"),
        "record": record.headers.get("WARC-Record-ID"),
        "truncated": record.headers.get("WARC-Truncated"),
    }
    return {name: value for name, value in fields.items() if value}
