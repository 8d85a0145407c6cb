"""Between Flask and the core: a Flask request becomes a :class:`Request`, a :class:`Response` a Flask response."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import flask
from werkzeug.exceptions import RequestEntityTooLarge

from . import uris
from .errors import ConfigurationError, InvalidRequest
from .messages import Request, Response
from .server import Server
from .settings import LOOPBACK_HOSTS

MOST_BYTES = 64 * 1024
"""The longest body that an endpoint reads."""

_FORM = "application/x-www-form-urlencoded"


def read(with_body: bool = True) -> Request:
    """The request that Flask is answering; its body only where that is wanted, as a view may want it too."""
    request = flask.request
    body: bytes | InvalidRequest = InvalidRequest(
        "the body must be application/x-www-form-urlencoded", rule="rfc6749 4.1.3"
    )
    if with_body and request.method == "POST" and request.mimetype == _FORM:
        if "form" in request.__dict__:  # somebody has read the form before us, so the stream is empty
            body = uris.encode(request.form.items(multi=True)).encode()
        else:
            try:
                request.max_content_length = MOST_BYTES
                body = request.get_data(parse_form_data=False)
            except RequestEntityTooLarge:
                body = InvalidRequest("the body is too long", expected=f"{MOST_BYTES} bytes at most", status=413)
    return Request(request.method, request.path, request.headers, request.query_string, body)


def write(response: Response) -> flask.Response:
    """What Flask sends."""
    body = response.body
    if isinstance(body, Mapping):
        text = json.dumps(body, separators=(",", ":"))
        return flask.Response(text, response.status, response.headers, "application/json")
    return flask.Response(body, response.status, response.headers, "text/plain")


def place(server: Server, environ: Mapping[str, Any], is_debug: bool) -> None:
    """Settle where the application is mounted, and its issuer where no option names it.

    Without ``OAUTH2_ISSUER`` the issuer is the address that the server's socket is bound to, and only a loopback
    address will do outside debug mode: the Host header is the client's to choose. Raises :exc:`ConfigurationError`.
    """
    if server.settings.issuer is None:
        host, port, scheme = environ["SERVER_NAME"], str(environ["SERVER_PORT"]), environ["wsgi.url_scheme"]
        if host not in LOOPBACK_HOSTS:
            if not is_debug:
                raise ConfigurationError(
                    "OAUTH2_ISSUER is not set: give it the public URL of this application, such as "
                    "https://login.example (RFC 8414 section 2); it may be left out in debug mode and on loopback"
                )
            host = "localhost"
        netloc = f"[{host}]" if ":" in host else host
        server.issuer = f"{scheme}://{netloc}" + ("" if (scheme, port) in _DEFAULT_PORTS else f":{port}")
    parts = urlsplit(server.issuer)
    server.root = f"{parts.scheme}://{parts.netloc}{environ.get('SCRIPT_NAME', '').rstrip('/')}"


_DEFAULT_PORTS = {("http", "80"), ("https", "443")}
