"""Errors as OpenAI's clients read them: {"error": {message, type, param, code}}, with the status that they know.

Only code that a person may see is in a message; nothing of anyone's text.
"""

from typing import Any

from fastapi.responses import JSONResponse
from pydantic import BaseModel


class ErrorDetail(BaseModel):
    """What went wrong."""

    message: str
    type: str
    param: str | None
    code: str


class ErrorBody(BaseModel):
    """Every error, whatever the status."""

    error: ErrorDetail


class ApiError(Exception):
    """What a request is answered with instead."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        code: str,
        param: str | None = None,
        retry_after_seconds: int | None = None,
    ) -> None:
        super().__init__(message)
        self.status, self.message, self.code, self.param = status, message, code, param
        self.more: dict[str, Any] = {}
        """Fields of the error that are not OpenAI's."""
        self.headers = {} if retry_after_seconds is None else {"retry-after": str(retry_after_seconds)}

    @property
    def body(self) -> dict[str, Any]:
        """The error as JSON."""
        error = {"message": self.message, "type": _TYPES.get(self.status, _OTHERS[self.status >= 500])}
        return {"error": {**error, "param": self.param, "code": self.code, **self.more}}

    def response(self) -> JSONResponse:
        """The error as a response."""
        return JSONResponse(self.body, self.status, headers=self.headers)


_TYPES = {
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    409: "conflict_error",
    429: "rate_limit_error",
    503: "service_unavailable_error",
}
_OTHERS = ("invalid_request_error", "server_error")
"""Of statuses without a type of their own: whose fault it is."""


def bad(message: str, param: str | None = None, code: str = "invalid_value") -> ApiError:
    """A request that cannot be answered as it is."""
    return ApiError(400, message, code=code, param=param)


def busy(message: str, retry_after_seconds: int = 5) -> ApiError:
    """Try again later."""
    return ApiError(429, message, code="overloaded", retry_after_seconds=retry_after_seconds)


def closed(message: str, retry_after_seconds: int | None = None) -> ApiError:
    """The service takes nothing now."""
    return ApiError(503, message, code="unavailable", retry_after_seconds=retry_after_seconds)
