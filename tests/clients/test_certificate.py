"""Client authentication with a TLS client certificate, :rfc:`8705#section-2`."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from certificates import certificate_of, environ_of, jwk_of

from flask_oauth2 import Client, Credentials, InvalidClient
from flask_oauth2.clients import rules
from flask_oauth2.clients.validators import InvalidMetadata
from flask_oauth2.errors import FetchError
from flask_oauth2.http.fetch import Fetched
from oauth_site import CALLBACK, NOW, Site

SUBJECTS = {
    "tls_client_auth_subject_dn": "CN=Web client,O=Example\\, Inc,C=DE",
    "tls_client_auth_san_dns": "client.example",
    "tls_client_auth_san_uri": "https://client.example/id",
    "tls_client_auth_san_ip": "2001:db8::1",
    "tls_client_auth_san_email": "Client@mail.example",
}


@pytest.fixture
def tls(new_site: Callable[..., Site]) -> Site:
    return new_site(OAUTH2_MUTUAL_TLS=True)


def ask(site: Site, certificate: bytes | None, verification: str = "SUCCESS", **form: str) -> Any:
    data = {"grant_type": "client_credentials", "client_id": "web", **form}
    environ = environ_of(certificate, verification)
    return site.http.post("/oauth/token", data=data, environ_overrides=environ)


def add(site: Site, method: str = "tls_client_auth", **metadata: Any) -> None:
    site.add_client(secret=None, auth_method=method, metadata=metadata)


@pytest.mark.spec("rfc8705", "2.1")
@pytest.mark.spec("rfc8705", "2.1.2")
@pytest.mark.parametrize(
    ("member", "value"),
    [
        *SUBJECTS.items(),
        ("tls_client_auth_subject_dn", "cn=web  CLIENT, o=example\\, inc, c=de"),
        ("tls_client_auth_subject_dn", "2.5.4.3=Web client,2.5.4.10=Example\\, Inc,2.5.4.6=DE"),
        ("tls_client_auth_san_dns", "CLIENT.example"),
        ("tls_client_auth_san_ip", "2001:0DB8:0::0001"),
        ("tls_client_auth_san_ip", "192.0.2.7"),
        ("tls_client_auth_san_email", "Client@MAIL.example"),
    ],
)
def test_a_certificate_with_the_subject_authenticates(tls: Site, member: str, value: str) -> None:
    add(tls, **{member: value})
    assert ask(tls, certificate_of()).status_code == 200


@pytest.mark.spec("rfc8705", "2")
@pytest.mark.spec("rfc8705", "2.1")
@pytest.mark.spec("rfc8705", "2.1.2")
@pytest.mark.parametrize(
    ("member", "value"),
    [
        ("tls_client_auth_subject_dn", "C=DE,O=Example\\, Inc,CN=Web client"),
        ("tls_client_auth_subject_dn", "CN=Web client,O=Example\\, Inc"),
        ("tls_client_auth_subject_dn", "CN=Web client+O=Example\\, Inc,C=DE"),
        ("tls_client_auth_subject_dn", "client.example"),
        ("tls_client_auth_san_dns", "Web client"),
        ("tls_client_auth_san_dns", "https://client.example/id"),
        ("tls_client_auth_san_dns", "mail.example"),
        ("tls_client_auth_san_uri", "https://client.example/ID"),
        ("tls_client_auth_san_uri", "client.example"),
        ("tls_client_auth_san_ip", "2001:db8::2"),
        ("tls_client_auth_san_ip", "client.example"),
        ("tls_client_auth_san_email", "client@mail.example"),
        ("tls_client_auth_san_email", "client.example"),
    ],
)
def test_another_subject_does_not(tls: Site, member: str, value: str) -> None:
    add(tls, **{member: value})
    answer = ask(tls, certificate_of())
    assert (answer.status_code, answer.get_json()["error"]) == (401, "invalid_client")


@pytest.mark.spec("rfc8705", "2")
@pytest.mark.spec("rfc8705", "2.1")
def test_the_server_must_have_verified_the_chain(tls: Site) -> None:
    add(tls, tls_client_auth_san_dns="client.example")
    assert ask(tls, certificate_of()).status_code == 200
    for certificate, verification in [
        (None, "SUCCESS"),
        (certificate_of(), "NONE"),
        (certificate_of(), "FAILED:self-signed certificate"),
        (certificate_of(), ""),
        (certificate_of(2, has_names=False), "SUCCESS"),
        (b"no certificate", "SUCCESS"),
    ]:
        answer = ask(tls, certificate, verification)
        assert (answer.status_code, answer.get_json()["error"]) == (401, "invalid_client")
    add(tls)
    assert ask(tls, certificate_of()).status_code == 401


@pytest.mark.spec("rfc8705", "2.1")
@pytest.mark.parametrize(("option", "status"), [("always", 200), ("X-Verify", 401), ("", 401)])
def test_the_proxy_may_send_verified_certificates_only(new_site: Callable[..., Site], option: str, status: int) -> None:
    site = new_site(OAUTH2_MUTUAL_TLS=True, OAUTH2_CLIENT_CERTIFICATE_VERIFY_HEADER=option)
    add(site, tls_client_auth_san_dns="client.example")
    assert ask(site, certificate_of(), "").status_code == status


@pytest.mark.spec("rfc8705", "2")
def test_client_id_is_needed_and_no_other_credentials_are_sent(tls: Site) -> None:
    add(tls, tls_client_auth_san_dns="client.example")
    environ = environ_of(certificate_of())
    form = {"grant_type": "client_credentials"}
    assert tls.http.post("/oauth/token", data=form, environ_overrides=environ).status_code == 401
    answer = ask(tls, certificate_of(), client_secret="x")
    assert (answer.status_code, answer.get_json()["error"]) == (401, "invalid_client")
    answer = ask(tls, certificate_of(), client_id="unknown")
    assert (answer.status_code, answer.get_json()["error"]) == (401, "invalid_client")


@pytest.mark.spec("rfc8705", "4")
def test_a_certificate_authenticates_no_other_client(tls: Site, new_site: Callable[..., Site]) -> None:
    """Such as a proxy that sends the certificate of each connection."""
    tls.add_client(secret=None)
    form = {"client_id": "web", "token": "x"}
    environ = environ_of(certificate_of())
    assert tls.http.post("/oauth/revoke", data=form, environ_overrides=environ).status_code == 200
    secret = tls.add_client("other")
    assert ask(tls, certificate_of(), client_id="other").status_code == 401
    assert ask(tls, certificate_of(), client_id="other", client_secret=secret).status_code == 200
    off = new_site()
    add(off, tls_client_auth_san_dns="client.example")
    assert ask(off, certificate_of()).status_code == 401


@pytest.mark.spec("rfc8705", "1")
def test_every_endpoint_accepts_the_certificate(tls: Site) -> None:
    add(tls, tls_client_auth_san_dns="client.example")
    token = ask(tls, certificate_of()).get_json()["access_token"]
    form = {"client_id": "web", "token": token}
    for path in ("/oauth/introspect", "/oauth/revoke"):
        answers = [
            tls.http.post(path, data=form, environ_overrides=environ_of(one)) for one in (certificate_of(), None)
        ]
        assert [answer.status_code for answer in answers] == [200, 401]


@pytest.mark.spec("rfc8705", "2.2")
@pytest.mark.spec("rfc8705", "2.2.2")
@pytest.mark.spec("rfc7517", "4.7")
@pytest.mark.parametrize("verification", ["NONE", "FAILED:self-signed certificate"])
def test_a_registered_certificate_authenticates(tls: Site, verification: str) -> None:
    jwks = {"keys": [jwk_of(certificate_of(2), 2), jwk_of(certificate_of())]}
    add(tls, "self_signed_tls_client_auth", jwks=jwks)
    for number, status in [(1, 200), (2, 200), (3, 401)]:
        assert ask(tls, certificate_of(number), verification).status_code == status
    assert ask(tls, None).status_code == 401
    assert ask(tls, b"no certificate").status_code == 401


@pytest.mark.spec("rfc8705", "2.2.2")
@pytest.mark.spec("rfc7517", "4.7")
@pytest.mark.parametrize(
    "jwk",
    [
        {**jwk_of(certificate_of(2), 1)},
        {**jwk_of(certificate_of(2), 2), "x5c": jwk_of(certificate_of(), 1)["x5c"]},
        {**jwk_of(certificate_of()), "x5c": [*jwk_of(certificate_of(2), 2)["x5c"], *jwk_of(certificate_of())["x5c"]]},
        {**jwk_of(certificate_of()), "x5c": []},
        {**jwk_of(certificate_of()), "x5c": "x"},
        {**jwk_of(certificate_of()), "x5c": ["ü"]},
        {**jwk_of(certificate_of()), "x5c": None},
        {"kty": "EC", "x5c": jwk_of(certificate_of())["x5c"]},
    ],
)
def test_the_key_and_the_first_certificate_must_match(tls: Site, jwk: dict[str, Any]) -> None:
    add(tls, "self_signed_tls_client_auth", jwks={"keys": [jwk]})
    assert ask(tls, certificate_of()).status_code == 401


def test_a_client_without_keys_is_rejected(tls: Site) -> None:
    add(tls, "self_signed_tls_client_auth")
    assert ask(tls, certificate_of()).status_code == 401


@pytest.mark.parametrize("algorithm", ["EdDSA", "ES512"])
def test_certificates_of_other_algorithms(tls: Site, algorithm: str) -> None:
    certificate = certificate_of(1, algorithm=algorithm)
    add(tls, "self_signed_tls_client_auth", jwks={"keys": [jwk_of(certificate, 1, algorithm)]})
    assert ask(tls, certificate).status_code == 200
    assert ask(tls, certificate_of()).status_code == 401


@pytest.mark.spec("rfc8705", "2.2")
def test_a_jwks_uri_may_change(tls: Site) -> None:
    add(tls, "self_signed_tls_client_auth", jwks_uri="https://client.example/jwks")
    keys = [jwk_of(certificate_of())]

    def fetch(url: str, may_be_own: bool) -> Fetched:
        if not keys:
            raise FetchError("no response")
        return Fetched({}, json.dumps({"keys": keys}).encode())

    tls.server.remote_keys.fetch = fetch
    assert ask(tls, certificate_of()).status_code == 200
    keys[:] = [jwk_of(certificate_of(2), 2)]
    tls.clock.forward(7200)
    assert [ask(tls, certificate_of(number)).status_code for number in (2, 1)] == [200, 401]
    keys.clear()
    tls.clock.forward(200_000)
    answer = ask(tls, certificate_of(2))
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "30")


@pytest.mark.spec("rfc8705", "2.1.1")
@pytest.mark.spec("rfc8705", "2.2.1")
def test_metadata_name_the_methods(tls: Site, site: Site) -> None:
    path, member = "/.well-known/oauth-authorization-server", "token_endpoint_auth_methods_supported"
    names = {"tls_client_auth", "self_signed_tls_client_auth"}
    assert names <= set(tls.http.get(path).get_json()[member])
    assert not names & set(site.http.get(path).get_json()[member])


@pytest.mark.spec("rfc8705", "2.1.2")
@pytest.mark.parametrize(
    ("metadata", "field"),
    [
        ({}, "token_endpoint_auth_method"),
        (SUBJECTS, "token_endpoint_auth_method"),
        ({"tls_client_auth_subject_dn": "no name"}, "tls_client_auth_subject_dn"),
        ({"tls_client_auth_subject_dn": "CN=a,,"}, "tls_client_auth_subject_dn"),
        ({"tls_client_auth_san_ip": "1.2.3"}, "tls_client_auth_san_ip"),
        ({"tls_client_auth_san_dns": "a\nb"}, "tls_client_auth_san_dns"),
    ],
)
def test_a_client_registers_one_subject(tls: Site, metadata: dict[str, str], field: str) -> None:
    client = Client(client_id="web", auth_method="tls_client_auth", redirect_uris=(CALLBACK,), metadata=metadata)
    with pytest.raises(InvalidMetadata) as caught:
        rules.check(client, tls.server)
    assert caught.value.field == field
    for member, value in SUBJECTS.items():
        good = Client(
            client_id="web", auth_method="tls_client_auth", redirect_uris=(CALLBACK,), metadata={member: value}
        )
        rules.check(good, tls.server)


@pytest.mark.spec("rfc8705", "2.1.2")
def test_dynamic_registration(new_site: Callable[..., Site]) -> None:
    site = new_site(OAUTH2_MUTUAL_TLS=True, OAUTH2_DYNAMIC_REGISTRATION="open", OAUTH2_DEFAULT_SCOPE="profile")
    members = {
        "redirect_uris": [CALLBACK],
        "token_endpoint_auth_method": "tls_client_auth",
        "tls_client_auth_san_dns": "client.example",
    }
    answer = site.http.post("/oauth/register", json=members)
    assert answer.status_code == 201
    assert answer.get_json()["tls_client_auth_san_dns"] == "client.example"
    assert "client_secret" not in answer.get_json()
    answer = site.http.post("/oauth/register", json={**members, "tls_client_auth_san_ip": "192.0.2.1"})
    assert answer.get_json()["error"] == "invalid_client_metadata"


def test_the_command_line(tls: Site) -> None:
    tls.add_client(grant_types=("authorization_code",), response_types=("code",))
    run = tls.app.test_cli_runner().invoke
    arguments = [
        "--auth-method",
        "tls_client_auth",
        "--tls-client-auth-subject-dn",
        "CN=Web client,O=Example\\, Inc,C=DE",
    ]
    assert run(args=["oauth2", "client", "update", "web", *arguments]).exit_code == 0
    client = tls.store.get_client("web")
    assert client.auth_method == "tls_client_auth"
    assert client.metadata == {"tls_client_auth_subject_dn": "CN=Web client,O=Example\\, Inc,C=DE"}


@pytest.mark.parametrize("name", ["tls_client_auth", "self_signed_tls_client_auth"])
def test_an_unknown_client_is_rejected_like_any_other(tls: Site, name: str) -> None:
    method = next(one for one in tls.server.capabilities.auth_methods if one.name == name)
    with pytest.raises(InvalidClient, match="client authentication failed"):
        method.verify(tls.server, None, Credentials("web"), NOW)
