"""The parameter ``dpop_jkt``, and pushed requests that have a DPoP proof."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from proofs import Prover, key_of

from flask_oauth2 import (
    InvalidDPoPProof,
    InvalidRequest,
    Params,
    Request,
    UnauthorizedClient,
    values,
)
from flask_oauth2.endpoints.authorization import save, validate
from flask_oauth2.http import urls
from oauth_site import CALLBACK, CHALLENGE, VERIFIER, Site

JKT = key_of().thumbprint
OTHER = key_of(2).thumbprint
HTTP = Request("POST", "/oauth/par", {}, b"", b"")


@pytest.fixture
def dpop(new_site: Callable[..., Site]) -> Site:
    site = new_site(OAUTH2_DPOP="optional", OAUTH2_GRANT_TYPES=["authorization_code", "implicit"])
    site.add_client()
    return site


def params_of(**more: str) -> Params:
    standard = {
        "response_type": "code",
        "client_id": "web",
        "redirect_uri": CALLBACK,
        "scope": "profile",
        "code_challenge": CHALLENGE,
        "code_challenge_method": "S256",
    }
    return Params(urls.encode((standard | more).items()).encode())


@pytest.mark.spec("rfc9449", "10.1")
def test_a_proof_with_a_pushed_request_acts_like_the_parameter(dpop: Site) -> None:
    client = dpop.store.get_client("web")
    for params, confirmation in [
        (params_of(), {"jkt": JKT}),
        (params_of(dpop_jkt=JKT), None),
        (params_of(dpop_jkt=JKT), {"jkt": JKT}),
    ]:
        assert validate(dpop.server, params, HTTP, client, confirmation).confirmation == {"jkt": JKT}
    assert validate(dpop.server, params_of(), HTTP, client).confirmation is None


@pytest.mark.spec("rfc9449", "10.1")
def test_a_proof_and_a_parameter_for_different_keys_are_rejected(dpop: Site) -> None:
    client = dpop.store.get_client("web")
    with pytest.raises(InvalidDPoPProof, match="another key"):
        validate(dpop.server, params_of(dpop_jkt=OTHER), HTTP, client, {"jkt": JKT})
    with pytest.raises(InvalidRequest):
        validate(dpop.server, params_of(dpop_jkt="x"), HTTP, client, {"jkt": JKT})


@pytest.mark.spec("rfc9449", "10.1")
@pytest.mark.parametrize("params", [{}, {"dpop_jkt": JKT}])
def test_a_saved_request_binds_its_code(dpop: Site, params: dict[str, str]) -> None:
    uri = save(dpop.server, params_of(**params), 60, JKT)
    dpop.sign_in()
    page = dpop.browser.get("/oauth/authorize", query_string={"client_id": "web", "request_uri": uri})
    location = dpop.allow(page).location
    dpop.change_client(auth_method="none")
    form = {
        "client_id": "web",
        "code": Params(location.partition("?")[2].encode()).require("code"),
        "code_verifier": VERIFIER,
        "redirect_uri": CALLBACK,
    }
    wrong = Prover(dpop, key_of(2)).token("authorization_code", **form)
    assert wrong.get_json()["error"] == "invalid_grant"
    assert Prover(dpop).token("authorization_code", **form).status_code == 200


@pytest.mark.spec("rfc9449", "10.1")
def test_the_endpoint_for_pushed_requests_accepts_proofs(new_site: Callable[..., Site]) -> None:
    """The proof is optional there, also for clients that need bound tokens."""
    site = new_site(OAUTH2_DPOP="optional", OAUTH2_MUTUAL_TLS=True)
    members = {"dpop_bound_access_tokens": True, "tls_client_certificate_bound_access_tokens": True}
    site.add_client(secret=None, metadata=members)
    client, form = Prover(site), params_of().values
    assert site.http.post("/oauth/par", data=form).status_code == 201
    refused = client.send("/oauth/par", data=form, retries=False)
    assert (refused.status_code, refused.get_json()["error"]) == (400, "use_dpop_nonce")
    answer = client.send("/oauth/par", data=form)
    assert answer.status_code == 201
    wrong = client.send("/oauth/par", data=params_of(dpop_jkt=OTHER).values)
    assert (wrong.status_code, wrong.get_json()["error"]) == (400, "invalid_dpop_proof")
    site.sign_in()
    query = {"client_id": "web", "request_uri": answer.get_json()["request_uri"]}
    location = site.allow(site.browser.get("/oauth/authorize", query_string=query)).location
    code = Params(location.partition("?")[2].encode()).require("code")
    grant = site.store.get_grant(values.key(code), "code")
    assert grant.confirmation == {"jkt": JKT}


@pytest.mark.spec("rfc9449", "5.2")
def test_a_response_with_an_unbound_token_is_rejected_for_clients_that_need_proofs(dpop: Site) -> None:
    client = dpop.store.get_client("web")
    params = params_of(response_type="token")
    assert validate(dpop.server, params, HTTP, client).response_types == ("token",)
    dpop.change_client(metadata={"dpop_bound_access_tokens": True})
    client = dpop.store.get_client("web")
    assert validate(dpop.server, params_of(), HTTP, client).response_types == ("code",)
    with pytest.raises(UnauthorizedClient, match="bound to a key"):
        validate(dpop.server, params, HTTP, client)
