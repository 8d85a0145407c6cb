"""What the application sees of a request that came by a proxy. It is run here, as it is, with the proxy's headers."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlsplit

import flask
from werkzeug.test import EnvironBuilder, run_wsgi_app

from ...endpoints import metadata
from .base import Examined, Finding, note, warning

_INSIDE = "127.0.0.1:8000"
"""Where a proxy finds the application."""

_SOMEBODY = "192.0.2.1"
"""An address of nobody, :rfc:`5737`."""

CURE = "app.wsgi_app = ProxyFix(app.wsgi_app, x_proto=1, x_host=1), of werkzeug.middleware.proxy_fix; docs/howto/proxy"


def seen(examined: Examined) -> Iterator[Finding]:
    """Whether it sees https and its public host, :rfc:`8414#section-2`."""
    issuer = urlsplit(examined.settings.issuer or "")
    if issuer.scheme != "https":
        return
    found = _see(examined.app, issuer.netloc)
    if found is None:
        yield warning(
            "a request with the headers of a proxy does not reach the application: something before it answers",
            "rfc8414 3.1",
            "let the paths /.well-known/… and those of the endpoints pass what is wrapped around app.wsgi_app",
        )
        return
    scheme, host, address = found
    if scheme != "https":
        yield warning(
            "behind a proxy that ends https the application sees http: its cookies and its own URLs are then for http",
            "rfc8414 2",
            CURE,
        )
    elif host.lower() not in (issuer.netloc.lower(), issuer.hostname):
        yield note(
            f"behind a proxy that does not pass the Host header on, the application sees the host {host}, not "
            f"{issuer.netloc}",
            "rfc8414 2",
            CURE,
        )
    elif address != _SOMEBODY:
        yield warning(
            "behind a proxy the application sees all people at the proxy's own address: what is limited by address is "
            "limited for all of them together",
            "rfc8628 5.1",
            CURE,
        )


def _see(app: flask.Flask, public: str) -> tuple[str, str, str] | None:
    """The scheme, the host and the address that the application takes a request to have come by; None where it does
    not come.
    """
    heard: list[tuple[str, str, str]] = []

    def hear(sender: object, **_: object) -> None:
        request = flask.request
        heard.append((request.scheme, request.environ.get("HTTP_HOST", ""), request.remote_addr or ""))

    headers = [
        ("Host", _INSIDE),
        ("X-Forwarded-For", _SOMEBODY),
        ("X-Forwarded-Proto", "https"),
        ("X-Forwarded-Host", public),
    ]
    environ = EnvironBuilder(metadata.WELL_KNOWN, base_url=f"http://{_INSIDE}", headers=headers).get_environ()
    environ["REMOTE_ADDR"] = "127.0.0.1"
    with flask.request_started.connected_to(hear, app):
        run_wsgi_app(app.wsgi_app, environ, buffered=True)
    return heard[0] if heard else None
