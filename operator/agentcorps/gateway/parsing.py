"""From bytes, path and headers to typed values; a fault is a ProtocolError that names the field."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import orjson
from pydantic import ValidationError

from agentcorps.api.protocol import TaskRef, WireModel
from agentcorps.control.refusals import ProtocolError

if TYPE_CHECKING:
    from collections.abc import Mapping

Model = TypeVar("Model", bound=WireModel)

MAX_ERRORS = 5
MAX_TOKEN_CHARS = 8192
MAX_DIGITS = 10


def parse_body(model: type[Model], raw: bytes) -> Model:
    """Parse a request body.

    Raises:
        ProtocolError: 422; the detail names fields and what is expected, never a value.
    """
    try:
        return model.model_validate(_decode(raw))
    except ValidationError as error:
        raise _malformed(error, "body") from None


def parse_ref(path: Mapping[str, str]) -> TaskRef:
    """Read the fencing pair from the path ``/v1/tasks/{uid}/{attempt}/...``.

    Raises:
        ProtocolError: 422.
    """
    digits = path["attempt"]
    if not (digits.isascii() and digits.isdecimal() and len(digits) <= MAX_DIGITS):
        raise ProtocolError(422, "Malformed", "attempt: the path wants a whole number here")
    try:
        return TaskRef(uid=path["uid"], attempt=int(digits))
    except ValidationError as error:
        raise _malformed(error, "path") from None


def bearer_token(header: str | None) -> str:
    """Read the token of an Authorization header.

    Raises:
        ProtocolError: 401 when there is no bearer token.
    """
    scheme, _, token = (header or "").partition(" ")
    token = token.strip()
    if scheme.lower() != "bearer" or not token or len(token) > MAX_TOKEN_CHARS:
        raise ProtocolError(
            401,
            "Unauthorized",
            "no bearer token: send the pod's projected token as 'Authorization: Bearer <token>'",
        )
    return token


def _decode(raw: bytes) -> object:
    """Decode JSON as RFC 8259 has it.

    pydantic's own parser would let NaN and infinities through, which no JSON document can hold.
    """
    try:
        value = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        where = f"at line {error.lineno} column {error.colno}"
        raise ProtocolError(422, "Malformed", f"body: not JSON: {error.msg} {where}") from None
    try:
        orjson.dumps(value)
    except orjson.JSONEncodeError:
        # orjson reads deeper than it writes; refused here, it cannot fail when it is stored.
        raise ProtocolError(422, "Malformed", "body: nested too deeply") from None
    return value


def _malformed(error: ValidationError, where: str) -> ProtocolError:
    """Say which fields are wrong and what they should be."""
    faults = error.errors(include_url=False, include_context=False, include_input=False)
    told = [
        f"{'.'.join(map(str, fault['loc'])) or where}: {fault['msg']}"
        for fault in faults[:MAX_ERRORS]
    ]
    if len(faults) > MAX_ERRORS:
        told.append(f"and {len(faults) - MAX_ERRORS} more")
    return ProtocolError(422, "Malformed", "; ".join(told))
