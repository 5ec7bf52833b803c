"""A request that is not as the document says: the one problem that tells most, by the name of its field."""

import re
from typing import Any

from fastapi.exceptions import RequestValidationError

from fonderie.serve.api.errors import ApiError

NAME_LIMIT = 80
"""Characters of a field's name that an error repeats."""
_WAY = re.compile(r"\[|^(constrained-)?(str|int|float|bool)$")
"""How pydantic calls one of several ways to write a field."""
_WORDS = {
    "model_attributes_type": "this is no JSON object",
    "model_type": "this is no JSON object",
    "string_unicode": "this is no text: it holds half of a surrogate pair",
}


def invalid(error: RequestValidationError) -> ApiError:
    """The problem as OpenAI's clients read it; the request's own text is not repeated."""
    found = _most_telling(list(error.errors()))
    place = _place(found["loc"])
    param, kind = place[0] if place else None, str(found["type"])
    if kind == "json_invalid":
        return ApiError(400, "the body is not JSON", code="invalid_json")
    if kind == "extra_forbidden":
        name = ".".join(place)
        return ApiError(400, f"{name} is not supported here", code="unsupported_parameter", param=name)
    if kind == "missing":
        return ApiError(400, f"{'.'.join(place) or 'the body'} is missing", code="missing_field", param=param)
    message = _WORDS.get(kind, str(found["msg"]).removeprefix("Value error, "))
    if param is None and isinstance(error.body, dict) and message.split()[0] in error.body:
        # What contradicts something else is said by its name: "top_logprobs needs logprobs = true".
        return ApiError(400, message, code="invalid_value", param=message.split()[0])
    return ApiError(
        400,
        f"{'.'.join(place) or 'the body'}: {message}" if place or kind in _WORDS else message,
        code="invalid_value",
        param=param,
    )


def _most_telling(problems: list[dict[str, Any]]) -> dict[str, Any]:
    """Of several ways to write a field each says why it is not that; one that is of the right type, and was read
    furthest, was meant."""
    same = [problem for problem in problems if problem["loc"][:2] == problems[0]["loc"][:2]]
    return max(same, key=lambda problem: (not str(problem["type"]).endswith("_type"), len(problem["loc"])))


def _place(loc: tuple[Any, ...]) -> list[str]:
    inner = [str(part)[:NAME_LIMIT] for part in loc if part not in ("body", "query")]
    return [part for index, part in enumerate(inner) if index == 0 or not _WAY.search(part)]
