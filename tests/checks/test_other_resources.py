"""Protected resources on other servers: OAUTH2_RESOURCES and add_resource()."""

from __future__ import annotations

import base64
import json
import re
from typing import Any

import pytest
from keys.tokens import key_of

from flask_oauth2 import ConfigurationError
from oauth_site import Site

ISSUER = "https://login.example"
FILES = "https://files.example"
TENANTS = "https://tenants.example/v1"

RESOURCES = {
    FILES: {"scopes": ["write"], "format": "jwt", "name": "Files"},
    TENANTS: {"scopes": "mail", "prefix": True},
}


@pytest.fixture
def site(new_site: Any) -> Site:
    """An application whose own view needs the scope profile, and two other servers."""
    site: Site = new_site(OAUTH2_RESOURCES=RESOURCES)
    return site


def claims_of(token: str) -> dict[str, Any]:
    return dict(json.loads(base64.urlsafe_b64decode(token.split(".")[1] + "==")))


def audience_of(site: Site, token: str) -> Any:
    site.add_client("checker", "secret-of-the-checker", resource_server=True)
    return site.post("/introspect", ("checker", "secret-of-the-checker"), token=token).get_json().get("aud")


@pytest.mark.spec("rfc8707", "2")
@pytest.mark.spec("rfc9068", "3")
def test_a_client_names_another_server_and_the_token_is_for_it(site: Site) -> None:
    token = site.tokens(site.add_client(), scope="write", resource=f"{FILES}/")["access_token"]
    claims = claims_of(token)
    assert (claims["aud"], claims["scope"], claims["sub"]) == (FILES, "write", "ada")
    assert audience_of(site, token) == FILES


@pytest.mark.spec("rfc8707", "2")
def test_our_own_guards_reject_it(site: Site) -> None:
    token = site.tokens(site.add_client(), scope="profile", resource=FILES)["access_token"]
    assert site.call(token).status_code == 401
    assert site.is_alive(site.tokens(site.add_client(), scope="profile")["access_token"])


@pytest.mark.spec("rfc9068", "3")
def test_the_scope_names_the_server_by_default(site: Site) -> None:
    secret = site.add_client()
    token = site.tokens(secret, scope="write")["access_token"]
    assert claims_of(token)["aud"] == FILES
    assert audience_of(site, site.tokens(secret, scope="mail")["access_token"]) == TENANTS
    assert audience_of(site, site.tokens(secret, scope="profile")["access_token"]) is None


def test_each_server_has_its_format(site: Site) -> None:
    secret = site.add_client()
    assert site.tokens(secret, scope="mail")["access_token"].startswith("oat_")
    assert site.tokens(secret, scope="write")["access_token"].startswith("eyJ")
    site.change_client(token_format="signed")
    assert site.tokens(secret, scope="mail")["access_token"].startswith("ost_")
    assert site.tokens(secret, scope="write")["access_token"].startswith("eyJ")


@pytest.mark.spec("rfc8707", "2.2")
def test_a_code_for_two_servers_gives_a_token_for_each_in_its_format(site: Site) -> None:
    secret = site.add_client()
    code = site.authorize(scope="write mail", resource=[FILES, TENANTS])["code"]
    refused = site.redeem(code, ("web", secret))
    assert refused.get_json()["error"] == "invalid_target"
    assert "a token is for one resource" in refused.get_json()["error_description"]
    first = site.redeem(code, ("web", secret), resource=FILES).get_json()
    assert (claims_of(first["access_token"])["aud"], first["scope"]) == (FILES, "write")
    second = site.refresh(first["refresh_token"], secret, resource=TENANTS).get_json()
    assert (second["access_token"][:4], second["scope"]) == ("oat_", "mail")
    assert audience_of(site, second["access_token"]) == TENANTS


@pytest.mark.spec("rfc8707", "2")
@pytest.mark.parametrize("url", [TENANTS, f"{TENANTS}/acme", f"{TENANTS}/acme/mail?v=1"])
def test_urls_below_a_prefix_are_resources_of_their_own(site: Site, url: str) -> None:
    token = site.tokens(site.add_client(), scope="mail", resource=url)["access_token"]
    assert audience_of(site, token) == url


@pytest.mark.spec("rfc8707", "2")
@pytest.mark.parametrize(
    "url",
    [
        f"{FILES}/below",
        f"{TENANTS}2",
        f"{TENANTS}/../v2",
        f"{TENANTS}/a/%2E%2e/../v2",
        f"{TENANTS}/a%2fb",
        f"{TENANTS}/.",
        f"{TENANTS}/a%5cb",
        "https://tenants.example/v1#x",
        "https://tenants.example:444/v1/acme",
        "http://tenants.example/v1/acme",
        "https://a@tenants.example/v1/acme",
        "https://tenants.example.evil.example/v1/acme",
    ],
)
def test_other_urls_are_invalid_targets(site: Site, url: str) -> None:
    site.add_client()
    assert site.authorize(scope="mail", resource=url)["error"] == "invalid_target"


def test_the_innermost_prefix_counts(new_site: Any) -> None:
    inner = {f"{TENANTS}/acme": {"scopes": ["mail"], "prefix": True, "format": "jwt"}}
    site = new_site(OAUTH2_RESOURCES=RESOURCES | inner)
    secret = site.add_client()
    formats = [
        site.tokens(secret, scope="mail", resource=f"{TENANTS}/{name}/x")["access_token"][:3]
        for name in ("acme", "other")
    ]
    assert formats == ["eyJ", "oat"]


def test_metadata_name_them_and_the_consent_page_too(site: Site) -> None:
    described = site.http.get("/.well-known/oauth-authorization-server").get_json()
    assert described["protected_resources"] == [FILES, TENANTS]
    assert {"write", "mail"} <= set(described["scopes_supported"])
    assert site.http.get("/.well-known/oauth-protected-resource").status_code == 404
    site.add_client()
    site.sign_in()
    page = site.ask(scope="write", resource=FILES).text
    assert "Files" in page
    assert "files.example" in page


def test_a_part_of_the_application_and_other_servers(new_site: Any) -> None:
    site = new_site(OAUTH2_RESOURCES=RESOURCES)
    site.provider.protect_resource("/api", "profile")
    secret = site.add_client()
    own = site.tokens(secret, scope="profile", resource=ISSUER)["access_token"]
    assert audience_of(site, own) == f"{ISSUER}/api"
    assert site.is_alive(own)
    assert not site.is_alive(site.tokens(secret, scope="profile", resource=FILES)["access_token"])
    document = site.http.get("/.well-known/oauth-protected-resource").get_json()
    assert document["resource"] == f"{ISSUER}/api"


def test_the_application_adds_one(new_site: Any) -> None:
    site = new_site()
    site.provider.add_resource(FILES, "write", format="signed", name="Files")
    site.provider.add_resource("urn:example:archive", ["mail"])
    secret = site.add_client()
    token = site.tokens(secret, scope="write", resource=FILES)["access_token"]
    assert token.startswith("ost_")
    assert audience_of(site, token) == FILES
    archive = site.tokens(secret, scope="mail", resource="urn:example:archive")["access_token"]
    assert audience_of(site, archive) == "urn:example:archive"


@pytest.mark.parametrize(
    ("resources", "message"),
    [
        ({"files": {}}, "is not the URL of a resource"),
        ({f"{FILES}#x": {}}, "is not the URL of a resource"),
        ({"https://a@files.example": {}}, "is not the URL of a resource"),
        ({"https://[": {}}, "is not the URL of a resource"),
        ({FILES: {"prefix": 1}}, "prefix of https://files.example must be True or False"),
        ({f"{FILES}?a=b": {"prefix": True}}, "without a query"),
        ({"urn:a:b": {"prefix": True}}, "True needs an http or https URL"),
        ({FILES: {"format": 7}}, "must be text"),
        ({FILES: {"name": ""}}, "must be text"),
        ({FILES: {"scopes": ['"']}}, "is not a scope value"),
        ({FILES: {"format": "jwt", "encryption_key": 7}}, "must be a JWK"),
        ({FILES: {"encryption_key": {}}}, "needs the format jwt"),
        (
            {FILES: {"format": "jwt", "encryption_key": {}}},
            "encryption_key of https://files.example cannot be used",
        ),
        ({FILES: {"format": "jwt", "encryption_key": key_of("ES256").jwk}}, "contains a private or symmetric key"),
        ({FILES: {"format": "jwt", "encryption_key": key_of("EdDSA").public_jwk}}, "no algorithm encrypts to the key"),
        ({FILES: {"scopes": 7}}, "OAUTH2_RESOURCES: "),
        ({FILES: {"scopes": ["unknown"]}}, "the resource https://files.example needs the scope unknown"),
        ({FILES: {"format": "xml"}}, "the format of a resource must be one of opaque, signed, jwt, not 'xml'"),
    ],
)
def test_wrong_options_are_errors_at_the_start(new_site: Any, resources: Any, message: str) -> None:
    site = new_site(OAUTH2_RESOURCES=resources)
    with pytest.raises(ConfigurationError, match=re.escape(message)):
        site.http.get("/.well-known/oauth-authorization-server")


def test_a_resource_has_one_description(new_site: Any) -> None:
    site = new_site(OAUTH2_RESOURCES={FILES: {}})
    site.provider.add_resource(FILES)
    with pytest.raises(ConfigurationError, match=r"both name https://files\.example"):
        site.http.get("/.well-known/oauth-authorization-server")
    with pytest.raises(ConfigurationError, match="add_resource: 'files' is not the URL"):
        new_site().provider.add_resource("files")
