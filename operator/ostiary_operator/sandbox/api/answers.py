"""Answers in JSON."""

from typing import Any

from aiohttp import web

from ostiary_operator.sandbox.api import status
from ostiary_operator.sandbox.api.accept import JSON
from ostiary_operator.sandbox.api.values import encoded


def as_json(body: Any, code: int = 200, warnings: list[str] | None = None) -> web.Response:
    """A body, with a `Warning` header for each warning, once."""
    response = web.Response(body=encoded(body), status=code, content_type=JSON)
    for warning in dict.fromkeys(warnings or ()):
        quoted = warning.replace("\\", "\\\\").replace('"', '\\"')
        response.headers.add("Warning", f'299 - "{quoted}"')
    return response


def failure(error: status.ApiError) -> web.Response:
    """The Status that says what was wrong."""
    response = as_json(error.status(), error.code)
    if error.retry_after is not None:
        response.headers["Retry-After"] = str(error.retry_after)
    return response
