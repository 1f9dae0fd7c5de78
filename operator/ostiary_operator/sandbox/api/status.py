"""What goes wrong, as Kubernetes' Status objects say it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ostiary_operator.sandbox.api.values import quoted

Json = dict[str, Any]


class ApiError(Exception):
    """A request that failed, with the Status object that tells the caller."""

    def __init__(
        self,
        code: int,
        reason: str,
        message: str,
        details: Json | None = None,
        retry_after: int | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.reason = reason
        self.message = message
        self.details = details
        self.retry_after = retry_after

    def status(self) -> Json:
        """The Status object."""
        details = dict(self.details or {})
        if self.retry_after is not None:
            details["retryAfterSeconds"] = self.retry_after
        body: Json = {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": self.message,
        }
        if self.reason:
            body["reason"] = self.reason
        if details:
            body["details"] = details
        return body | {"code": self.code}


@dataclass(frozen=True)
class FieldError:
    """One fault of one field, in the words of Kubernetes' field errors."""

    reason: str
    path: str
    text: str

    def __str__(self) -> str:
        return f"{self.path}: {self.text}"

    def cause(self) -> Json:
        """As an entry of `details.causes`."""
        return {"reason": self.reason, "message": self.text, "field": self.path}


def required(path: str, detail: str = "") -> FieldError:
    """A field that must be there and is not."""
    return FieldError("FieldValueRequired", path, "Required value" + (f": {detail}" if detail else ""))


def invalid_value(path: str, value: object, detail: str) -> FieldError:
    """A field whose value will not do."""
    return FieldError("FieldValueInvalid", path, f"Invalid value: {quoted(value)}: {detail}")


def invalid_type(path: str, value: object, kind: str, found: str) -> FieldError:
    """A field of another type than the schema's."""
    detail = f"{path} in body must be of type {kind}: {quoted(found)}"
    return FieldError("FieldValueTypeInvalid", path, f"Invalid value: {quoted(found)}: {detail}")


def unsupported(path: str, value: object, supported: Sequence[object]) -> FieldError:
    """A value that is none of an enumeration's."""
    words = ", ".join(quoted(one) for one in supported)
    return FieldError(
        "FieldValueNotSupported", path, f"Unsupported value: {quoted(value)}: supported values: {words}"
    )


def forbidden_field(path: str, detail: str) -> FieldError:
    """A field that may not be set, or changed, here."""
    return FieldError("FieldValueForbidden", path, f"Forbidden: {detail}")


def duplicate(path: str, value: object) -> FieldError:
    """A value that occurs twice where it must be unique."""
    return FieldError("FieldValueDuplicate", path, f"Duplicate value: {quoted(value)}")


def named(resource: str, group: str) -> str:
    """`deployments.apps`, as messages name a resource."""
    return f"{resource}.{group}" if group else resource


def _details(group: str, kind: str, name: str) -> Json:
    details: Json = {}
    if name:
        details["name"] = name
    if group:
        details["group"] = group
    return details | {"kind": kind}


def bad_request(message: str) -> ApiError:
    """400: what came cannot be understood."""
    return ApiError(400, "BadRequest", message)


def unauthorized() -> ApiError:
    """401: nobody that is known."""
    return ApiError(401, "Unauthorized", "Unauthorized")


def forbidden(group: str, resource: str, name: str, why: str) -> ApiError:
    """403: known, and not allowed."""
    what = f'{named(resource, group)} "{name}"' if name else named(resource, group)
    return ApiError(403, "Forbidden", f"{what} is forbidden: {why}", _details(group, resource, name))


def not_found(group: str, resource: str, name: str) -> ApiError:
    """404: no such object."""
    message = f'{named(resource, group)} "{name}" not found'
    return ApiError(404, "NotFound", message, _details(group, resource, name))


def no_such_resource() -> ApiError:
    """404: no such kind of object."""
    return ApiError(404, "NotFound", "the server could not find the requested resource", {})


def method_not_allowed() -> ApiError:
    """405: the resource has no such verb."""
    message = "the server does not allow this method on the requested resource"
    return ApiError(405, "MethodNotAllowed", message, {})


def not_here(what: str) -> ApiError:
    """405: what a cluster with real containers can do."""
    message = f'{what} is not supported on resources of kind "pods": the sandbox runs no containers'
    return ApiError(405, "MethodNotAllowed", message)


def not_acceptable(offered: Sequence[str]) -> ApiError:
    """406: the caller takes none of the media types there are."""
    message = f"only the following media types are accepted: {', '.join(offered)}"
    return ApiError(406, "NotAcceptable", message)


def already_exists(group: str, resource: str, name: str) -> ApiError:
    """409: the name is taken."""
    message = f'{named(resource, group)} "{name}" already exists'
    return ApiError(409, "AlreadyExists", message, _details(group, resource, name))


MODIFIED = "the object has been modified; please apply your changes to the latest version and try again"


def conflict(group: str, resource: str, name: str, why: str = MODIFIED) -> ApiError:
    """409: somebody else was quicker."""
    message = f'Operation cannot be fulfilled on {named(resource, group)} "{name}": {why}'
    return ApiError(409, "Conflict", message, _details(group, resource, name))


def expired(message: str) -> ApiError:
    """410: the version asked for is no longer kept."""
    return ApiError(410, "Expired", message)


def too_large_body(limit: int) -> ApiError:
    """413: more bytes than a request may have."""
    return too_large(f"limit is {limit}")


def too_large(why: str) -> ApiError:
    """413: more of something than a request may have."""
    return ApiError(413, "RequestEntityTooLarge", f"Request entity too large: {why}")


def unsupported_media_type(accepted: Sequence[str]) -> ApiError:
    """415: the body is of a type that nothing here reads."""
    message = "the body of the request was in an unknown format - accepted media types include: " + ", ".join(
        accepted
    )
    return ApiError(415, "UnsupportedMediaType", message)


def invalid(group: str, kind: str, name: str, errors: Sequence[FieldError]) -> ApiError:
    """422: understood, and wrong."""
    words = [str(error) for error in errors]
    what = words[0] if len(words) == 1 else f"[{', '.join(words)}]"
    details = _details(group, kind, name) | {"causes": [error.cause() for error in errors]}
    return ApiError(422, "Invalid", f'{named(kind, group)} "{name}" is invalid: {what}', details)


def too_many_requests(message: str, retry_after: int | None, details: Json | None = None) -> ApiError:
    """429: not now."""
    return ApiError(429, "TooManyRequests", message, details, retry_after)


def internal(message: str) -> ApiError:
    """500: the server's own fault."""
    return ApiError(
        500, "InternalError", f"Internal error occurred: {message}", {"causes": [{"message": message}]}
    )


def unavailable(message: str) -> ApiError:
    """503: the server is not there for now."""
    return ApiError(503, "ServiceUnavailable", message)


def too_large_version(asked: int, current: int) -> ApiError:
    """504: a version that has not happened yet."""
    message = f"Timeout: Too large resource version: {asked}, current: {current}"
    causes = [{"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}]
    return ApiError(504, "Timeout", message, {"causes": causes}, 1)
