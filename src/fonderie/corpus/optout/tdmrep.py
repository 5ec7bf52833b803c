"""TDMRep: a protocol for reserving rights against text and data mining (W3C community group, report of May 2024).

A file per site, a header, a <meta> in the page; the nearer to the page, the more it counts. What is invalid is
unset.
"""

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from fonderie.corpus.optout.addresses import escape, matches
from fonderie.corpus.optout.robots import decode

RESERVATION = "tdm-reservation"
POLICY = "tdm-policy"

Rules = tuple[tuple[str, bool], ...]
"""Path patterns with whether rights are reserved there, in the order of the file."""


def read_file(data: bytes) -> Rules | None:
    """The rules of /.well-known/tdmrep.json without invalid ones; None stands for a file that is no JSON."""
    try:
        content = json.loads(decode(data))
    except (ValueError, RecursionError):
        return None
    entries = content if isinstance(content, list) else [content]
    return tuple(rule for entry in entries if (rule := _rule(entry)) is not None)


def of_file(rules: Rules, path: str) -> bool | None:
    """Whether the file reserves rights on a path; the first rule that matches speaks, None if none does."""
    return next((reserved for pattern, reserved in rules if matches(pattern, path)), None)


def of_page(fields: Mapping[str, str]) -> bool | None:
    """What a header or <meta> of the page says; repeated values come joined by commas, and one "1" is enough."""
    values = {part.strip() for part in fields.get(RESERVATION, "").split(",")}
    if not values <= {"0", "1"}:
        return None
    return "1" in values


def _rule(entry: Any) -> tuple[str, bool] | None:
    if not isinstance(entry, dict):
        return None
    location, value = entry.get("location"), entry.get(RESERVATION)
    # True equals 1 in Python. "1" is no integer, but no one who writes it means anything else.
    reserved = value == "1" or (type(value) is int and value == 1)
    allowed = type(value) is int and value == 0
    if not isinstance(location, str) or not location.strip() or not (reserved or allowed):
        return None
    return _pattern(location.strip()), reserved


def _pattern(location: str) -> str:
    if location.lower().startswith(("http://", "https://")):
        try:
            location = urlsplit(location).path or "/"
        except ValueError:
            return "/"
    return escape(location if location.startswith(("/", "*")) else f"/{location}")
