"""Crawl archives made on the spot."""

import gzip
import hashlib

PAGE = """<!doctype html><html lang="fr-FR"><head><title>Le
 loup</title><meta name="robots" content="noai"><meta name="ROBOTS" content="noimageai">
<meta name="description" content="menu"><meta name="tdm-reservation" content="1">{head}</head><body>
<nav><a href="/">Accueil</a></nav><main><h1>Le loup</h1><p>Il était une fois un loup qui avait très faim,
et qui courait par les bois.</p><script>var x</script></main><footer>{foot}</footer></body></html>"""


def page(head: str = "", foot: str = "") -> str:
    return PAGE.format(head=head, foot=foot)


def response(
    body: bytes,
    *,
    url: str = "https://exemple.fr/loup",
    headers: str = "Content-Type: text/html; charset=utf-8",
    status: str = "200 OK",
) -> bytes:
    """A `response` record as crawlers write it, with its digest."""
    http = f"HTTP/1.1 {status}\r\n{headers}\r\n\r\n".encode() + body
    return record("response", http, url=url, content_type="application/http; msgtype=response")


def record(
    kind: str,
    block: bytes,
    *,
    url: str = "https://exemple.fr/loup",
    content_type: str = "text/plain",
    more: str = "",
) -> bytes:
    import base64

    digest = base64.b32encode(hashlib.sha1(block).digest()).decode()
    head = (
        f"WARC/1.0\r\nWARC-Type: {kind}\r\nWARC-Record-ID: <urn:uuid:00000000-0000-0000-0000-000000000001>\r\n"
        f"WARC-Target-URI: {url}\r\nWARC-Date: 2024-05-01T12:00:00Z\r\nWARC-Block-Digest: sha1:{digest}\r\n{more}"
        f"Content-Type: {content_type}\r\nContent-Length: {len(block)}\r\n\r\n"
    )
    return head.encode() + block + b"\r\n\r\n"


def archive(*records: bytes, packed: bool = True) -> bytes:
    """One gzip member a record, as the standard's annex asks, or plain."""
    return b"".join(gzip.compress(item) if packed else item for item in records)
