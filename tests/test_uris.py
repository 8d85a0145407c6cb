"""Redirect URIs: registration, matching, and what is added to them."""

from __future__ import annotations

import pytest

from flask_oauth2 import Client, InvalidGrant, InvalidRequest, uris
from flask_oauth2.records import Grant


def client(*redirect_uris: str, application_type: str = "native") -> Client:
    return Client(client_id="c", redirect_uris=redirect_uris, application_type=application_type)


@pytest.mark.spec("rfc8252", "7")
@pytest.mark.parametrize(
    "uri",
    [
        "https://print.example/back",
        "https://print.example:8443/back?shop=7",
        "http://127.0.0.1/done",
        "http://127.0.0.1:8000/done",
        "http://[::1]/done",
        "http://localhost:3000/cb",
        "com.trails.app:/oauth/done",
        "com.trails.app://done",
    ],
)
def test_registrable(uri: str) -> None:
    uris.check_registration(uri, "native")


@pytest.mark.spec("rfc6749", "3.1.2")
@pytest.mark.spec("rfc8252", "8.4")
@pytest.mark.spec("rfc9700", "2.6")
@pytest.mark.spec("rfc9207", "2")
@pytest.mark.parametrize(
    ("uri", "reason"),
    [
        ("", "character"),
        ("/back", "absolute"),
        ("print.example/back", "absolute"),
        ("https://print.example/back#top", "fragment"),
        ("https://print.example/back#", "fragment"),
        ("https://*.print.example/back", "wildcard"),
        ("https://user@print.example/back", "user information"),
        ("https://user:pass@print.example/back", "user information"),
        ("https:///back", "host"),
        ("https://print.example:0/back", "URI"),
        ("https://print.example:99999/back", "URI"),
        ("https://[::1/back", "URI"),
        ("http://print.example/back", "https"),
        ("http://127.0.0.1.evil.example/back", "https"),
        ("http://10.0.0.1/back", "https"),
        ("javascript:alert(1)", "scheme"),
        ("data:text/html,x", "scheme"),
        ("file:///etc/passwd", "scheme"),
        ("blob:https://a.example/x", "scheme"),
        ("vbscript:x", "scheme"),
        ("urn:ietf:wg:oauth:2.0:oob", "scheme"),
        ("trails:/done", "scheme"),
        ("https://print.example/a b", "character"),
        ("https://print.example/\r\nx", "character"),
        ("https://print.example/é", "character"),
        ("https://print.example/back?code=1", "query parameter"),
        ("https://print.example/back?iss=", "query parameter"),
    ],
)
def test_not_registrable(uri: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        uris.check_registration(uri, "native")


def test_private_use_schemes_are_for_native_applications() -> None:
    with pytest.raises(ValueError, match="native"):
        uris.check_registration("com.trails.app:/done", "web")


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
        assert uris.choose(registered, requested) == requested
    else:
        with pytest.raises(InvalidRequest, match="not registered"):
            uris.choose(registered, requested)


@pytest.mark.spec("rfc8252", "7.3")
@pytest.mark.parametrize(
    ("registered", "requested", "accepted"),
    [
        ("http://127.0.0.1/done", "http://127.0.0.1:53411/done", True),
        ("http://127.0.0.1:8000/done", "http://127.0.0.1:53411/done", True),
        ("http://127.0.0.1:8000/done", "http://127.0.0.1/done", True),
        ("http://[::1]/done", "http://[::1]:53411/done", True),
        ("http://localhost/done", "http://localhost:53411/done", True),
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
        assert uris.choose(client(registered), requested) == requested
    else:
        with pytest.raises(InvalidRequest):
            uris.choose(client(registered), requested)


@pytest.mark.spec("rfc9700", "2.1")
def test_the_port_of_a_web_application_is_not() -> None:
    registered = client("http://127.0.0.1:8000/done", application_type="web")
    assert uris.choose(registered, "http://127.0.0.1:8000/done")
    with pytest.raises(InvalidRequest):
        uris.choose(registered, "http://127.0.0.1:53411/done")


@pytest.mark.spec("rfc6749", "3.1.2.3")
def test_a_single_registered_uri_may_be_left_out() -> None:
    assert uris.choose(client("https://a.example/"), None) == "https://a.example/"
    for registered in (client("https://a.example/", "https://b.example/"), client()):
        with pytest.raises(InvalidRequest, match="missing"):
            uris.choose(registered, None)


def grant(redirect_uri: str | None, challenge: str | None) -> Grant:
    return Grant(key=b"k", kind="code", expires_at=1, redirect_uri=redirect_uri, challenge=challenge)


@pytest.mark.spec("rfc6749", "4.1.3")
@pytest.mark.spec("oauth-v2-1", "10.2")
def test_the_token_request_names_the_same_uri() -> None:
    uris.verify_redirect(grant("https://a.example/", None), "https://a.example/")
    uris.verify_redirect(grant(None, None), None)
    uris.verify_redirect(grant("https://a.example/", "challenge"), None)
    for sent, challenge, shown in [
        ("https://a.example/", None, None),
        ("https://a.example/", None, "https://a.example"),
        ("https://a.example/", "challenge", "https://b.example/"),
        (None, None, "https://a.example/"),
    ]:
        with pytest.raises(InvalidGrant, match="redirect_uri"):
            uris.verify_redirect(grant(sent, challenge), shown)


@pytest.mark.spec("rfc6749", "3.1.2")
@pytest.mark.parametrize(
    ("uri", "expected"),
    [
        ("https://a.example/cb", "https://a.example/cb?code=a%20b"),
        ("https://a.example/cb?shop=7", "https://a.example/cb?shop=7&code=a%20b"),
        ("https://a.example/cb?shop=%2F", "https://a.example/cb?shop=%2F&code=a%20b"),
        ("https://a.example/cb?", "https://a.example/cb?code=a%20b"),
        ("com.trails.app:/done", "com.trails.app:/done?code=a%20b"),
    ],
)
def test_the_query_is_kept_when_parameters_are_added(uri: str, expected: str) -> None:
    assert uris.add_query(uri, [("code", "a b")]) == expected


def test_form_action_names_where_a_form_leads() -> None:
    assert uris.form_action("https://a.example:8443/cb?x=1") == "https:"
    assert uris.form_action("http://[::1]:5081/cb") == "http:"
    assert uris.form_action("com.trails.app:/done") == "com.trails.app:"


@pytest.mark.spec("oauth-v2-1", "3.2")
@pytest.mark.parametrize(
    ("uri", "origin"),
    [
        ("https://spa.example/callback?a=b", "https://spa.example"),
        ("HTTPS://SPA.example:443/", "https://spa.example"),
        ("https://spa.example:80", "https://spa.example:80"),
        ("http://localhost:80/", "http://localhost"),
        ("http://[::1]:5081/cb", "http://[::1]:5081"),
        (f"https://{'x' * 253}:65535/", f"https://{'x' * 253}:65535"),
        (f"https://{'x' * 254}:65535/", ""),
        ("com.example.app:/back", ""),
        ("com.example.app://back", ""),
        ("https:///callback", ""),
        ("https://[::1", ""),
        ("https://spa.example:x/", ""),
        ("https://spa.example:0/", ""),
        ("https://bücher.example/", ""),
        ("https://a\0b.example/", ""),
        ("", ""),
    ],
)
def test_the_origin_of_a_page_is_as_browsers_write_it(uri: str, origin: str) -> None:
    assert uris.web_origin(uri) == origin
    assert uris.is_web_origin(origin) is bool(origin)
    assert uris.origins_of(Client(client_id="spa", auth_method="none", redirect_uris=(uri,))) == {origin} - {""}
    assert uris.origins_of(Client(client_id="web", redirect_uris=(uri,))) == set()


def test_origin_is_what_people_recognize() -> None:
    assert uris.origin("https://a.example:8443/cb?x=1") == "https://a.example:8443"
    assert uris.origin("com.trails.app:/done") == "com.trails.app:"
