"""Tokens that are bound to a TLS client certificate, :rfc:`8705#section-3`."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from typing import Any

import pytest
from certificates import certificate_of, environ_of
from proofs import Prover

from flask_oauth2.clients import rules
from flask_oauth2.clients.validators import InvalidMetadata
from flask_oauth2.tokens.bindings.certificate import hash_certificate
from oauth_site import CALLBACK, VERIFIER, Site

MEMBER = "tls_client_certificate_bound_access_tokens"
BOUND = {MEMBER: True}
ALGORITHMS = {"OAUTH2_SIGNING_ALGORITHMS": ["ES256"]}


@pytest.fixture
def tls(new_site: Callable[..., Site]) -> Site:
    return new_site(OAUTH2_MUTUAL_TLS=True)


def ask(site: Site, certificate: bytes | None, auth: Any = None, **form: str) -> Any:
    data = {"grant_type": "client_credentials", "scope": "profile", **form}
    return site.http.post("/oauth/token", data=data, auth=auth, environ_overrides=environ_of(certificate))


def call(site: Site, token: str, certificate: bytes | None) -> Any:
    headers = {"Authorization": f"Bearer {token}"}
    return site.http.get("/api/me", headers=headers, environ_overrides=environ_of(certificate))


@pytest.mark.spec("rfc8705", "3")
@pytest.mark.spec("rfc8705", "6.2")
@pytest.mark.parametrize("token_format", ["opaque", "signed", "jwt"])
def test_a_token_is_bound_to_the_certificate(new_site: Callable[..., Site], token_format: str) -> None:
    site = new_site(OAUTH2_MUTUAL_TLS=True, OAUTH2_ACCESS_TOKEN_FORMAT=token_format, **ALGORITHMS)
    auth = ("web", site.add_client(metadata=BOUND))
    answer = ask(site, certificate_of(), auth).get_json()
    assert answer["token_type"] == "Bearer"
    token = answer["access_token"]
    assert call(site, token, certificate_of()).status_code == 200
    for other in (certificate_of(2), None):
        refused = call(site, token, other)
        assert (refused.status_code, refused.get_json()["error"]) == (401, "invalid_token")
        assert 'Bearer realm="oauth2", error="invalid_token"' in refused.headers["WWW-Authenticate"]


@pytest.mark.spec("rfc8705", "3.1")
@pytest.mark.spec("rfc8705", "3.2")
@pytest.mark.parametrize("token_format", ["opaque", "jwt"])
def test_introspection_and_the_claim_name_the_hash(new_site: Callable[..., Site], token_format: str) -> None:
    site = new_site(OAUTH2_MUTUAL_TLS=True, OAUTH2_ACCESS_TOKEN_FORMAT=token_format, **ALGORITHMS)
    auth = ("web", site.add_client(metadata=BOUND))
    token = ask(site, certificate_of(), auth).get_json()["access_token"]
    described = site.post("/introspect", auth, token=token).get_json()
    assert described["cnf"] == {"x5t#S256": hash_certificate(certificate_of())}
    assert described["token_type"] == "Bearer"
    if token_format == "jwt":
        read = site.server.capabilities.formats["jwt"].read(token)
        assert read.confirmation == described["cnf"]


PUBLISHED = """-----BEGIN CERTIFICATE-----
MIIBBjCBrAIBAjAKBggqhkjOPQQDAjAPMQ0wCwYDVQQDDARtdGxzMB4XDTE4MTAx
ODEyMzcwOVoXDTIyMDUwMjEyMzcwOVowDzENMAsGA1UEAwwEbXRsczBZMBMGByqG
SM49AgEGCCqGSM49AwEHA0IABNcnyxwqV6hY8QnhxxzFQ03C7HKW9OylMbnQZjjJ
/Au08/coZwxS7LfA4vOLS9WuneIXhbGGWvsDSb0tH6IxLm8wCgYIKoZIzj0EAwID
SQAwRgIhAP0RC1E+vwJD/D1AGHGzuri+hlV/PpQEKTWUVeORWz83AiEA5x2eXZOV
bUlJSGQgjwD5vaUaKlLR50Q2DmFfQj1L+SY=
-----END CERTIFICATE-----
"""


@pytest.mark.spec("rfc8705", "3.1")
@pytest.mark.spec("rfc8705", "7.2")
def test_the_published_hash() -> None:
    """The sample of appendix A."""
    expected = "A4DtL2JmUMhAsvJj5tKyn64SqzmuXbMrJa0n761y5v0"
    assert hash_certificate(ssl.PEM_cert_to_DER_cert(PUBLISHED)) == expected


@pytest.mark.spec("rfc8705", "3.4")
def test_a_client_that_needs_bound_tokens_needs_a_certificate(tls: Site) -> None:
    auth = ("web", tls.add_client(metadata=BOUND))
    answer = ask(tls, None, auth)
    assert (answer.status_code, answer.get_json()["error"]) == (400, "invalid_request")
    other = ("other", tls.add_client("other"))
    token = ask(tls, certificate_of(), other).get_json()["access_token"]
    assert call(tls, token, None).status_code == 200, "only clients that want bound tokens have them"


@pytest.mark.spec("rfc8705", "3.4")
def test_the_member_needs_the_option(tls: Site, site: Site) -> None:
    for one in (tls, site):
        one.add_client(metadata=BOUND, grant_types=("authorization_code",), response_types=("code",))
    rules.check(tls.store.get_client("web"), tls.server)
    with pytest.raises(InvalidMetadata, match="OAUTH2_MUTUAL_TLS"):
        rules.check(site.store.get_client("web"), site.server)


@pytest.mark.spec("rfc8705", "4")
@pytest.mark.spec("rfc8705", "6.3")
@pytest.mark.spec("rfc8705", "7.1")
@pytest.mark.parametrize("is_public", [True, False])
def test_refresh_tokens_of_public_clients_are_bound(tls: Site, is_public: bool) -> None:
    secret = tls.add_client(secret=None if is_public else "generated", metadata=BOUND)
    auth = None if is_public else ("web", secret)
    form = {"client_id": "web"} if is_public else {}
    code = tls.authorize()["code"]
    form |= {"scope": "profile", "redirect_uri": CALLBACK, "code_verifier": VERIFIER}
    tokens = ask(tls, certificate_of(), auth, grant_type="authorization_code", code=code, **form).get_json()
    refresh = {**form, "grant_type": "refresh_token", "refresh_token": tokens["refresh_token"]}
    answer = ask(tls, certificate_of(2), auth, **refresh)
    if is_public:
        assert (answer.status_code, answer.get_json()["error"]) == (400, "invalid_grant")
        assert ask(tls, certificate_of(), auth, **refresh).status_code == 200
    else:
        renewed = answer.get_json()["access_token"]
        assert call(tls, renewed, certificate_of(2)).status_code == 200
        assert call(tls, tokens["access_token"], certificate_of(2)).status_code == 401


@pytest.mark.spec("rfc8705", "3.3")
@pytest.mark.spec("rfc9728", "2")
def test_metadata_say_that_tokens_can_be_bound(tls: Site, site: Site) -> None:
    for one, expected in [(tls, True), (site, None)]:
        one.provider.protect_resource("/api")
        for path in ("oauth-authorization-server", "oauth-protected-resource/api"):
            document = one.http.get(f"/.well-known/{path}").get_json()
            assert document.get(MEMBER) is expected
            assert "mtls_endpoint_aliases" not in document


@pytest.mark.spec("rfc8705", "5")
def test_endpoint_aliases(new_site: Callable[..., Site]) -> None:
    origin = "https://mtls.login.example:8443"
    site = new_site(
        OAUTH2_MUTUAL_TLS=True,
        OAUTH2_MUTUAL_TLS_ORIGIN=origin,
        OAUTH2_DYNAMIC_REGISTRATION="open",
        OAUTH2_DEFAULT_SCOPE="profile",
        OAUTH2_SIGNING_ALGORITHMS=["ES256"],
    )
    document = site.http.get("/.well-known/oauth-authorization-server").get_json()
    assert document["mtls_endpoint_aliases"] == {
        "token_endpoint": f"{origin}/oauth/token",
        "revocation_endpoint": f"{origin}/oauth/revoke",
        "introspection_endpoint": f"{origin}/oauth/introspect",
        "registration_endpoint": f"{origin}/oauth/register",
        "pushed_authorization_request_endpoint": f"{origin}/oauth/par",
    }
    assert document["token_endpoint"] == "https://login.example/oauth/token"


@pytest.mark.spec("rfc8705", "6.5")
@pytest.mark.parametrize(
    ("option", "certificate_format", "write"),
    [
        ("X-Cert", "pem", lambda pem: pem.replace("\n", " ")),
        ("x-forwarded-client-cert", "envoy", lambda pem: 'Hash=0;Cert="' + pem.replace("\n", "%0A") + '"'),
        ("X-Cert", "der", lambda pem: "".join(pem.split("\n")[1:-2])),
    ],
)
def test_a_proxy_sends_the_certificate(
    new_site: Callable[..., Site], option: str, certificate_format: str, write: Callable[[str], str]
) -> None:
    site = new_site(
        OAUTH2_MUTUAL_TLS=True,
        OAUTH2_CLIENT_CERTIFICATE_HEADER=option,
        OAUTH2_CLIENT_CERTIFICATE_FORMAT=certificate_format,
        OAUTH2_CLIENT_CERTIFICATE_VERIFY_HEADER="X-Verify",
    )
    site.add_client(
        secret=None, auth_method="tls_client_auth", metadata=BOUND | {"tls_client_auth_san_dns": "client.example"}
    )

    def headers_of(number: int, verification: str = "SUCCESS") -> dict[str, str]:
        return {option: write(environ_of(certificate_of(number))["SSL_CLIENT_CERT"]), "X-Verify": verification}

    form = {"grant_type": "client_credentials", "client_id": "web", "scope": "profile"}
    answer = site.http.post("/oauth/token", data=form, headers=headers_of(1))
    token = answer.get_json()["access_token"]
    assert site.http.post("/oauth/token", data=form, headers=headers_of(1, "NONE")).status_code == 401
    assert ask(site, certificate_of(), client_id="web").status_code == 401, "the environment is not read"
    for number, status in [(1, 200), (2, 401)]:
        sent = {"Authorization": f"Bearer {token}", **headers_of(number)}
        assert site.http.get("/api/me", headers=sent).status_code == status


def test_a_token_can_be_bound_to_a_certificate_and_a_key(new_site: Callable[..., Site]) -> None:
    site = new_site(OAUTH2_MUTUAL_TLS=True, OAUTH2_DPOP="optional", OAUTH2_DPOP_NONCES=False)
    auth, client = ("web", site.add_client(metadata=BOUND)), Prover(site)
    environ = environ_of(certificate_of())
    data = {"grant_type": "client_credentials", "scope": "profile"}
    answer = client.send("/oauth/token", data=data, auth=auth, environ_overrides=environ).get_json()
    assert answer["token_type"] == "DPoP"
    token = answer["access_token"]
    assert set(site.post("/introspect", auth, token=token).get_json()["cnf"]) == {"jkt", "x5t#S256"}
    for sent, status in [(environ, 200), ({}, 401), (environ_of(certificate_of(2)), 401)]:
        assert client.call(token, environ_overrides=sent).status_code == status


def test_proofs_are_for_the_origin_of_the_request(new_site: Callable[..., Site]) -> None:
    origin = "https://mtls.login.example"
    site = new_site(
        OAUTH2_MUTUAL_TLS=True, OAUTH2_MUTUAL_TLS_ORIGIN=origin, OAUTH2_DPOP="optional", OAUTH2_DPOP_NONCES=False
    )
    auth = ("web", site.add_client())
    for host, prover_origin, status in [
        ("mtls.login.example", origin, 200),
        ("mtls.login.example", "https://login.example", 400),
        ("login.example", "https://login.example", 200),
        ("evil.example", "https://login.example", 200),
        ("evil.example", "https://evil.example", 400),
    ]:
        prover = Prover(site, origin=prover_origin)
        answer = prover.send(
            "/oauth/token", data={"grant_type": "client_credentials"}, auth=auth, headers={"Host": host}
        )
        assert answer.status_code == status
