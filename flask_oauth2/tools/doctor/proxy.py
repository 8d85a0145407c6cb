"""Check of the reverse proxy configuration. It runs the application in this process with the headers of a proxy."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlsplit

import flask
from werkzeug.test import EnvironBuilder, run_wsgi_app

from ...endpoints import metadata
from .base import Examined, Finding, note, warning

_INSIDE = "127.0.0.1:8000"
"""The address at which a proxy reaches the application."""

_USER_ADDRESS = "192.0.2.1"
"""An address that no user has, :rfc:`5737`."""

CURE = (
    "app.wsgi_app = ProxyFix(app.wsgi_app, x_proto=1, x_host=1), with ProxyFix from werkzeug.middleware.proxy_fix; see "
    "docs/howto/proxy"
)


def seen(examined: Examined) -> Iterator[Finding]:
    """Report an application that does not see its public scheme, host or client addresses, :rfc:`8414#section-2`."""
    issuer = urlsplit(examined.settings.issuer or "")
    if issuer.scheme != "https":
        return
    found = _see(examined.app, issuer.netloc)
    if found is None:
        yield warning(
            "a request with the headers of a proxy does not reach the application: middleware answers it",
            "rfc8414 3.1",
            "configure the middleware around app.wsgi_app to pass the paths /.well-known/… and those of the endpoints",
        )
        return
    scheme, host, address = found
    if scheme != "https":
        yield warning(
            "behind a proxy that terminates TLS the application sees http, so its cookies and URLs are for http",
            "rfc8414 2",
            CURE,
        )
    elif host.lower() not in (issuer.netloc.lower(), issuer.hostname):
        yield note(
            f"behind a proxy that does not forward the Host header the application sees the host {host}, not "
            f"{issuer.netloc}",
            "rfc8414 2",
            CURE,
        )
    elif address != _USER_ADDRESS:
        yield warning(
            "behind a proxy the application sees the proxy's address for every user: rate limits by address then "
            "apply to all users together",
            "rfc8628 5.1",
            CURE,
        )


def _see(app: flask.Flask, public: str) -> tuple[str, str, str] | None:
    """Return the scheme, host and client address of a request as the application sees it, or None if it gets none."""
    received: list[tuple[str, str, str]] = []

    def on_request_started(sender: object, **_: object) -> None:
        request = flask.request
        received.append((request.scheme, request.environ.get("HTTP_HOST", ""), request.remote_addr or ""))

    headers = [
        ("Host", _INSIDE),
        ("X-Forwarded-For", _USER_ADDRESS),
        ("X-Forwarded-Proto", "https"),
        ("X-Forwarded-Host", public),
    ]
    environ = EnvironBuilder(metadata.WELL_KNOWN, base_url=f"http://{_INSIDE}", headers=headers).get_environ()
    environ["REMOTE_ADDR"] = "127.0.0.1"
    with flask.request_started.connected_to(on_request_started, app):
        run_wsgi_app(app.wsgi_app, environ, buffered=True)
    return received[0] if received else None
