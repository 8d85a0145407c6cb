"""The code grant, from the browser to the tokens."""

from __future__ import annotations

from typing import Any

import pytest

from oauth_site import CALLBACK, CHALLENGE, VERIFIER, Site, challenge_of


@pytest.fixture
def secret(site: Site) -> str:
    return site.add_client()


def refusal(answer: Any) -> tuple[int, str]:
    return answer.status_code, answer.get_json()["error"]


@pytest.mark.spec("rfc6749", "4.1")
@pytest.mark.spec("rfc7636", "B")
def test_a_code_is_exchanged_for_tokens_that_access_the_resource(site: Site, secret: str) -> None:
    answer = site.authorize(scope="profile mail")
    assert set(answer) == {"shop", "code", "state", "iss"}
    tokens = site.redeem(answer["code"], ("web", secret)).get_json()
    assert tokens["scope"] == "profile mail"
    assert tokens["expires_in"] == 3600
    resource = site.call(tokens["access_token"])
    assert resource.get_json() == {"user": "ada", "client": "web", "scope": ["profile", "mail"]}


@pytest.mark.spec("rfc6749", "4.1")
def test_a_public_client_sends_its_client_id(site: Site) -> None:
    site.add_client("app", None)
    tokens = site.tokens(client_id="app")
    assert site.call(tokens["access_token"]).get_json()["client"] == "app"


@pytest.mark.spec("rfc6749", "3.2.1")
def test_a_token_request_without_client_id_is_rejected(site: Site) -> None:
    site.add_client("app", None)
    code = site.authorize(client_id="app")["code"]
    assert refusal(site.redeem(code)) == (401, "invalid_client")
    assert site.redeem(code, client_id="app").status_code == 200


@pytest.mark.spec("rfc6749", "4.1.3")
def test_a_code_of_another_client_is_invalid_grant_and_remains_valid(site: Site, secret: str) -> None:
    other = site.add_client("other")
    code = site.authorize()["code"]
    assert refusal(site.redeem(code, ("other", other))) == (400, "invalid_grant")
    assert site.redeem(code, ("web", secret)).status_code == 200


@pytest.mark.spec("rfc6749", "4.1.2")
def test_a_code_expires(site: Site, secret: str) -> None:
    first, second = site.authorize()["code"], site.authorize()["code"]
    site.clock.forward(59)
    assert site.redeem(first, ("web", secret)).status_code == 200
    site.clock.forward(1)
    assert refusal(site.redeem(second, ("web", secret))) == (400, "invalid_grant")


@pytest.mark.parametrize("code", ["nonsense", "oac_" + "A" * 50, "é", "x" * 5000, "oat_" + "A" * 50])
def test_an_unknown_code_is_invalid(site: Site, secret: str, code: str) -> None:
    assert refusal(site.redeem(code, ("web", secret))) == (400, "invalid_grant")


@pytest.mark.spec("rfc6749", "4.1.2")
@pytest.mark.spec("rfc9700", "4.2.4")
@pytest.mark.parametrize("wait", [0, 61, 80_000])
def test_a_replay_revokes_all_tokens_of_the_code(site: Site, secret: str, wait: int) -> None:
    code = site.authorize()["code"]
    first = site.redeem(code, ("web", secret)).get_json()
    second = site.refresh(first["refresh_token"], secret).get_json()
    assert site.is_alive(first["access_token"])
    assert site.is_alive(second["access_token"])
    site.clock.forward(wait)
    list(site.store.purge(int(site.clock())))
    assert refusal(site.redeem(code, ("web", secret))) == (400, "invalid_grant")
    assert not site.is_alive(first["access_token"])
    assert not site.is_alive(second["access_token"])
    assert refusal(site.refresh(second["refresh_token"], secret)) == (400, "invalid_grant")


@pytest.mark.spec("oauth-v2-1", "7.5.2")
def test_an_invalid_replay_revokes_nothing(site: Site, secret: str) -> None:
    other = site.add_client("other")
    code = site.authorize()["code"]
    tokens = site.redeem(code, ("web", secret)).get_json()
    for answer in (
        site.redeem(code, ("web", secret), code_verifier="A" * 43),
        site.redeem(code, ("web", secret), redirect_uri="https://other.example/"),
        site.redeem(code, ("other", other)),
    ):
        assert refusal(answer) == (400, "invalid_grant")
    assert site.redeem(code, ("web", "guess")).status_code == 401
    assert site.is_alive(tokens["access_token"])


@pytest.mark.spec("rfc6749", "4.1.2")
def test_a_rejected_request_does_not_consume_the_code(site: Site, secret: str) -> None:
    code = site.authorize()["code"]
    assert refusal(site.redeem(code, ("web", secret), code_verifier="A" * 43)) == (400, "invalid_grant")
    assert refusal(site.redeem(code, ("web", secret), redirect_uri="https://x.example/")) == (400, "invalid_grant")
    assert site.redeem(code, ("web", secret)).status_code == 200


@pytest.mark.spec("rfc6749", "4.1.3")
def test_the_redirect_uri_must_match_the_authorization_request(site: Site, secret: str) -> None:
    code = site.authorize(redirect_uri=None)["code"]
    assert refusal(site.redeem(code, ("web", secret))) == (400, "invalid_grant")
    assert site.redeem(code, ("web", secret), redirect_uri=None).status_code == 200


@pytest.mark.spec("oauth-v2-1", "10.2")
def test_the_redirect_uri_is_optional_with_pkce(site: Site, secret: str) -> None:
    assert site.redeem(site.authorize()["code"], ("web", secret), redirect_uri=None).status_code == 200
    site.change_client(pkce_required=False)
    without = site.authorize(code_challenge=None, code_challenge_method=None)["code"]
    bare = site.redeem(without, ("web", secret), redirect_uri=None, code_verifier=None)
    assert refusal(bare) == (400, "invalid_grant")
    assert site.redeem(without, ("web", secret), redirect_uri=CALLBACK, code_verifier=None).status_code == 200


@pytest.mark.spec("rfc7636", "4.6")
@pytest.mark.parametrize("verifier", ["A" * 43, CHALLENGE, VERIFIER + "A", VERIFIER.lower(), VERIFIER[:-1] + "l"])
def test_a_wrong_verifier_is_invalid_grant(site: Site, secret: str, verifier: str) -> None:
    code = site.authorize()["code"]
    assert refusal(site.redeem(code, ("web", secret), code_verifier=verifier)) == (400, "invalid_grant")


@pytest.mark.spec("rfc7636", "4.1")
@pytest.mark.parametrize("verifier", ["A" * 42, "A" * 129, "é" * 43, "A" * 42 + "=", "A" * 42 + "/"])
def test_a_malformed_verifier_is_rejected_even_if_its_hash_matches(site: Site, secret: str, verifier: str) -> None:
    code = site.authorize(code_challenge=challenge_of(verifier))["code"]
    assert refusal(site.redeem(code, ("web", secret), code_verifier=verifier)) == (400, "invalid_grant")


@pytest.mark.spec("rfc7636", "4.1")
@pytest.mark.parametrize(
    "verifier", ["A" * 43, "-._~" + "z9" * 62, "3641a2d12d66101249cdf7a79c000c1f8c05d2aafcf14bf146497bed"]
)
def test_every_well_formed_verifier_is_accepted(site: Site, secret: str, verifier: str) -> None:
    code = site.authorize(code_challenge=challenge_of(verifier))["code"]
    assert site.redeem(code, ("web", secret), code_verifier=verifier).status_code == 200


@pytest.mark.spec("rfc7636", "4.5")
def test_a_missing_verifier_is_rejected(site: Site, secret: str) -> None:
    code = site.authorize()["code"]
    assert refusal(site.redeem(code, ("web", secret), code_verifier=None)) == (400, "invalid_grant")
    assert refusal(site.redeem(code, ("web", secret), code_verifier="")) == (400, "invalid_grant")


@pytest.mark.spec("rfc9700", "4.8.2")
def test_a_verifier_without_a_challenge_is_rejected_as_a_downgrade(site: Site, secret: str) -> None:
    site.change_client(pkce_required=False)
    code = site.authorize(code_challenge=None, code_challenge_method=None)["code"]
    assert refusal(site.redeem(code, ("web", secret))) == (400, "invalid_request")
    assert site.redeem(code, ("web", secret), code_verifier=None).status_code == 200


@pytest.mark.spec("rfc6749", "5.1")
def test_no_refresh_token_without_the_grant(site: Site, secret: str) -> None:
    site.change_client(grant_types=("authorization_code",))
    assert "refresh_token" not in site.tokens(secret)


def test_scopes_denied_after_the_code_was_issued_are_not_granted(site: Site, secret: str) -> None:
    code, other = (site.authorize(scope=scope)["code"] for scope in ("profile mail", "mail"))
    site.change_client(scope=("profile",), denied={"scope": ("mail",)})
    assert site.redeem(code, ("web", secret)).get_json()["scope"] == "profile"
    assert refusal(site.redeem(other, ("web", secret))) == (400, "invalid_scope")
