"""Consent and audience, read by a client that wants another resource than it was let in to."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from oauth_site import CALLBACK, Site

NewSite = Callable[..., Site]
API, ADMIN = "https://login.example/api", "https://login.example/admin"


def two(new_site: NewSite, **options: Any) -> Site:
    site = new_site(**options)
    site.provider.protect_resource("/api")
    site.provider.protect_resource("/admin")

    @site.app.get("/admin/users")
    def users() -> str:
        return "all of them"

    return site


def test_what_was_allowed_at_one_resource_is_asked_at_another_where_there_is_no_scope(new_site: NewSite) -> None:
    """Resources without scopes of their own, a client without scope: the audience is all there is to allow."""
    site = two(new_site)
    secret = site.add_client(scope=())
    code = site.authorize(scope=None, resource=API)["code"]
    token = site.redeem(code, ("web", secret)).get_json()["access_token"]
    assert site.call(token, "/admin/users").status_code == 401
    assert site.ask(scope=None, resource=ADMIN).status_code == 200, "the user is asked"


def test_what_was_allowed_for_none_in_particular_is_asked_at_a_resource(new_site: NewSite) -> None:
    site = two(new_site)
    site.add_client(scope=())
    site.authorize(scope=None)
    assert site.ask(scope=None, resource=ADMIN).status_code == 200


@pytest.mark.parametrize(
    "name",
    ["https://evil.example@login.example/api", "https://u:p@login.example/api", "https://login.example/api?",
     "ht\ttps://login.example/api", " https://login.example/api", "https://login.example/a\npi"],
)  # fmt: skip
def test_a_resource_that_only_looks_like_one_is_none(new_site: NewSite, name: str) -> None:
    site = two(new_site)
    secret = site.add_client()
    answer = site.token("client_credentials", ("web", secret), resource=name)
    assert answer.status_code == 400, answer.get_json()
    assert answer.get_json()["error"] == "invalid_target"


ODD = [
    " ", "\0", "//", "https://", "https:///", "https://[", "https://[::1", "https://login.example:99999/api", "https://\uff4cogin.example/api",
    "https://login.example/api#", "https://login.example/api/x", "https://login.example/API", "https://login.example/api/..",
    "https://login.example/%61pi", "https://login.example//api", "https://login.example/api;x", "http://login.example/api",
    "https://login.example./api", "x" * 100000, "urn:x", "https://login.example/api%00", "https://login.example", "*",
]  # fmt: skip


@pytest.mark.parametrize("name", ODD)
def test_no_odd_resource_is_taken_or_a_traceback(new_site: NewSite, name: str) -> None:
    site = two(new_site)
    secret = site.add_client()
    site.add_client("tv", None)
    answer = site.token("client_credentials", ("web", secret), resource=name)
    assert answer.status_code in (400, 413), answer.get_json()
    site.sign_in()
    page = site.ask(resource=name, redirect_uri=CALLBACK)
    assert page.status_code in (303, 400, 413)
    assert "code=" not in page.headers.get("Location", "")


def test_a_page_of_the_application_answers_although_the_provider_cannot_start(new_site: NewSite) -> None:
    """Only what is protected needs the provider."""
    site = two(new_site, OAUTH2_ISSUER=None)
    site.app.config["PROPAGATE_EXCEPTIONS"] = False
    answer = site.http.get("/login", environ_overrides={"SERVER_NAME": "app.example"})
    assert answer.status_code == 200
