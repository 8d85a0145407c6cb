"""The password grant: whole, where it is named and the application checks passwords."""

from __future__ import annotations

from typing import Any

import pytest

from flask_oauth2 import ConfigurationError, TemporarilyUnavailable
from oauth_site import Site


@pytest.fixture
def site(new_site: Any) -> Site:
    site: Site = new_site(OAUTH2_GRANT_TYPES=["password", "refresh_token"])

    @site.provider.usergetter
    def check(username: str, password: str, client: Any, request: Any) -> Any:
        assert client.client_id in ("web", "app")
        assert request.form.get("username") == username
        return username if password == f"{username}'s password £" else None

    return site


@pytest.mark.spec("rfc6749", "4.3")
def test_a_username_and_password_are_exchanged_for_tokens(site: Site) -> None:
    secret = site.add_client()
    answer = site.token("password", ("web", secret), username="ada", password="ada's password £", scope="profile")
    tokens = answer.get_json()
    assert site.call(tokens["access_token"]).get_json()["user"] == "ada"
    assert site.refresh(tokens["refresh_token"], secret).status_code == 200


@pytest.mark.spec("rfc6749", "5.2")
@pytest.mark.parametrize(
    ("form", "code"),
    [
        ({"username": "ada", "password": "wrong"}, "invalid_grant"),
        ({"username": "nobody", "password": "ada's password £"}, "invalid_grant"),
        ({"username": "ada"}, "invalid_request"),
        ({"password": "x"}, "invalid_request"),
        ({"username": "ada", "password": ["x", "y"]}, "invalid_request"),
        ({"username": "ada", "password": "ada's password £", "scope": "unknown"}, "invalid_scope"),
    ],
)
def test_invalid_password_requests_are_rejected(site: Site, form: dict[str, Any], code: str) -> None:
    answer = site.token("password", ("web", site.add_client()), **form)
    assert (answer.status_code, answer.get_json()["error"]) == (400, code)


@pytest.mark.spec("rfc6749", "4.3.2")
def test_failed_attempts_are_throttled_per_user(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    auth = ("web", site.add_client())
    site.add_client("app", None)
    for _ in range(11):
        assert site.token("password", auth, username="ada", password="ada's password £").status_code == 200
    for number in range(10):
        assert site.token("password", auth, username="ada", password=f"secret guess {number}").status_code == 400
    answer = site.token("password", username="ada", password="ada's password £", client_id="app")
    assert answer.status_code == 429, "by another client too, and for the right password"
    assert 0 < int(answer.headers["Retry-After"]) <= 300
    assert site.token("password", auth, username="eve", password="eve's password £").status_code == 200
    assert "secret guess" not in caplog.text
    site.clock.forward(300)
    assert site.token("password", auth, username="ada", password="ada's password £").status_code == 200


@pytest.mark.parametrize("nobody", [None, False, ""])
def test_a_falsy_user_is_invalid_grant(new_site: Any, nobody: Any) -> None:
    site = new_site(OAUTH2_GRANT_TYPES=["password"])
    site.provider.usergetter(lambda *_: nobody)
    answer = site.token("password", ("web", site.add_client()), username="ada", password="x")
    assert answer.get_json()["error"] == "invalid_grant"


def test_an_error_of_the_usergetter_is_not_a_failed_attempt(new_site: Any) -> None:
    site = new_site(OAUTH2_GRANT_TYPES=["password"])

    @site.provider.usergetter
    def check(username: str, password: str, client: Any, request: Any) -> Any:
        if password == "while the directory is away":
            raise TemporarilyUnavailable("the directory is away", retry_after=5)
        return username

    auth = ("web", site.add_client())
    for _ in range(60):
        answer = site.token("password", auth, username="ada", password="while the directory is away")
        assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")
    assert site.token("password", auth, username="ada", password="x").status_code == 200


def guess(site: Site, auth: tuple[str, str], username: str, password: str, address: str) -> int:
    form = {"grant_type": "password", "username": username, "password": password}
    answer = site.http.post("/oauth/token", data=form, auth=auth, environ_overrides={"REMOTE_ADDR": address})
    return answer.status_code


@pytest.mark.spec("rfc6749", "4.3.2")
def test_failed_attempts_do_not_lock_out_other_networks(site: Site) -> None:
    auth = ("web", site.add_client())
    assert [guess(site, auth, "ada", "guess", "192.0.2.1") for _ in range(12)] == [400] * 10 + [429] * 2
    assert guess(site, auth, "ada", "ada's password £", "192.0.2.2") == 200


@pytest.mark.spec("rfc6749", "4.3.2")
def test_failed_attempts_are_throttled_per_network(new_site: Any) -> None:
    site = new_site(OAUTH2_MAX_FAILED_ATTEMPTS=2, OAUTH2_GRANT_TYPES=["password"])
    site.provider.usergetter(lambda username, password, client, request: None)
    auth = ("web", site.add_client(grant_types=("password",)))
    answers = [guess(site, auth, f"user {number}", "password1", "192.0.2.1") for number in range(25)]
    assert answers == [400] * 20 + [429] * 5
    assert guess(site, auth, "user 99", "password1", "192.0.2.2") == 400


def test_equivalent_usernames_share_a_throttle(site: Site) -> None:
    auth = ("web", site.add_client())
    spellings = ["ada", "ADA", " ada", "Ada ", "aDa", "\uff41da", "adA", "AdA", "ADa", "aDA"]
    answers = [
        site.token("password", auth, username=name, password="guess").status_code for name in [*spellings, "ada"]
    ]
    assert answers == [400] * 10 + [429]


def test_the_password_grant_requires_a_usergetter(new_site: Any) -> None:
    with pytest.raises(ConfigurationError, match="usergetter"):
        new_site(OAUTH2_GRANT_TYPES=["password"]).http.get("/.well-known/oauth-authorization-server")


def test_the_password_grant_is_off_by_default(new_site: Any, caplog: pytest.LogCaptureFixture) -> None:
    site = new_site()
    site.provider.usergetter(lambda *_: "ada")
    answer = site.token("password", ("web", site.add_client()), username="ada", password="x")
    assert answer.get_json()["error"] == "unsupported_grant_type"
    assert "OAUTH2_GRANT_TYPES does not contain password" in caplog.text
