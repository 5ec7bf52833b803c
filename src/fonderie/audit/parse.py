"""YAML and JSON from strangers: bounded in size, depth and number of nodes, without aliases and tags that build.

A document of 300 bytes can name a billion nodes by aliases, one of 100 kB can nest deeper than a parser's stack.
What passes here is plain data: dictionaries, lists, text, numbers, true, false, nothing, dates.
"""

import json
import re
from typing import Any

YAML_LIMIT_CHARS = 512 << 10
JSON_LIMIT_CHARS = 8 << 20
# The largest card of the hub that we know of has some 2,000 nodes of front matter (evaluation results).
NODES_LIMIT = 50_000
DEPTH_LIMIT = 40

_FENCE = re.compile(r"^---[ \t]*\r?$", re.MULTILINE)


class ParseError(ValueError):
    """The text is no YAML or JSON that a program should read; says why, without quoting the text."""


def read_yaml(text: str) -> Any:
    """The value of one YAML document; ParseError."""
    import yaml

    if len(text) > YAML_LIMIT_CHARS:
        raise ParseError(f"more than {YAML_LIMIT_CHARS:,} characters of YAML")
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        _check_events(yaml.parse(text, Loader=loader))
        return yaml.load(text, Loader=loader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f" at line {mark.line + 1}" if mark is not None else ""
        raise ParseError(f"not YAML{place}: {getattr(error, 'problem', None) or 'unreadable'}") from error
    except (ValueError, TypeError, OverflowError, RecursionError) as error:
        if isinstance(error, ParseError):
            raise
        # A date of month 13, a number of 5,000 digits: YAML in form, no value.
        raise ParseError(f"not YAML: {type(error).__name__}") from error


def _check_events(events: Any) -> None:
    """Count before anything is built."""
    import yaml

    depth = nodes = 0
    for event in events:
        if isinstance(event, yaml.AliasEvent):
            raise ParseError("YAML with aliases, which can multiply without end")
        nodes += isinstance(event, yaml.NodeEvent)
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if depth > DEPTH_LIMIT:
            raise ParseError(f"YAML nested deeper than {DEPTH_LIMIT}")
        if nodes > NODES_LIMIT:
            raise ParseError(f"YAML of more than {NODES_LIMIT:,} nodes")


def read_json(text: str) -> Any:
    """The value of one JSON document; ParseError."""
    if len(text) > JSON_LIMIT_CHARS:
        raise ParseError(f"more than {JSON_LIMIT_CHARS:,} characters of JSON")
    try:
        value = json.loads(text)
    except RecursionError as error:
        raise ParseError("JSON nested too deep") from error
    except ValueError as error:
        raise ParseError(f"not JSON: {getattr(error, 'msg', 'unreadable')}") from error
    return value


def split_front_matter(text: str) -> tuple[str, str]:
    """The YAML head of a Markdown page, as text, and the rest; the head is empty if there is none."""
    text = text.removeprefix("\ufeff")
    fences = _FENCE.finditer(text)
    first = next(fences, None)
    if first is None or text[: first.start()].strip():
        return "", text
    second = next(fences, None)
    return (text[first.end() : second.start()], text[second.end() :]) if second else ("", text)


def texts(value: Any) -> list[str]:
    """A field that may hold one text or several: the texts in it, whatever else it holds."""
    if isinstance(value, str):
        return [value] if value.strip() else []
    if isinstance(value, list):
        return [item for item in value if isinstance(item, str) and item.strip()]
    return []
