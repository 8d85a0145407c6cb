"""The redirect URI of a request: which one the answer goes to, and which one the token request must name."""

from __future__ import annotations

import pytest

from flask_oauth2 import Client, Grant, InvalidGrant, InvalidRequest
from flask_oauth2.checks import redirect_uri


def client(*redirect_uris: str, application_type: str = "native") -> Client:
    return Client(client_id="c", redirect_uris=redirect_uris, application_type=application_type)


@pytest.mark.spec("rfc9700", "2.1")
@pytest.mark.parametrize(
    ("requested", "accepted"),
    [
        ("https://print.example/back", True),
        ("https://print.example/back/", False),
        ("https://PRINT.example/back", False),
        ("https://print.example/back?x=1", False),
        ("https://print.example:443/back", False),
        ("https://print.example/back%20", False),
        ("https://print.example/./back", False),
        ("http://print.example/back", False),
        ("https://print.example.evil.example/back", False),
        ("https://print.example@evil.example/back", False),
    ],
)
def test_matching_is_exact(requested: str, accepted: bool) -> None:
    registered = client("https://print.example/back")
    if accepted:
        assert redirect_uri.choose(registered, requested) == requested
    else:
        with pytest.raises(InvalidRequest, match="not registered"):
            redirect_uri.choose(registered, requested)


@pytest.mark.spec("rfc8252", "7.3")
@pytest.mark.parametrize(
    ("registered", "requested", "accepted"),
    [
        ("http://127.0.0.1/done", "http://127.0.0.1:53411/done", True),
        ("http://127.0.0.1:8000/done", "http://127.0.0.1:53411/done", True),
        ("http://127.0.0.1:8000/done", "http://127.0.0.1/done", True),
        ("http://[::1]/done", "http://[::1]:53411/done", True),
        ("http://localhost/done", "http://localhost:53411/done", True),
        ("HTTP://LocalHost:1/done", "HTTP://LocalHost:53411/done", True),
        ("HTTP://LocalHost:1/done", "http://localhost:53411/done", False),
        ("http://127.0.0.1", "http://127.0.0.1:53411", True),
        ("http://127.0.0.1?x=1", "http://127.0.0.1:5?x=1", True),
        ("http://127.0.0.1/done", "http://[::1]:53411/done", False),
        ("http://127.0.0.1/done", "http://localhost:53411/done", False),
        ("http://[::1]/done", "http://[0:0:0:0:0:0:0:1]:53411/done", False),
        ("http://127.0.0.1/done", "http://127.0.0.1:53411/done/x", False),
        ("http://127.0.0.1/done", "http://127.0.0.1:53411/done?x=1", False),
        ("http://127.0.0.1/done", "https://127.0.0.1:53411/done", False),
        ("http://127.0.0.1/done", "http://127.0.0.1.evil.example:80/done", False),
        ("http://127.0.0.1/done", "http://127.0.0.1:53411@evil.example/done", False),
        ("http://127.0.0.1/done", "http://evil.example//127.0.0.1:53411/done", False),
        ("http://127.0.0.1/done", "http://127.0.0.1:0/done", False),
        ("http://127.0.0.1/done", "http://127.0.0.1:65536/done", False),
        ("http://127.0.0.1/done", "http://127.0.0.1:/done", False),
        ("http://127.0.0.1/done", "http://127.0.0.1:8a/done", False),
        ("https://127.0.0.1/done", "https://127.0.0.1:53411/done", False),
        ("com.trails.app:/oauth/done", "com.trails.app:/oauth/done", True),
        ("com.trails.app:/oauth/done", "com.trails.app://oauth/done", False),
    ],
)
def test_the_port_of_a_native_loopback_uri_is_free(registered: str, requested: str, accepted: bool) -> None:
    if accepted:
        assert redirect_uri.choose(client(registered), requested) == requested
    else:
        with pytest.raises(InvalidRequest):
            redirect_uri.choose(client(registered), requested)


@pytest.mark.spec("rfc9700", "2.1")
def test_the_port_of_a_web_application_is_not() -> None:
    registered = client("http://127.0.0.1:8000/done", application_type="web")
    assert redirect_uri.choose(registered, "http://127.0.0.1:8000/done")
    with pytest.raises(InvalidRequest):
        redirect_uri.choose(registered, "http://127.0.0.1:53411/done")


@pytest.mark.spec("rfc6749", "3.1.2.3")
def test_a_single_registered_uri_may_be_left_out() -> None:
    assert redirect_uri.choose(client("https://a.example/"), None) == "https://a.example/"
    for registered in (client("https://a.example/", "https://b.example/"), client()):
        with pytest.raises(InvalidRequest, match="missing"):
            redirect_uri.choose(registered, None)


def grant(uri: str | None, challenge: str | None) -> Grant:
    return Grant(key=b"k", kind="code", expires_at=1, redirect_uri=uri, challenge=challenge)


@pytest.mark.spec("rfc6749", "4.1.3")
@pytest.mark.spec("oauth-v2-1", "10.2")
def test_the_token_request_names_the_same_uri() -> None:
    redirect_uri.verify(grant("https://a.example/", None), "https://a.example/")
    redirect_uri.verify(grant(None, None), None)
    redirect_uri.verify(grant("https://a.example/", "challenge"), None)
    for sent, challenge, shown in [
        ("https://a.example/", None, None),
        ("https://a.example/", None, "https://a.example"),
        ("https://a.example/", "challenge", "https://b.example/"),
        (None, None, "https://a.example/"),
    ]:
        with pytest.raises(InvalidGrant, match="redirect_uri"):
            redirect_uri.verify(grant(sent, challenge), shown)
