"""What llama.cpp's grammars of a JSON Schema pass over in silence, so that it can be refused instead.

Read from common/json-schema.cpp and json-schema-to-grammar.cpp of llama.cpp, build 11434. What it refuses itself,
such as a reference to nowhere, is left to it.
"""

from collections.abc import Mapping
from typing import Any

ANNOTATIONS = frozenset(
    {"$comment", "$defs", "$id", "$schema", "default", "definitions", "description", "examples", "title"}
)
"""These hold an answer to nothing."""
ALONE = ("$ref", "anyOf")
"""Where one of these stands, whatever stands beside it is passed over."""
HELD = frozenset(
    {
        "additionalProperties",
        "const",
        "enum",
        "items",
        "maxItems",
        "maxLength",
        "minItems",
        "minLength",
        "properties",
        "required",
        "type",
        *ALONE,
    }
)
INTEGER_HELD = frozenset({"minimum", "maximum"})
"""Of whole numbers only."""
FORMATS = frozenset({"date", "date-time", "time", "uuid"})


def passed_over_in(schema: Any) -> str | None:
    """The first keyword of a schema, at any depth, that would be passed over; None if there is none."""
    if not isinstance(schema, Mapping):
        return None
    own = [keyword for keyword in schema if keyword not in ANNOTATIONS]
    alone = next((keyword for keyword in ALONE if keyword in schema), None)
    for keyword in own:
        if not _held(schema, keyword) or alone not in (None, keyword):
            return str(keyword)
    required, properties = schema.get("required"), schema.get("properties")
    if isinstance(required, list) and any(name not in _mapping(properties) for name in required):
        return "required, of what is not among properties,"
    return next((found for below in _below(schema) if (found := passed_over_in(below)) is not None), None)


def _held(schema: Mapping[str, Any], keyword: str) -> bool:
    if keyword in INTEGER_HELD:
        return bool(schema.get("type") == "integer")
    if keyword == "format":
        return schema.get("type") == "string" and str(schema[keyword]) in FORMATS
    return keyword in HELD


def _below(schema: Mapping[str, Any]) -> list[Any]:
    """The schemas that stand in a schema."""
    alternatives = schema.get("anyOf")
    found = [schema.get("additionalProperties"), schema.get("items")]
    found += alternatives if isinstance(alternatives, list) else []
    for keyword in ("$defs", "definitions", "properties"):
        found += _mapping(schema.get(keyword)).values()
    return found


def _mapping(value: Any) -> Mapping[Any, Any]:
    return value if isinstance(value, Mapping) else {}
