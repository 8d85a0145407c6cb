"""The member ``dpop_bound_access_tokens`` of client metadata, :rfc:`9449#section-5.2`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from proofs import Prover

from oauth_site import CALLBACK, VERIFIER, Site

REGISTRATION = {
    "redirect_uris": [CALLBACK],
    "grant_types": ["authorization_code"],
    "dpop_bound_access_tokens": True,
}


def register(site: Site, **members: Any) -> Any:
    return site.http.post("/oauth/register", json={**REGISTRATION, **members})


@pytest.mark.spec("rfc9449", "5.2")
def test_a_client_that_registers_it_must_send_proofs(new_site: Callable[..., Site]) -> None:
    site = new_site(OAUTH2_DPOP="optional", OAUTH2_DYNAMIC_REGISTRATION="open", OAUTH2_DEFAULT_SCOPE="profile")
    prover = Prover(site)
    for value, status in [(True, 400), (False, 200)]:
        client = register(site, dpop_bound_access_tokens=value).get_json()
        assert client["dpop_bound_access_tokens"] is value
        auth = (client["client_id"], client["client_secret"])
        form = {"code_verifier": VERIFIER, "redirect_uri": CALLBACK}
        codes = [site.authorize(client_id=client["client_id"])["code"] for _ in range(2)]
        answer = site.token("authorization_code", auth, code=codes[0], **form)
        assert answer.status_code == status
        assert answer.get_json().get("error") == ("invalid_dpop_proof" if value else None)
        answer = prover.token("authorization_code", auth, code=codes[1], **form)
        assert answer.get_json()["token_type"] == "DPoP", answer.text


@pytest.mark.spec("rfc9449", "5.2")
def test_a_server_without_dpop_registers_no_such_client(new_site: Callable[..., Site]) -> None:
    site = new_site(OAUTH2_DYNAMIC_REGISTRATION="open", OAUTH2_DEFAULT_SCOPE="profile")
    answer = register(site)
    assert (answer.status_code, answer.get_json()["error"]) == (400, "invalid_client_metadata")
    assert register(site, dpop_bound_access_tokens=False).status_code == 201


def test_the_command_line_sets_it(new_site: Callable[..., Site]) -> None:
    site = new_site(OAUTH2_DPOP="optional")
    site.add_client(grant_types=("authorization_code",), response_types=("code",))
    run = site.app.test_cli_runner().invoke
    assert run(args=["oauth2", "client", "update", "web", "--dpop-bound-access-tokens"]).exit_code == 0
    assert site.store.get_client("web").metadata["dpop_bound_access_tokens"] is True
    assert run(args=["oauth2", "client", "update", "web", "--no-dpop-bound-access-tokens"]).exit_code == 0
    assert site.store.get_client("web").metadata["dpop_bound_access_tokens"] is False
