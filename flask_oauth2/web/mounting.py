"""Mount a WSGI application at a path of the Flask application, behind a guard."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from functools import wraps
from io import BytesIO
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import unquote_plus

import flask
import werkzeug
from werkzeug.exceptions import MethodNotAllowed, NotFound
from werkzeug.routing import RequestRedirect

from .prefix import fill
from .requests import BODY, TOKEN, current_app, current_request, read_before

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

_MOUNTED = "mounted at "
"""The prefix of the Flask endpoints of mounted applications."""

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
"""The methods that are routed to a mounted application."""


def mount(
    app: flask.Flask, path: str, wsgi_app: WSGIApplication, guard: Callable[[Callable[..., Any]], Callable[..., Any]]
) -> None:
    """Route requests for ``path`` and the paths below it to a WSGI application, behind a guard."""
    above = path.rstrip("/")

    def answer(rest: str = "", **variables: str) -> werkzeug.Response:
        environ = dict(current_request().environ)
        # the root path is always /: Starlette would redirect each request with an empty path
        environ["PATH_INFO"] = f"/{rest}".encode().decode("latin-1")
        environ["SCRIPT_NAME"] = environ.get("SCRIPT_NAME", "") + fill(above, variables)
        _, token = environ[TOKEN]
        for name in ("HTTP_AUTHORIZATION", "REMOTE_USER"):  # the mounted application must not receive tokens
            environ.pop(name, None)
        if token.user_id is not None:
            environ["REMOTE_USER"] = token.user_id.encode().decode("latin-1")  # the encoding of WSGI strings
        body = _without_token(environ[BODY]) if BODY in environ else read_before(current_request())
        if body is not None:
            environ["wsgi.input"], environ["CONTENT_LENGTH"] = BytesIO(body), str(len(body))
            environ.pop("HTTP_TRANSFER_ENCODING", None)
        return flask.Response.from_app(wsgi_app, environ)

    guarded = guard(answer)

    @wraps(guarded)
    def view(**named: str) -> Any:
        return current_app().make_default_options_response() if is_preflight() else guarded(**named)

    name = f"{_MOUNTED}{path}"
    for rule in (path, f"{above}/<path:rest>"):
        app.add_url_rule(rule, name, view, methods=METHODS, provide_automatic_options=False, strict_slashes=False)


def _without_token(form: bytes) -> bytes:
    """Return the form without its ``access_token``."""
    return b"&".join(
        pair for pair in form.split(b"&") if unquote_plus(pair.partition(b"=")[0].decode("latin-1")) != "access_token"
    )


def match_other_slash(request: flask.Request) -> None:
    """Route ``/mcp/`` like ``/mcp`` and the reverse, because clients write the URL of a server both ways."""
    if not isinstance(request.routing_exception, NotFound | RequestRedirect):
        return
    path = request.path.rstrip("/") if request.path.endswith("/") else f"{request.path}/"
    adapter = current_app().create_url_adapter(request)
    with suppress(NotFound, RequestRedirect):
        try:
            request.url_rule, request.view_args = cast(Any, adapter).match(path, return_rule=True)
            request.routing_exception = None
        except MethodNotAllowed as error:
            request.routing_exception = error


def is_preflight() -> bool:
    """Return whether the request is a CORS preflight request for a mounted application.

    Preflight requests have no token, so Flask responds to them. Extensions such as Flask-CORS add their headers.
    """
    request = current_request()
    is_mounted = (request.endpoint or "").startswith(_MOUNTED)
    has_headers = "Origin" in request.headers and "Access-Control-Request-Method" in request.headers
    return request.method == "OPTIONS" and is_mounted and has_headers
