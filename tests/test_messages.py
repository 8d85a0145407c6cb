"""Parameters as RFC 6749 wants them read."""

from __future__ import annotations

from base64 import b64decode
from typing import Any
from urllib.parse import quote

import pytest

from flask_oauth2 import InvalidRequest, Request
from flask_oauth2.http.messages import MOST_PARAMETERS, Params


@pytest.mark.spec("rfc6749", "B")
def test_form_encoding_is_utf8_first() -> None:
    assert Params(b"a=+%25%26%2B%C2%A3%E2%82%AC").get("a") == " %&+£€"


@pytest.mark.spec("rfc6749", "B")
@pytest.mark.parametrize("raw", [b"a=%ff", b"a=\xff", b"%ff=a", b"a=%ed%a0%80"])
def test_what_is_not_utf8_is_refused(raw: bytes) -> None:
    with pytest.raises(InvalidRequest, match="UTF-8"):
        Params(raw)


@pytest.mark.spec("rfc6749", "3.1")
def test_empty_is_absent() -> None:
    params = Params(b"scope=&state&a=1")
    assert params.get("scope") is None
    assert params.get("state") is None
    assert params.get("a") == "1"
    with pytest.raises(InvalidRequest, match="scope is missing"):
        params.require("scope")


@pytest.mark.spec("rfc6749", "3.1")
@pytest.mark.parametrize("raw", [b"a=1&a=2", b"a=1&a=1", b"a=1&b=2&a=3&a=4"])
def test_a_repeated_parameter_is_refused(raw: bytes) -> None:
    params = Params(raw)
    for read in (params.get, params.require):
        with pytest.raises(InvalidRequest, match="is repeated"):
            read("a")
    with pytest.raises(InvalidRequest, match="is repeated"):
        params.refuse_repeated()
    assert params.once("a") is None
    with pytest.raises(InvalidRequest, match="is repeated"):
        Params(raw, once=True)


def test_another_parameter_can_be_read_beside_a_repeated_one() -> None:
    params = Params(b"a=1&a=2&b=3")
    assert params.get("b") == params.require("b") == params.once("b") == "3"
    assert sorted(params.pairs()) == [("a", "1"), ("a", "2"), ("b", "3")]


@pytest.mark.spec("rfc6749", "3.1")
def test_an_empty_repetition_is_none() -> None:
    assert Params(b"a=1&a=&a").get("a") == "1"


@pytest.mark.spec("rfc6749", "A")
def test_a_nul_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="NUL"):
        Params(b"a=x%00y")


def test_too_many_are_refused() -> None:
    Params(b"&".join(b"p%d=1" % number for number in range(MOST_PARAMETERS)))
    with pytest.raises(InvalidRequest, match="too many"):
        Params(b"&".join(b"p%d=1" % number for number in range(MOST_PARAMETERS + 1)))


def test_a_long_name_is_not_repeated_in_the_answer() -> None:
    name = b"n" * 5000
    with pytest.raises(InvalidRequest) as caught:
        Params(name + b"=1&" + name + b"=2").refuse_repeated()
    assert len(caught.value.description) < 100


PEM = "-----BEGIN CERTIFICATE-----\nMIIB\nAgME\n-----END CERTIFICATE-----\n"


def make_request(certificate_text: str = "", path: str = "/token") -> Request:
    return Request(
        "POST", path, {}, b"", None, "/eu", scheme="https", host="login.example", certificate_text=certificate_text
    )


@pytest.mark.parametrize(
    ("path", "url"),
    [("/token", "https://login.example/eu/token"), ("/a b/é", "https://login.example/eu/a%20b/%C3%A9")],
)
def test_a_request_has_its_url(path: str, url: str) -> None:
    assert make_request(path=path).url == url


@pytest.mark.parametrize("text", [PEM, quote(PEM), PEM.replace("\n", " "), ":MIIBAgME:"])
def test_a_request_has_the_certificate_of_its_client(text: str) -> None:
    assert make_request(text).certificate == b64decode("MIIBAgME")
    assert make_request().certificate is None


@pytest.mark.parametrize(
    "text", ["MIIBAgME", ":MII\u00e9:", "-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----", f"{PEM},{PEM}"]
)
def test_text_that_is_no_certificate_is_rejected(text: str) -> None:
    with pytest.raises(InvalidRequest, match="is malformed"):
        _ = make_request(text).certificate


@pytest.mark.parametrize(
    ("certificate_format", "text"),
    [
        ("der", "MIIBAgME"),
        ("pem", PEM + PEM.replace("MIIB", "AAAA")),
        ("envoy", f'Hash=00;Cert="{quote(PEM)}";Subject="CN=a,\\"Cert=x\\";";URI='),
        ("envoy", f"Cert={quote(PEM)}"),
    ],
)
def test_proxies_have_other_formats(certificate_format: str, text: str) -> None:
    request = make_request(text)._replace(certificate_format=certificate_format)
    assert request.certificate == b64decode("MIIBAgME")


@pytest.mark.parametrize(
    ("certificate_format", "text"),
    [
        ("der", "MIIBAgME,MIIBAgME"),
        ("der", PEM),
        ("envoy", PEM),
        ("envoy", f'Cert="{quote(PEM)}",Cert="{quote(PEM)}"'),
        ("envoy", 'Subject="Cert=x"'),
        ("envoy", 'Subject="'),
        ("envoy", "Cert=x;"),
    ],
)
def test_text_of_another_format_is_rejected(certificate_format: str, text: str) -> None:
    request = make_request(text)._replace(certificate_format=certificate_format)
    with pytest.raises(InvalidRequest, match="is malformed"):
        _ = request.certificate


@pytest.mark.parametrize(
    ("option", "environ", "seen"),
    [
        (None, {"SSL_CLIENT_CERT": PEM}, True),
        (None, {"HTTP_X_CERT": ":MIIBAgME:"}, False),
        ("X-Cert", {"HTTP_X_CERT": ":MIIBAgME:"}, True),
        ("X-Cert", {"SSL_CLIENT_CERT": PEM}, False),
    ],
)
def test_the_certificate_is_of_the_environment_or_of_one_header(
    new_site: Any, option: str | None, environ: dict[str, str], seen: bool
) -> None:
    site = new_site(**({"OAUTH2_CLIENT_CERTIFICATE_HEADER": option} if option else {}))
    certificates = []

    @site.provider.register_answer_members
    def note(issued: Any) -> None:
        certificates.append(issued.request.certificate)

    auth = ("web", site.add_client())
    form = {"grant_type": "client_credentials"}
    assert site.http.post("/oauth/token", data=form, auth=auth, environ_overrides=environ).status_code == 200
    assert certificates == [b64decode("MIIBAgME") if seen else None]
