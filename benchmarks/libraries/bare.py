"""Flask alone, with a secret key: a route per operation that returns the same number of bytes. It rejects nothing.

The view of the guarded route is the same as in the other applications.
"""

from __future__ import annotations

from contextlib import nullcontext

import flask

from ..site import CALLBACK, Place, Site

TOKENS = b'{"access_token":"%s","expires_in":3600,"refresh_token":"%s","scope":"profile","token_type":"Bearer"}\n' % (
    b"a" * 54,
    b"b" * 54,
)
ACTIVE = b'{"active":true,"client_id":"web","exp":1800003600,"iat":1800000000,"iss":"https://login.example",%s}\n' % (
    b'"jti":"%s","scope":"profile","sub":"ada","token_type":"Bearer"' % (b"c" * 51)
)
ME = {"client": "web", "scope": ["profile"], "user": "ada"}
METADATA = b'{"issuer":"https://login.example","rest":"%s"}\n' % (b"d" * 900)


def open_site(place: Place) -> Site:
    """Return an application without any logic."""
    app = flask.Flask("bare")
    app.config["SECRET_KEY"] = "a secret key of the benchmarks"
    location = f"{CALLBACK}?code={'e' * 54}&state=a-state-of-the-client&iss=https%3A%2F%2Flogin.example"
    app.add_url_rule("/login", "login", lambda: ("", 204), methods=["POST"])
    app.add_url_rule("/oauth/authorize", "authorize", lambda: flask.redirect(location, 303))
    app.add_url_rule("/oauth/token", "token", lambda: TOKENS, methods=["POST"])
    app.add_url_rule("/oauth/introspect", "introspect", lambda: ACTIVE, methods=["POST"])
    app.add_url_rule("/oauth/revoke", "revoke", lambda: b"", methods=["POST"])
    app.add_url_rule("/api/me", "me", lambda: ME)
    app.add_url_rule("/.well-known/oauth-authorization-server", "metadata", lambda: METADATA)
    return Site(app, expire=nullcontext)
