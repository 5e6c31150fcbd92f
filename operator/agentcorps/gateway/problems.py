"""Every error as RFC 9457 problem details; nothing of a payload or of the inside gets out."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import structlog
from aiohttp import web

from agentcorps.api.protocol import Problem
from agentcorps.control.refusals import ProtocolError
from agentcorps.ports import ClusterError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

CONTENT_TYPE = "application/problem+json"
RETRY_SECONDS = 1.0

log = structlog.get_logger(__name__)


def problem_response(error: ProtocolError) -> web.Response:
    """Write a refusal as a response."""
    problem = Problem(title=error.title, status=error.status, detail=error.detail)
    response = web.Response(
        status=error.status,
        body=problem.model_dump_json(by_alias=True).encode(),
        content_type=CONTENT_TYPE,
    )
    if error.status == web.HTTPUnauthorized.status_code:
        response.headers["WWW-Authenticate"] = 'Bearer realm="agentcorps.dev"'
    if error.retry_after is not None:
        response.headers["Retry-After"] = str(math.ceil(error.retry_after))
    if error.status == web.HTTPServiceUnavailable.status_code:
        # A kept connection stays with this process, though the Service may lead to another by now.
        response.force_close()
    return response


@web.middleware
async def problems(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Turn whatever a handler raises into problem details."""
    try:
        return await handler(request)
    except ProtocolError as error:
        return problem_response(error)
    except web.HTTPException as error:
        return _from_http(request, error)
    except ClusterError as error:
        log.warning(
            "API server did not answer an agent's call", path=_route(request), error=str(error)
        )
        return problem_response(
            ProtocolError(
                503,
                "ClusterUnavailable",
                "the API server cannot be asked now; try again",
                RETRY_SECONDS,
            )
        )
    except Exception:
        log.exception("a call of an agent failed", path=_route(request))
        return problem_response(
            ProtocolError(500, "InternalError", "the operator failed here; its log says more")
        )


def _route(request: web.Request) -> str:
    """The route's template: the path itself is the caller's text."""
    resource = request.match_info.route.resource
    return resource.canonical if resource is not None else "unknown"


def _from_http(request: web.Request, error: web.HTTPException) -> web.Response:
    """Translate aiohttp's own errors: unknown route, wrong method, body too large."""
    details = {
        404: "no such call; the protocol's calls are in the OpenAPI document",
        405: "every call of the protocol is a POST",
        413: f"the body is over {request.client_max_size} bytes",
    }
    title = error.reason.replace(" ", "")
    response = problem_response(
        ProtocolError(error.status, title, details.get(error.status, error.reason))
    )
    if isinstance(error, web.HTTPMethodNotAllowed):
        response.headers["Allow"] = ", ".join(sorted(error.allowed_methods))
    return response
