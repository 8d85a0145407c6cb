"""A WSGI application that answers at a path of the Flask application, behind a guard."""

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
"""What the names of their views begin with."""

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
"""Those that an application which is mounted may answer."""


def mount(
    app: flask.Flask, path: str, wsgi_app: WSGIApplication, guard: Callable[[Callable[..., Any]], Callable[..., Any]]
) -> None:
    """Let a WSGI application answer at ``path`` and below, as part of ``app`` and behind a guard."""
    above = path.rstrip("/")

    def answer(rest: str = "", **variables: str) -> werkzeug.Response:
        environ = dict(current_request().environ)
        # its root is /, with or without a slash at the end: Starlette would redirect each request without one
        environ["PATH_INFO"] = f"/{rest}".encode().decode("latin-1")
        environ["SCRIPT_NAME"] = environ.get("SCRIPT_NAME", "") + fill(above, variables)
        _, token = environ[TOKEN]
        for name in ("HTTP_AUTHORIZATION", "REMOTE_USER"):  # tokens are not to be passed on
            environ.pop(name, None)
        if token.user_id is not None:
            environ["REMOTE_USER"] = token.user_id.encode().decode("latin-1")  # as WSGI has all text
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
    """A form as it was sent, but for its token."""
    return b"&".join(
        pair for pair in form.split(b"&") if unquote_plus(pair.partition(b"=")[0].decode("latin-1")) != "access_token"
    )


def match_other_slash(request: flask.Request) -> None:
    """Route a request for ``/mcp/`` as one for ``/mcp``, and the reverse: clients write a server's URL both ways."""
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
    """Whether a browser asks what a page may send to an application that is mounted.

    It sends no token then, so it is answered as Flask answers for views; extensions such as Flask-CORS add to that.
    """
    request = current_request()
    asks = request.method == "OPTIONS" and "Origin" in request.headers
    is_mounted = (request.endpoint or "").startswith(_MOUNTED)
    return asks and is_mounted and "Access-Control-Request-Method" in request.headers
