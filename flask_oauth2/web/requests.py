"""Convert Flask requests to :class:`Request` objects."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from io import BytesIO
from typing import Any, cast
from urllib.parse import urlsplit

import flask
from werkzeug.exceptions import (
    ClientDisconnected,
    HTTPException,
    RequestEntityTooLarge,
    TooManyRequests,
)

from ..errors import ConfigurationError, InvalidRequest
from ..http import urls
from ..http.messages import Request
from ..settings import NO_ISSUER, Settings

MOST_BYTES = 64 * 1024
"""The maximum length, in bytes, of a body that an endpoint reads."""

MOST_DRAINED = 512 * 1024
"""The number of bytes of an oversized body that are read and discarded, so that the client can read the error."""

TOKEN = "flask_oauth2.token"
"""The key of the verified token in the WSGI environ. ``flask.g`` could outlive the request if the application pushed a
context before.
"""

READ = "flask_oauth2.request"
"""The key of a Flask request and its :class:`Request` in the WSGI environ."""

_NOTHING: tuple[None, None] = (None, None)

BODY = "flask_oauth2.body"
"""The key of the body that a guard has read in the WSGI environ."""

_DEFAULT_WAIT = 60
"""Seconds to wait after a rejected request if the extension that rejected it names no time."""

_FORM = "application/x-www-form-urlencoded"
_JSON = "application/json"


current_request: Callable[[], flask.Request] = cast(Any, flask.request)._get_current_object
"""Return the current Flask request, not a proxy, which would look it up at each access."""


current_app: Callable[[], flask.Flask] = cast(Any, flask.current_app)._get_current_object
"""Return the current Flask application, not a proxy."""


def read(settings: Settings | None = None) -> Request:
    """Return the current request. It is parsed once.

    :param settings: the options that say where the client certificate is.
    """
    request = current_request()
    environ = request.environ
    reader, found = environ.get(READ, _NOTHING)
    if reader is request:
        return cast(Request, found)
    body = document = None
    if request.method in ("POST", "PUT"):
        body, document = _read_sent(request)
    found = _make_request(request, body, document, settings)
    environ[READ] = request, found
    return found


def _read_sent(request: flask.Request) -> tuple[bytes | InvalidRequest | None, bytes | InvalidRequest | None]:
    """Return the form and the JSON document of a request, each None if the body has another type."""
    sent_as = request.environ.get("CONTENT_TYPE")
    mimetype = sent_as if sent_as == _FORM else request.mimetype
    is_json = mimetype == _JSON
    if not is_json and (request.method == "PUT" or mimetype != _FORM):
        # clients send a form without fields as an empty body without Content-Type
        return b"" if request.method == "POST" and _is_empty(request.environ) else None, None
    body = _read_at_once(request) or _read_body(request)
    return (None, body) if is_json else (body, None)


def _read_at_once(request: flask.Request) -> bytes | None:
    """Return the body of nearly every request: a short one of known length that nothing has read. None for others.

    Werkzeug takes three times as long. The application can still read the body.
    """
    environ, seen = request.environ, vars(request)
    sent = environ.get("CONTENT_LENGTH") or ""
    is_short = sent.isdecimal() and len(sent) <= _DIGITS and "HTTP_TRANSFER_ENCODING" not in environ
    if not is_short or (length := int(sent)) > MOST_BYTES or "stream" in seen or "form" in seen:
        return None
    stream, body = environ["wsgi.input"], b""
    with suppress(OSError, ValueError):
        while len(body) < length and (part := stream.read(length - len(body))):
            body += part
    environ["wsgi.input"] = BytesIO(body)
    return body if len(body) == length else None


_DIGITS = len(str(MOST_BYTES))


def _make_request(
    request: flask.Request, body: bytes | InvalidRequest | None, document: Any, settings: Settings | None
) -> Request:
    environ, headers = request.environ, request.headers
    certificate, verification, certificate_format = environ.get("SSL_CLIENT_CERT", ""), "", "pem"
    if settings is not None:
        # the proxy must remove these headers from the requests of clients
        if settings.client_certificate_header:
            certificate = headers.get(settings.client_certificate_header, "")
            certificate_format = settings.client_certificate_format
        name = settings.client_certificate_verify_header
        if name == "always":
            verification = "SUCCESS"
        else:
            verification = headers.get(name, "") if name else environ.get("SSL_CLIENT_VERIFY", "")
    return Request(
        request.method,
        request.path,
        headers,
        request.query_string,
        body,
        environ.get("SCRIPT_NAME", "").rstrip("/"),
        document,
        request.view_args or {},
        environ.get("REMOTE_ADDR", ""),
        environ.get("HTTP_AUTHORIZATION", ""),
        request.endpoint or "",
        environ["wsgi.url_scheme"],
        environ.get("HTTP_HOST", ""),
        certificate,
        certificate_format,
        verification,
    )


def _read_body(request: flask.Request) -> bytes | InvalidRequest:
    """Return the body, or an error if it is too long or incomplete."""
    length = request.content_length
    is_chunked = length is None and "wsgi.input_terminated" in request.environ
    try:
        body = _read_all(request, is_chunked)
    except RequestEntityTooLarge:
        body = None
    except (HTTPException, OSError) as error:
        return InvalidRequest("the body cannot be read", rule="rfc9112 8", received=type(error).__name__)
    if body is not None and len(body) <= MOST_BYTES:
        return body
    if is_chunked or "stream" not in vars(request):
        _drain(request.environ["wsgi.input"], MOST_DRAINED if length is None else min(length, MOST_DRAINED))
    return InvalidRequest("the body is too long", expected=f"at most {MOST_BYTES} bytes", status=413)


def _read_all(request: flask.Request, is_chunked: bool) -> bytes | None:
    """Return the body, or None if a chunked one is too long.

    A chunked body has no length, and Werkzeug truncates it at its limit without an error. This function therefore sets
    the limit one byte above the maximum and checks whether the stream has more data.
    """
    length = request.content_length
    request.max_content_length = MOST_BYTES + 1
    body = request.get_data()
    if body and length is not None and len(body) < length:  # gunicorn does not report a client that disconnects
        raise ClientDisconnected
    body = body or _write_form(request)
    return None if is_chunked and request.environ["wsgi.input"].read(1) else body


def _drain(stream: Any, most: int) -> None:
    """Read and discard the rest of the body. Otherwise the server closes the connection and the response is lost."""
    with suppress(OSError):
        while most > 0 and (part := stream.read(min(most, MOST_BYTES))):
            most -= len(part)


def _write_form(request: flask.Request) -> bytes:
    """Encode the form that other code has already read from the stream."""
    return urls.encode(request.form.items(multi=True)).encode()


def read_before(request: flask.Request) -> bytes | None:
    """Return the body if a hook of the application has already read it through Werkzeug, otherwise None."""
    seen = vars(request)
    if data := seen.get("_cached_data"):
        return bytes(data)
    return _write_form(request) if "form" in seen and request.mimetype == _FORM else None


def _is_empty(environ: Mapping[str, Any]) -> bool:
    """Return whether a request has no body and no Content-Type."""
    has_length = environ.get("CONTENT_LENGTH") not in (None, "", "0")
    return not has_length and not environ.get("CONTENT_TYPE") and "HTTP_TRANSFER_ENCODING" not in environ


def read_for_guard(
    request: flask.Request, with_body: bool, must_have_token: bool = True, settings: Settings | None = None
) -> Request:
    """Return the request for a guard. The view can still read the body.

    With ``with_body``, the request contains the token of a form, :rfc:`6750#section-2.2`. A form that exceeds
    :data:`MOST_BYTES` or has no length can be an upload. The guard reads it only if the request must have a token and
    has no Authorization header. If it is too long, the body is an error with status 413.
    """
    body: bytes | InvalidRequest | None = None
    authorization = request.environ.get("HTTP_AUTHORIZATION", "")
    if with_body and request.mimetype == _FORM and request.method not in ("GET", "HEAD"):
        length = request.content_length
        is_short = length is not None and length <= MOST_BYTES
        form = _read_body(request) if is_short or (must_have_token and not authorization) else b""
        if isinstance(form, InvalidRequest):
            body = form
        elif form:
            request.environ[BODY] = form
            # "The content to be encoded in the entity-body MUST consist entirely of ASCII", RFC 6750 2.2
            if form.isascii():
                body = urls.encode([("access_token", value) for value in request.form.getlist("access_token")]).encode()
    return _make_request(request, body, None, settings)


def find_wait(error: TooManyRequests) -> int:
    """Return the seconds after which the client may try again, from the exception or from Flask-Limiter."""
    wait = error.retry_after
    if isinstance(wait, datetime):
        return max(1, int((wait if wait.tzinfo else wait.replace(tzinfo=UTC)).timestamp() - time.time()))
    if wait is not None:
        return max(1, int(wait))
    for limiter in current_app().extensions.get("limiter", ()):
        limit = limiter.current_limit
        if limit is not None and limit.breached:
            return max(1, int(limit.reset_at - time.time()))
    return _DEFAULT_WAIT


def find_mount(app: flask.Flask) -> str:
    """Return the mount path of the application outside of requests: that of ``OAUTH2_ISSUER``, or ``APPLICATION_ROOT``.

    A request has its mount path in ``SCRIPT_NAME``, see :mod:`.deployment`.
    """
    path = urlsplit(app.config.get("OAUTH2_ISSUER") or "").path
    return (path or str(app.config["APPLICATION_ROOT"] or "")).rstrip("/")


def find_issuer(environ: Mapping[str, Any], is_debug: bool) -> str:
    """Return the issuer of an application without ``OAUTH2_ISSUER``: the address that the server's socket is bound to.

    The issuer follows the Host header only if that contains a loopback host, so that both ``localhost`` and
    ``127.0.0.1`` work. The function ignores any other Host header, headers of proxies, and the name of a server at a
    Unix socket. Outside debug mode, raise :exc:`ConfigurationError` unless the address is a loopback address.
    """
    socket = {**environ, **environ.get("werkzeug.proxy_fix.orig", {})}
    host, port, scheme = socket["SERVER_NAME"], str(socket["SERVER_PORT"]), socket["wsgi.url_scheme"]
    is_near = scheme == environ["wsgi.url_scheme"] and socket.get("REMOTE_ADDR", host) in urls.LOOPBACK_HOSTS
    if not is_near or host not in urls.LOOPBACK_HOSTS:
        if not is_debug:
            raise ConfigurationError(NO_ISSUER)
        host = "localhost"
    with suppress(ValueError):  # a malformed Host header
        named = urlsplit(f"//{socket.get('HTTP_HOST', '')}")
        if named.hostname in urls.LOOPBACK_HOSTS and "@" not in named.netloc:
            host, port = named.hostname, str(named.port or urls.DEFAULT_PORTS[scheme])
    netloc = f"[{host}]" if ":" in host else host
    return urls.origin(f"{scheme}://{netloc}:{port}")
