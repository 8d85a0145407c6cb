"""Server metadata: computed, so that it cannot claim more than there is."""

from __future__ import annotations

from typing import Any

import pytest

from flask_oauth2 import TokenGrant
from oauth_site import Site

WELL_KNOWN = "/.well-known/oauth-authorization-server"
METHODS = ["none", "client_secret_basic", "client_secret_post", "private_key_jwt"]
ALGORITHMS = ["ES256", "ES384", "ES512", "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "EdDSA", "Ed25519"]


@pytest.mark.spec("rfc8414", "2")
@pytest.mark.spec("rfc8414", "3.2")
def test_the_metadata_document(site: Site) -> None:
    answer = site.http.get(WELL_KNOWN)
    assert answer.status_code == 200
    assert answer.mimetype == "application/json"
    assert answer.headers["Access-Control-Allow-Origin"] == "*"
    assert answer.get_json() == {
        "issuer": "https://login.example",
        "authorization_endpoint": "https://login.example/oauth/authorize",
        "token_endpoint": "https://login.example/oauth/token",
        "pushed_authorization_request_endpoint": "https://login.example/oauth/par",
        "revocation_endpoint": "https://login.example/oauth/revoke",
        "introspection_endpoint": "https://login.example/oauth/introspect",
        "scopes_supported": ["profile", "mail", "write"],
        "response_types_supported": ["code"],
        "response_modes_supported": ["query", "fragment", "form_post"],
        "grant_types_supported": ["authorization_code", "client_credentials", "refresh_token"],
        "token_endpoint_auth_methods_supported": METHODS,
        "token_endpoint_auth_signing_alg_values_supported": ALGORITHMS,
        "revocation_endpoint_auth_methods_supported": METHODS,
        "revocation_endpoint_auth_signing_alg_values_supported": ALGORITHMS,
        "introspection_endpoint_auth_methods_supported": METHODS[1:],
        "introspection_endpoint_auth_signing_alg_values_supported": ALGORITHMS,
        "code_challenge_methods_supported": ["S256"],
        "authorization_response_iss_parameter_supported": True,
    }


@pytest.mark.spec("rfc8414", "2")
def test_the_document_includes_registered_extensions(new_site: Any) -> None:
    site = new_site(
        OAUTH2_GRANT_TYPES=["implicit", "client_credentials"],
        OAUTH2_SCOPES={},
        OAUTH2_SERVICE_DOCUMENTATION="https://docs.example",
    )
    site.provider.grant_type("urn:example:key")(lambda request: TokenGrant(request.authorization()))
    document = site.http.get(WELL_KNOWN).get_json()
    assert document["grant_types_supported"] == ["implicit", "client_credentials", "urn:example:key"]
    assert document["response_types_supported"] == ["token"]
    assert "code_challenge_methods_supported" not in document
    assert "scopes_supported" not in document
    assert document["service_documentation"] == "https://docs.example"


@pytest.mark.spec("rfc8414", "2")
def test_without_a_browser_flow_there_is_no_authorization_endpoint(new_site: Any) -> None:
    document = new_site(OAUTH2_GRANT_TYPES=["client_credentials"]).http.get(WELL_KNOWN).get_json()
    assert "authorization_endpoint" not in document
    assert document["response_types_supported"] == []


@pytest.mark.spec("rfc8414", "3.1")
@pytest.mark.parametrize(
    ("issuer", "found", "not_found"),
    [
        ("https://login.example", [""], ["/eu", "/x/y"]),
        ("https://login.example/eu", ["", "/eu", "/eu/"], ["/us", "/eu/x", "/e"]),
        ("https://login.example/eu/", ["", "/eu"], ["/us"]),
    ],
)
def test_the_location_of_the_document(new_site: Any, issuer: str, found: list[str], not_found: list[str]) -> None:
    site = new_site(OAUTH2_ISSUER=issuer)
    for path in found:
        assert site.http.get(f"{WELL_KNOWN}{path}", follow_redirects=True).get_json()["issuer"] == issuer
    for path in not_found:
        assert site.http.get(f"{WELL_KNOWN}{path}").status_code == 404


@pytest.mark.spec("rfc9207", "2.3")
def test_the_issuer_is_the_same_in_document_and_responses(new_site: Any) -> None:
    site = new_site(OAUTH2_ISSUER="https://login.example/eu/")
    site.add_client()
    document = site.http.get(f"{WELL_KNOWN}/eu").get_json()
    assert site.authorize()["iss"] == document["issuer"] == "https://login.example/eu/"
    assert document["token_endpoint"] == "https://login.example/oauth/token"


def test_the_issuer_ignores_the_host_header(new_site: Any) -> None:
    headers = {"Host": "evil.example", "X-Forwarded-Host": "evil.example", "X-Forwarded-Proto": "https"}
    for site in (new_site(), new_site(OAUTH2_ISSUER=None, DEBUG=True)):
        assert "evil" not in site.http.get(WELL_KNOWN, headers=headers).text


def test_below_a_mount_point_the_endpoints_are_below_it(new_site: Any) -> None:
    site = new_site(OAUTH2_ISSUER="https://login.example/eu")
    for mount in ("", "/eu", ""):
        document = site.http.get(WELL_KNOWN, environ_overrides={"SCRIPT_NAME": mount}).get_json()
        assert document["token_endpoint"] == f"https://login.example{mount}/oauth/token", "whoever asked first"


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
def test_the_document_only_allows_get(site: Site, method: str) -> None:
    assert site.http.open(WELL_KNOWN, method=method).status_code == 405
