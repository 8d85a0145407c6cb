"""Between Flask and the core: a Flask request becomes a :class:`Request`, a :class:`Response` a Flask response."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from io import BytesIO
from typing import TYPE_CHECKING, Any, cast
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
from ..settings import NO_ISSUER

if TYPE_CHECKING:
    pass

MOST_BYTES = 64 * 1024
"""The longest body that an endpoint reads."""

MOST_DRAINED = 512 * 1024
"""Octets of a body that is too long which are read and dropped, so that the client reads the error."""

TOKEN = "flask_oauth2.token"
"""Where the environ of a request keeps its token. Not in ``flask.g``, which outlives a request where a context was
pushed before."""

READ = "flask_oauth2.request"
"""Where it keeps the :class:`Request` that was made of a request of Flask, and that request."""

_NOTHING: tuple[None, None] = (None, None)

BODY = "flask_oauth2.body"
"""Where it keeps the body that a guard has read."""

_SOME_TIME = 60
"""Seconds to wait, where nobody says how many."""

_FORM = "application/x-www-form-urlencoded"
_JSON = "application/json"


current_request: Callable[[], flask.Request] = cast(Any, flask.request)._get_current_object
"""The request that Flask is answering, itself: a proxy would look for it anew at each use."""


current_app: Callable[[], flask.Flask] = cast(Any, flask.current_app)._get_current_object
"""The same for the application."""


def read(certificate_header: str = "") -> Request:
    """Return the request that Flask is answering, which is parsed once.

    :param certificate_header: the name of the header in which the proxy sends the client certificate.
    """
    request = current_request()
    environ = request.environ
    reader, found = environ.get(READ, _NOTHING)
    if reader is request:
        return cast(Request, found)
    body = document = None
    if request.method in ("POST", "PUT"):
        body, document = _read_sent(request)
    found = _make_request(request, body, document, certificate_header)
    environ[READ] = request, found
    return found


def _read_sent(request: flask.Request) -> tuple[bytes | InvalidRequest | None, bytes | InvalidRequest | None]:
    """Return the form and the JSON document of a request, each None if the body is none."""
    sent_as = request.environ.get("CONTENT_TYPE")
    mimetype = sent_as if sent_as == _FORM else request.mimetype
    is_json = mimetype == _JSON
    if not is_json and (request.method == "PUT" or mimetype != _FORM):
        # a form without fields, which clients send as nothing at all
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
    request: flask.Request, body: bytes | InvalidRequest | None, document: Any, certificate_header: str
) -> Request:
    environ = request.environ
    return Request(
        request.method,
        request.path,
        request.headers,
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
        # from clients this header must not arrive: "stripped" by the proxy
        request.headers.get(certificate_header, "") if certificate_header else environ.get("SSL_CLIENT_CERT", ""),
    )


def _read_body(request: flask.Request) -> bytes | InvalidRequest:
    """Return the body, or the error of one that is too long or that does not arrive."""
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
    return InvalidRequest("the body is too long", expected=f"{MOST_BYTES} bytes at most", status=413)


def _read_all(request: flask.Request, is_chunked: bool) -> bytes | None:
    """Return the body, or None if a chunked one is too long.

    A chunked body has no length. Werkzeug cuts it at its limit without an error, so this asks for one octet more than
    may be there, and whether the stream has another.
    """
    length = request.content_length
    request.max_content_length = MOST_BYTES + 1
    body = request.get_data()
    if body and length is not None and len(body) < length:  # gunicorn does not report a client that disconnects
        raise ClientDisconnected
    body = body or _write_form(request)
    return None if is_chunked and request.environ["wsgi.input"].read(1) else body


def _drain(stream: Any, most: int) -> None:
    """Read the rest of the body: if the server closes the connection before that, the answer is lost."""
    with suppress(OSError):
        while most > 0 and (part := stream.read(min(most, MOST_BYTES))):
            most -= len(part)


def _write_form(request: flask.Request) -> bytes:
    """A form as somebody has read it before us, who left nothing to read."""
    return urls.encode(request.form.items(multi=True)).encode()


def read_before(request: flask.Request) -> bytes | None:
    """A body that a hook of the application's has read and left to Werkzeug; None where it is still to be read."""
    seen = vars(request)
    if data := seen.get("_cached_data"):
        return bytes(data)
    return _write_form(request) if "form" in seen and request.mimetype == _FORM else None


def _is_empty(environ: Mapping[str, Any]) -> bool:
    """Whether nothing is sent, and nothing said of what it is."""
    has_length = environ.get("CONTENT_LENGTH") not in (None, "", "0")
    return not has_length and not environ.get("CONTENT_TYPE") and "HTTP_TRANSFER_ENCODING" not in environ


def read_for_guard(
    request: flask.Request, with_body: bool, must_have_token: bool = True, certificate_header: str = ""
) -> Request:
    """Return the request for a guard, which leaves the body to the view.

    With ``with_body``, it has the token of a form, :rfc:`6750#section-2.2`. A form that is longer than an endpoint
    reads, or that does not say its length, can be an upload. The guard reads one only if the request must have a token
    and has no Authorization header. If it is too long, the body is an error of status 413.
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
            # "entity-body consists entirely of ASCII"
            if form.isascii():
                body = urls.encode([("access_token", value) for value in request.form.getlist("access_token")]).encode()
    return _make_request(request, body, None, certificate_header)


def find_wait(error: TooManyRequests) -> int:
    """Seconds after which who was refused may come again: as the exception says, or Flask-Limiter does."""
    wait = error.retry_after
    if isinstance(wait, datetime):
        return max(1, int((wait if wait.tzinfo else wait.replace(tzinfo=UTC)).timestamp() - time.time()))
    if wait is not None:
        return max(1, int(wait))
    for limiter in current_app().extensions.get("limiter", ()):
        limit = limiter.current_limit
        if limit is not None and limit.breached:
            return max(1, int(limit.reset_at - time.time()))
    return _SOME_TIME


def find_mount(app: flask.Flask) -> str:
    """Return the path below which clients reach the application: that of ``OAUTH2_ISSUER``, or ``APPLICATION_ROOT``.

    This is what is known outside of requests. A request has it in ``SCRIPT_NAME``, see :mod:`.deployment`.
    """
    path = urlsplit(app.config.get("OAUTH2_ISSUER") or "").path
    return (path or str(app.config["APPLICATION_ROOT"] or "")).rstrip("/")


def find_issuer(environ: Mapping[str, Any], is_debug: bool) -> str:
    """Return the issuer of an application without ``OAUTH2_ISSUER``: the address that its server's socket is bound to.

    Outside debug mode this must be a loopback address. There the issuer follows the Host header if that names a
    loopback host, so that ``localhost`` and ``127.0.0.1`` are both usable; any other Host header is the client's to
    choose and decides nothing. Nor do headers of proxies, nor the name of a server at a Unix socket. Raises
    :exc:`ConfigurationError`.
    """
    socket = {**environ, **environ.get("werkzeug.proxy_fix.orig", {})}
    host, port, scheme = socket["SERVER_NAME"], str(socket["SERVER_PORT"]), socket["wsgi.url_scheme"]
    is_near = scheme == environ["wsgi.url_scheme"] and socket.get("REMOTE_ADDR", host) in urls.LOOPBACK_HOSTS
    if not is_near or host not in urls.LOOPBACK_HOSTS:
        if not is_debug:
            raise ConfigurationError(NO_ISSUER)
        host = "localhost"
    with suppress(ValueError):  # a header that names no host and port
        named = urlsplit(f"//{socket.get('HTTP_HOST', '')}")
        if named.hostname in urls.LOOPBACK_HOSTS and "@" not in named.netloc:
            host, port = named.hostname, str(named.port or urls.DEFAULT_PORTS[scheme])
    netloc = f"[{host}]" if ":" in host else host
    return urls.origin(f"{scheme}://{netloc}:{port}")
