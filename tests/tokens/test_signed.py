"""Signed access tokens."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from flask_oauth2 import ConfigurationError, values
from oauth_site import NOW, Site


@pytest.fixture
def site(new_site: Any) -> Site:
    site: Site = new_site(OAUTH2_ACCESS_TOKEN_FORMAT="signed")
    return site


def test_a_signed_token_contains_its_claims(site: Site) -> None:
    secret = site.add_client()
    token = site.tokens(secret, scope="profile mail")["access_token"]
    assert token.startswith("ost_")
    assert site.call(token).get_json() == {"user": "ada", "client": "web", "scope": ["profile", "mail"]}
    described = site.post("/introspect", ("web", secret), token=token).get_json()
    assert (described["sub"], described["exp"], described["token_type"]) == ("ada", NOW + 3600, "Bearer")


def test_a_signed_token_without_a_refresh_token_has_no_row(site: Site) -> None:
    auth = ("web", site.add_client())
    token = site.token("client_credentials", auth).get_json()["access_token"]
    assert site.is_alive(token)
    assert site.store._tokens == {}


@pytest.mark.spec("rfc6749", "10.3")
def test_a_signed_token_is_not_logged(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    """A client may send it as client_id. What it says is packed where that is shorter, and begins with a dot then."""
    auth = ("web", site.add_client())
    caplog.set_level(logging.INFO, "flask_oauth2")
    for _ in range(20):  # some hold what could be taken for the end of a prefix
        token = site.token("client_credentials", auth, scope="profile").get_json()["access_token"]
        site.post("/token", client_id=token, grant_type="client_credentials")
        assert "ost_…" in caplog.text
        assert token not in caplog.text


@pytest.mark.spec("rfc6749", "10.3")
def test_a_modified_signed_token_is_rejected(site: Site) -> None:
    token = site.tokens(site.add_client())["access_token"]
    assert not site.is_alive(token[:20] + ("A" if token[20] != "A" else "B") + token[21:])
    assert not site.is_alive(token + "A")
    assert not site.is_alive(token[:-1])
    assert not site.is_alive(token.replace("ost_", "oat_"))
    assert not site.is_alive(token.removeprefix("ost_"))


def test_a_signed_token_expires(site: Site) -> None:
    token = site.tokens(site.add_client())["access_token"]
    site.clock.forward(3599)
    assert site.is_alive(token)
    site.clock.forward(1)
    assert not site.is_alive(token)


def test_a_signed_token_is_revoked_alone_with_its_family_or_with_its_client(site: Site) -> None:
    secret = site.add_client()
    first, second, third = site.tokens(secret), site.tokens(secret), site.tokens(secret)
    site.post("/revoke", ("web", secret), token=first["access_token"])
    assert [site.is_alive(tokens["access_token"]) for tokens in (first, second, third)] == [False, True, True]
    site.post("/revoke", ("web", secret), token=second["refresh_token"])
    assert [site.is_alive(tokens["access_token"]) for tokens in (first, second, third)] == [False, False, True]
    site.store.delete_client("web", int(NOW) + 10_000)
    assert not site.is_alive(third["access_token"])


def test_reuse_of_the_refresh_token_revokes_the_signed_token(site: Site) -> None:
    secret = site.add_client("app", None)
    first = site.tokens(client_id="app")
    site.refresh(first["refresh_token"], client_id="app")
    site.refresh(first["refresh_token"], client_id="app")
    assert secret == ""
    assert not site.is_alive(first["access_token"])


def test_fallback_keys_verify_and_the_newest_key_signs(new_site: Any) -> None:
    old = new_site(OAUTH2_ACCESS_TOKEN_FORMAT="signed", SECRET_KEY="old")
    token = old.tokens(old.add_client())["access_token"]
    rotated = new_site(OAUTH2_ACCESS_TOKEN_FORMAT="signed", SECRET_KEY="new", SECRET_KEY_FALLBACKS=["old"])
    assert rotated.is_alive(token)
    newer = rotated.tokens(rotated.add_client())["access_token"]
    assert not old.is_alive(newer)
    forgotten = new_site(OAUTH2_ACCESS_TOKEN_FORMAT="signed", SECRET_KEY="new")
    assert not forgotten.is_alive(token)
    assert forgotten.is_alive(newer)


@pytest.mark.spec("rfc9700", "2.3")
def test_a_signed_token_of_another_issuer_is_rejected(site: Site, new_site: Any) -> None:
    token = site.tokens(site.add_client())["access_token"]
    other = new_site(OAUTH2_ACCESS_TOKEN_FORMAT="signed", OAUTH2_ISSUER="https://other.example")
    assert site.is_alive(token)
    assert not other.is_alive(token)


def test_a_signature_with_another_salt_is_rejected(site: Site) -> None:
    from itsdangerous import URLSafeSerializer

    content = {
        "jti": values.text(b"x" * 16),
        "family": "f",
        "client_id": "web",
        "scope": "profile",
        "type": "Bearer",
        "iat": int(NOW),
        "exp": int(NOW) + 60,
    }
    forged = URLSafeSerializer(b"a secret key of the tests", salt="flask_oauth2.consent").dumps(content)
    assert not site.is_alive(f"ost_{forged}")


def test_a_client_has_its_own_token_format(new_site: Any) -> None:
    site = new_site()
    site.add_client("a")
    opaque = site.token("client_credentials", ("web", site.add_client()))
    signed = site.token("client_credentials", ("own", site.add_client("own", token_format="signed")))
    assert opaque.get_json()["access_token"].startswith("oat_")
    assert signed.get_json()["access_token"].startswith("ost_")
    assert site.is_alive(signed.get_json()["access_token"])


def test_an_unknown_token_format_is_a_configuration_error(new_site: Any) -> None:
    with pytest.raises(ConfigurationError, match="OAUTH2_ACCESS_TOKEN_FORMAT must be one of opaque, signed"):
        new_site(OAUTH2_ACCESS_TOKEN_FORMAT="jwtt").http.get("/.well-known/oauth-authorization-server")
