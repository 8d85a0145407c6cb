"""Redirect URIs: which ones clients may register, and the parameters that answers add to them."""

from __future__ import annotations

import pytest

from flask_oauth2 import Client
from flask_oauth2.http import redirects, urls


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
        "trails:/done",
        "cursor://anysphere.cursor-mcp/oauth/callback",
        "vscode://vscode.github-authentication/did-authenticate",
        "raycast://oauth?package_name=Extension",
        "HTTPS://Print.Example/back",
        "HTTP://LOCALHOST:3000/cb",
        "https://print.example:443/back",
        "https://xn--bcher-kva.example/back",
        "https://xn--strae-oqa.example/back",
        "https://xn--kxa6ajbbmh.example/back",
        "https://my_shop.example/back",
        "https://93.184.216.34/back",
        "https://[2606:2800:220:1::1]:8443/back",
    ],
)
def test_registrable(uri: str) -> None:
    redirects.check_registration(uri)


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
        ("search-ms:query=x", "scheme"),
        ("ms-msdt:/id", "scheme"),
        ("SHELL:startup", "scheme"),
        ("https+google://accounts.google.com/cb", "scheme"),
        ("data:text/html,x", "scheme"),
        ("file:///etc/passwd", "scheme"),
        ("blob:https://a.example/x", "scheme"),
        ("vbscript:x", "scheme"),
        *[
            (f"{scheme}{rest}", "scheme")
            for scheme in ("JavaScript", "VBSCRIPT", "About", "view-source", "filesystem", "chrome", "intent", "jar")
            for rest in (":x", "://a.example/cb")
        ],
        *[
            (f"{scheme}://a.example/cb", "scheme")
            for scheme in ("ws", "WSS", "ftp", "chrome-extension", "moz-extension")
        ],
        ("mailto:ada@print.example", "scheme"),
        ("localhost:3000/cb", "absolute"),
        ("print.example:8080", "absolute"),
        ("trails://user@done", "user information"),
        ("trails://do%6ee/cb", "percent-encoding"),
        ("https:print.example/back", "host"),
        ("https:/print.example/back", "host"),
        ("https://print.example%2eevil.example/back", "percent-encoding"),
        ("https://%70rint.example/back", "percent-encoding"),
        ("https://[fe80::1%25eth0]/back", "percent-encoding"),
        ("https://print.example./back", "domain name"),
        ("https://print..example/back", "domain name"),
        ("https://.print.example/back", "domain name"),
        ("https://print!example/back", "domain name"),
        ("https://print.example:/back", "port"),
        ("https://print.example:0443/back", "port"),
        ("https://2130706433/back", "IPv4"),
        ("https://0x7f.1/back", "IPv4"),
        ("https://0x7f000001/back", "IPv4"),
        ("https://127.1/back", "IPv4"),
        ("https://0177.0.0.1/back", "IPv4"),
        ("https://print.example.0x/back", "IPv4"),
        ("https://[0:0:0:0:0:0:0:1]/back", "IPv6"),
        ("https://[::ffff:127.0.0.1]/back", "IPv6"),
        ("https://[::ffff:7f00:1]/back", "IPv6"),
        ("https://[v1.a]/back", "IPv6"),
        ("https://xn--google-.example/back", "Punycode"),
        ("https://xn--.example/back", "Punycode"),
        ("https://xn--99999999999.example/back", "Punycode"),
        ("https://xn--a.example/back", "Punycode"),
        ("https://xn---u1d.example/back", "Punycode"),  # an encoding that no encoder writes
        # what a browser would turn into another name: fullwidth, a ligature, upper case, decomposed, a selector
        ("https://xn--pple-zg0y.example/back", "Punycode"),
        ("https://xn--nance-td82a.example/back", "Punycode"),
        ("https://xn--pfel-zja.example/back", "Punycode"),
        ("https://xn--cafe-yvc.example/back", "Punycode"),
        ("https://xn--a-bga1355q.example/back", "Punycode"),
        (f"https://{'a' * 250}.example/back", "domain name"),
        ("https://print.example\\evil.example/back", "character"),
        ("https://print\u3002example/back", "character"),
        ("https://pri\u00adnt.example/back", "character"),
        ("http://localhost.evil.example/back", "https"),
        ("HTTP://print.example/back", "https"),
        ("urn:ietf:wg:oauth:2.0:oob", "scheme"),
        ("https://print.example/a b", "character"),
        ("https://print.example/\r\nx", "character"),
        ("https://print.example/é", "character"),
        ("https://print.example/back?code=1", "query parameter"),
        ("https://print.example/back?iss=", "query parameter"),
    ],
)
def test_not_registrable(uri: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        redirects.check_registration(uri)


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
    assert urls.add_query(uri, [("code", "a b")]) == expected


@pytest.mark.parametrize(
    ("uri", "is_interceptable", "is_on_device", "opens_application", "host"),
    [
        ("https://a.example:8443/cb", False, False, False, "a.example:8443"),
        ("HTTPS://A.Example:443/cb", False, False, False, "a.example"),
        ("hTTps://[2606:2800:220:1::1]/cb", False, False, False, "[2606:2800:220:1::1]"),
        ("http://localhost:1/cb", True, True, False, ""),
        ("https://localhost:1/cb", False, False, False, "localhost:1"),
        ("HTTP://LocalHost:1/cb", True, True, False, ""),
        ("http://a.example/cb", True, False, False, ""),
        ("com.trails.app:/done", True, True, True, ""),
        ("Cursor://a.example/cb", True, True, True, ""),
        ("https\t://a.example/cb", True, False, False, ""),
        ("", True, False, False, ""),
    ],
)
def test_what_is_concluded_from_a_uri_does_not_depend_on_case(
    uri: str, is_interceptable: bool, is_on_device: bool, opens_application: bool, host: str
) -> None:
    assert redirects.is_interceptable(uri) is is_interceptable
    assert redirects.is_on_device(uri) is is_on_device
    assert redirects.opens_application(uri) is opens_application
    assert redirects.host_and_port(uri) == host


@pytest.mark.spec("rfc7591", "5")
@pytest.mark.parametrize(
    ("page", "uri", "is_of_host"),
    [
        ("https://a.example/about", "https://a.example:8443/cb", True),
        ("HTTPS://A.example/about", "https://a.example/cb", True),
        ("https://a.example/about", "https://b.example/cb", False),
        ("http://localhost/about", "https://localhost/cb", False),
        ("https://localhost/about", "http://localhost:5000/cb", False),
        ("https://a.example/about", "com.trails.app://a.example/cb", False),
        ("https:/about", "https:/cb", False),
    ],
)
def test_a_page_is_of_the_host_of_a_uri(page: str, uri: str, is_of_host: bool) -> None:
    assert redirects.is_of_host(page, uri) is is_of_host


@pytest.mark.parametrize(
    ("uri", "is_harmless"),
    [
        ("https://a.example/cb", True),
        ("http://a.example/cb", True),
        ("com.trails.app:/cb", True),
        ("mailto:a@a.example", True),
        ("javascript:alert(1)", False),
        ("JavaScript://a.example/%0aalert(1)", False),
        ("data:text/html,x", False),
        ("https://a.example%2eevil.example/cb", False),
        ("/cb", False),
        ("", False),
    ],
)
def test_the_least_that_a_redirect_uri_must_fulfill(uri: str, is_harmless: bool) -> None:
    assert redirects.is_harmless(uri) is is_harmless


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
    assert redirects.web_origin(uri) == origin
    assert redirects.is_web_origin(origin) is bool(origin)
    assert redirects.origins_of(Client(client_id="spa", auth_method="none", redirect_uris=(uri,))) == {origin} - {""}
    assert redirects.origins_of(Client(client_id="web", redirect_uris=(uri,))) == set()


def test_origin_is_what_people_recognize() -> None:
    assert urls.origin("https://a.example:8443/cb?x=1") == "https://a.example:8443"
    assert urls.origin("HTTPS://A.Example:443/cb?x=1") == "https://a.example"
    assert urls.origin("com.trails.app:/done") == "com.trails.app:"
    assert urls.origin("Cursor://Anysphere/cb") == "cursor://Anysphere"
    assert urls.origin("nonsense") == ""
