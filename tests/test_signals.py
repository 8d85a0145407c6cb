"""Signals and audit log: their facts, without secrets."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from io import BytesIO
from typing import Any

import pytest
from blinker import NamedSignal

from flask_oauth2 import MemoryStore, signals
from oauth_site import Site, answer_of, make_site

ALL = [value for value in vars(signals).values() if isinstance(value, NamedSignal)]


@pytest.fixture
def received(site: Site) -> Iterator[list[tuple[str, dict[str, Any]]]]:
    """Record the signals of the application from now on."""
    received: list[tuple[str, dict[str, Any]]] = []
    listeners = []
    for signal in ALL:

        def listen(sender: Any, name: str = signal.name, **what: Any) -> None:
            assert sender is site.app
            assert what.pop("issuer") == "https://login.example"
            received.append((name, what))

        signal.connect(listen)
        listeners.append((signal, listen))
    yield received
    for signal, listener in listeners:
        signal.disconnect(listener)


def names(received: list[tuple[str, dict[str, Any]]]) -> list[str]:
    return [name for name, _ in received]


def last(received: list[tuple[str, dict[str, Any]]], name: str) -> dict[str, Any]:
    return next(what for found, what in reversed(received) if found == name)


def test_a_journey(site: Site, received: list[tuple[str, dict[str, Any]]]) -> None:
    secret = site.add_client()
    tokens = site.tokens(secret)
    assert names(received) == ["consent_given", "client_authenticated", "token_issued"]
    given, issued = last(received, "consent_given"), last(received, "token_issued")
    assert (given["client_id"], given["user_id"], given["scope"]) == ("web", "ada", ("profile",))
    assert issued["authorization_id"] == given["authorization_id"]
    assert issued["grant_type"] == "authorization_code"
    assert last(received, "client_authenticated") == {"client_id": "web", "method": "client_secret_basic"}

    site.call(tokens["access_token"])
    assert last(received, "token_accepted")["token_id"] == issued["token_id"]
    introspected = site.post("/introspect", ("web", secret), token=tokens["access_token"]).get_json()
    assert introspected["jti"] == issued["token_id"]

    fresh = site.refresh(tokens["refresh_token"], secret).get_json()
    assert last(received, "token_issued")["grant_type"] == "refresh_token"
    site.post("/revoke", ("web", secret), token=fresh["access_token"])
    assert last(received, "token_revoked")["token_id"] == last(received, "token_issued")["token_id"]
    site.post("/revoke", ("web", secret), token=fresh["refresh_token"])
    assert last(received, "token_revoked") == {
        "client_id": "web",
        "user_id": "ada",
        "authorization_id": given["authorization_id"],
        "token_id": None,
    }


def test_a_refusal_says_why_and_by_which_id(
    site: Site, received: list[tuple[str, dict[str, Any]]], caplog: pytest.LogCaptureFixture
) -> None:
    secret = site.add_client()
    assert site.redeem("oac_guessed", ("web", secret)).status_code == 400
    refused = last(received, "request_refused")
    assert (refused["error"], refused["rule"]) == ("invalid_grant", "rfc6749 4.1.3")
    assert f"[{refused['error_id']}] {refused['reason']}" in caplog.text
    assert "token_issued" not in names(received)


def test_a_refusal_says_where_and_to_which_client(site: Site, received: list[tuple[str, dict[str, Any]]]) -> None:
    secret = site.add_client()
    site.redeem("oac_guessed", ("web", secret))
    site.redeem("oac_guessed", client_id="public")
    site.ask(client_id="nobody")
    site.call("oat_guessed")
    site.http.post("/oauth/token", data=b"\xff", content_type="application/x-www-form-urlencoded")
    site.http.post("/oauth/token", data={"client_id": "long", "x": "x" * 70_000})
    asked = [(what["endpoint"], what["client_id"]) for name, what in received if name == "request_refused"]
    assert asked == [
        ("oauth2.token", "web"),
        ("oauth2.token", "public"),
        ("oauth2.authorize", "nobody"),
        ("me", None),
        ("oauth2.token", None),
        ("oauth2.token", None),
    ]


def test_input_of_clients_adds_no_secret_and_no_line_to_the_log(
    site: Site, received: list[tuple[str, dict[str, Any]]], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "flask_oauth2.audit")
    token = site.tokens(site.add_client())["access_token"]
    site.redeem("oac_guessed", client_id=token)
    site.redeem("oac_guessed", client_id="a\nb" * 1000)
    first, second = (what["client_id"] for name, what in received if name == "request_refused")
    assert first == "oat_…"
    assert len(second) == 255
    assert not [line for line in caplog.messages if token in line or "\n" in line]


def test_an_upload_that_a_guard_refuses_is_not_read(site: Site, received: list[tuple[str, dict[str, Any]]]) -> None:
    class Upload(BytesIO):
        def read(self, *_: Any) -> bytes:
            raise AssertionError

    with site.app.test_request_context(
        "/api/me",
        method="POST",
        input_stream=Upload(b"x"),
        content_type="multipart/form-data; boundary=x",
        content_length=1_000_000_000,
        headers={"Authorization": "Bearer oat_guessed"},
    ):
        refused = site.app.view_functions["me"]()
    assert refused.status_code == 401
    assert last(received, "request_refused")["client_id"] is None


@pytest.mark.parametrize("level", [logging.DEBUG, logging.CRITICAL])
def test_a_request_without_a_token_is_no_refusal(
    site: Site, received: list[tuple[str, dict[str, Any]]], level: int, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(level, "flask_oauth2")
    assert site.http.get("/api/me").status_code == 401
    assert names(received) == []
    assert site.call("oat_guessed").status_code == 401
    assert names(received) == ["request_refused"]


@pytest.mark.spec("rfc6749", "4.1.2")
def test_replays_are_audited(site: Site, received: list[tuple[str, dict[str, Any]]]) -> None:
    secret = site.add_client()
    code = site.authorize()["code"]
    site.redeem(code, ("web", secret))
    site.redeem(code, ("web", secret))
    assert last(received, "code_replayed")["user_id"] == "ada"
    assert "refresh_reused" not in names(received)
    tokens = site.tokens(secret)
    site.refresh(tokens["refresh_token"], secret)
    site.clock.forward(31)
    site.refresh(tokens["refresh_token"], secret)
    assert last(received, "refresh_reused")["client_id"] == "web"


def test_consent_denied_and_withdrawn(site: Site, received: list[tuple[str, dict[str, Any]]]) -> None:
    site.add_client()
    site.sign_in()
    answer_of(site.allow(site.ask(), "deny"))
    assert last(received, "consent_denied") == {"client_id": "web", "user_id": "ada", "scope": ("profile",)}
    site.authorize()
    page = site.browser.get("/oauth/applications")
    site.browser.post("/oauth/applications", data={"ticket": page.text.split('name="ticket" value="')[1].split('"')[0]})
    assert last(received, "consent_withdrawn") == {"client_id": "web", "user_id": "ada"}
    assert names(received).count("consent_withdrawn") == 1


def test_remembered_consent_is_not_given_again(site: Site, received: list[tuple[str, dict[str, Any]]]) -> None:
    site.add_client()
    site.authorize()
    site.authorize()
    assert names(received).count("consent_given") == 1


def test_an_implicit_token(new_site: Any) -> None:
    site = new_site(OAUTH2_GRANT_TYPES=["implicit"])
    site.add_client(grant_types=("implicit",), response_types=("token",), auth_method="none", secret=None)
    found = []
    with signals.token_issued.connected_to(lambda sender, **what: found.append(what), sender=site.app):
        site.authorize(response_type="token", code_challenge=None, code_challenge_method=None)
    assert [what["grant_type"] for what in found] == ["implicit"]


def test_the_command_line_tells_too(site: Site, received: list[tuple[str, dict[str, Any]]]) -> None:
    run = site.app.test_cli_runner().invoke
    for command in (
        "client create Shop --client-id shop --redirect-uri https://shop.example/",
        "client update shop --name Other",
        "client rotate-secret shop",
        "client delete shop --yes",
        "client delete shop --yes",
    ):
        run(args=["oauth2", *command.split()])
    assert names(received) == ["client_created", "client_updated", "secret_rotated", "client_deleted"]
    assert all(what["client_id"] == "shop" for _, what in received)
    assert [what.get("registered_by") for _, what in received] == ["", "", None, ""]


def test_a_signal_comes_after_the_commit(site: Site) -> None:
    secret = site.add_client()
    found = []

    def look(sender: Any, token_id: str, **more: Any) -> None:
        from flask_oauth2 import values

        found.append(site.store.get_access(values.from_text(token_id)))

    with signals.token_issued.connected_to(look):
        site.token("client_credentials", ("web", secret))
    assert found[0].client_id == "web"


def test_the_audit_log_has_structured_records(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "flask_oauth2.audit")
    secret = site.add_client()
    tokens = site.tokens(secret)
    site.call(tokens["access_token"])
    site.refresh(tokens["refresh_token"], secret)
    site.clock.forward(31)
    site.refresh(tokens["refresh_token"], secret)
    records: list[Any] = [record for record in caplog.records if record.name == "flask_oauth2.audit"]
    assert [record.event for record in records] == [
        "consent_given",
        "token_issued",
        "token_issued",
        "refresh_reused",
        "request_refused",
    ]
    assert records[1].oauth2["client_id"] == "web"
    assert records[1].getMessage().startswith("token_issued client_id='web' user_id='ada' ")
    assert [record.levelname for record in records[2:4]] == ["INFO", "WARNING"]


@pytest.mark.spec("rfc6749", "10.3")
def test_no_record_holds_a_secret(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    secret = site.add_client()
    code = site.authorize()["code"]
    tokens = site.redeem(code, ("web", secret)).get_json()
    site.redeem(code, ("web", secret))
    fresh = site.tokens(secret)
    site.post("/revoke", ("web", secret), token=fresh["refresh_token"])
    written = caplog.text + "".join(str(vars(record)) for record in caplog.records)
    for value in (
        secret,
        code,
        *(pair[name] for pair in (tokens, fresh) for name in ("access_token", "refresh_token")),
    ):
        assert value not in written


def test_a_disabled_logger_formats_nothing(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    assert not signals.audit.isEnabledFor(logging.INFO)
    site.tokens(site.add_client())
    assert [record for record in caplog.records if record.name == "flask_oauth2.audit"] == []


def test_every_signal_documents_its_arguments() -> None:
    assert len(ALL) == 16
    assert {signal.name for signal in ALL} == {name for name, value in vars(signals).items() if value in ALL}


def test_two_applications_are_told_apart(tmp_path: Any) -> None:
    one, two = (make_site(tmp_path / name, store=MemoryStore()) for name in ("one", "two"))
    found = []
    with signals.token_issued.connected_to(lambda sender, **_: found.append(sender), sender=one.app):
        for site in (one, two):
            site.token("client_credentials", ("web", site.add_client()))
    assert found == [one.app]
