"""The pages for developers: whose they are, what may be registered, what is shown once, and what nobody gets past."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Callable
from dataclasses import replace
from html import unescape
from pathlib import Path
from threading import Barrier, Thread
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from flask.testing import FlaskClient
from keys.tokens import key_of
from playwright.sync_api import Page
from werkzeug.test import TestResponse

from flask_oauth2 import Client, ConfigurationError, MemoryStore, OAuth2Provider, User, signals
from flask_oauth2.clients import developer as forms
from flask_oauth2.clients.authentication import assertion
from flask_oauth2.clients.authentication.throttle import at_once
from flask_oauth2.pages import base
from flask_oauth2.settings import DEVICE_CODE
from oauth_site import CALLBACK, NOW, Site, StoreWithoutConsents, answer_of, make_site

PAGE = "/oauth/developer"
NEW = f"{PAGE}/new"
SECRET = re.compile(r"ocs_[A-Za-z0-9_-]{50}")
ON: dict[str, Any] = {
    "OAUTH2_DEVELOPER_PAGES": True,
    "OAUTH2_REGISTRATION_SCOPES": ["profile", "mail"],
    "OAUTH2_GRANT_TYPES": ["authorization_code", "refresh_token", "device_code"],
}
TYPED = {"name": "Shop", "kind": "server", "redirect_uris": CALLBACK, "scope.profile": "on"}


def ticket_of(page: TestResponse) -> str:
    found = re.search(r'name="ticket" value="([^"]+)"', page.text)
    assert found, page.text
    return unescape(found[1])


class Developer:
    """Somebody who is signed in, before the pages."""

    def __init__(self, site: Site, user_id: str = "ada", browser: FlaskClient | None = None) -> None:
        self.site = site
        self.user_id = user_id
        self.browser = browser or site.app.test_client()
        site.sign_in(user_id, self.browser)

    def open(self, path: str = "") -> TestResponse:
        return self.browser.get(f"{PAGE}{path}")

    def send(self, path: str, page: TestResponse | None = None, **typed: str) -> TestResponse:
        """Fill the form of a page, and send it."""
        return self.browser.post(f"{PAGE}{path}", data={"ticket": ticket_of(page or self.open(path)), **typed})

    def register(self, **typed: str) -> tuple[str, str | None]:
        """A new client: its id, and its secret where it has one."""
        before = {client.client_id for client in self.clients()}
        answer = self.send("/new", **{**TYPED, **typed})
        assert answer.status_code in (200, 303), answer.text
        (client_id,) = {client.client_id for client in self.clients()} - before
        found = SECRET.search(answer.text)
        return client_id, found and found[0]

    def clients(self) -> list[Client]:
        return list(self.site.server.registrations.list_owned(self.user_id))

    def client(self, client_id: str) -> Client:
        found: Client | None = self.site.store.get_client(client_id)
        assert found is not None
        return found


@pytest.fixture
def new_developer_site(new_site: Any) -> Callable[..., Site]:
    """Sites that have the pages, with options of the test's own."""

    def new_developer_site(**options: Any) -> Site:
        site: Site = new_site(**{**ON, **options})
        assert site.server
        return site

    return new_developer_site


@pytest.fixture
def developer_site(new_developer_site: Callable[..., Site]) -> Site:
    return new_developer_site()


@pytest.fixture
def ada(developer_site: Site) -> Developer:
    return Developer(developer_site)


@pytest.fixture
def received(developer_site: Site) -> Any:
    """What the signals about clients said."""
    found: list[tuple[str, dict[str, Any]]] = []

    def note(name: str) -> Callable[..., None]:
        def on_signal(sender: Any, **what: Any) -> None:
            found.append((name, what))

        return on_signal

    connected = []
    for name in ("client_created", "client_updated", "client_deleted", "secret_rotated"):
        on_signal = note(name)
        signal = getattr(signals, name)
        signal.connect(on_signal, developer_site.app)
        connected.append((signal, on_signal))
    yield found
    for signal, on_signal in connected:
        signal.disconnect(on_signal, developer_site.app)


class TestWhoMay:
    @pytest.mark.parametrize("path", ["", "/new", "/x", "/x/secret", "/x/delete"])
    def test_there_is_nothing_unless_it_is_switched_on(self, site: Site, path: str) -> None:
        site.sign_in()
        assert site.browser.get(PAGE + path).status_code == 404
        if path:
            assert site.browser.post(PAGE + path, data=TYPED).status_code == 404

    @pytest.mark.parametrize("path", ["", "/new", "/x", "/x/secret", "/x/delete"])
    def test_a_stranger_signs_in_first(self, developer_site: Site, path: str) -> None:
        answer = developer_site.http.get(PAGE + path)
        assert (answer.status_code, answer.location) == (303, f"/login?next={PAGE}{path}")
        assert answer.headers["Cache-Control"] == "no-store"

    def test_nobody_signs_in(self, tmp_path: Path) -> None:
        site = make_site(tmp_path, store=MemoryStore(), **ON)
        site.provider._current_user = None
        answer = site.http.get(PAGE)
        assert answer.status_code == 404
        assert "users cannot sign in" in answer.text

    @pytest.mark.parametrize("path", ["", "/new", "/{}", "/{}/secret", "/{}/delete"])
    def test_the_application_says_who_may(self, developer_site: Site, path: str) -> None:
        asked: list[User] = []

        def policy(user: User) -> bool:
            asked.append(user)
            return user.id == "ada"

        developer_site.server.policies.developer = policy
        ada = Developer(developer_site)
        client_id, _ = ada.register()
        pages = ada.open(path.format(client_id))
        assert pages.status_code == 200
        grace = Developer(developer_site, "grace")
        assert grace.open(path.format(client_id)).status_code == 403
        assert {user.id for user in asked} == {"ada", "grace"}

    def test_who_may_no_more_changes_nothing(self, developer_site: Site, ada: Developer) -> None:
        client_id, _ = ada.register()
        pages = {path: ada.open(path) for path in (f"/{client_id}", f"/{client_id}/secret", f"/{client_id}/delete")}
        before = ada.client(client_id)
        developer_site.server.policies.developer = lambda user: False
        for path, page in pages.items():
            assert ada.send(path, page, **TYPED | {"name": "Other"}).status_code == 403
        assert ada.client(client_id) == before

    def test_the_policy_is_registered_once_and_asked(self, tmp_path: Path) -> None:
        site = make_site(tmp_path, store=MemoryStore(), **ON)

        @site.provider.developer_policy
        def may_develop(user: User) -> bool:
            return user.id == "ada"

        with pytest.raises(ConfigurationError, match="developer_policy is registered already"):
            site.provider.developer_policy(lambda user: True)
        assert Developer(site).open().status_code == 200
        assert Developer(site, "grace").open().status_code == 403

    def test_a_policy_that_nothing_asks_is_told(self, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
        site = make_site(tmp_path, store=MemoryStore())
        site.provider.developer_policy(lambda user: True)
        assert site.server
        assert "the developer_policy has no effect" in caplog.text

    @pytest.mark.parametrize("path", ["/{}", "/{}/secret", "/{}/delete"])
    @pytest.mark.parametrize("whose", ["grace", "", "operator's own", "nothing"])
    def test_that_of_somebody_else_looks_like_one_that_does_not_exist(
        self, developer_site: Site, ada: Developer, whose: str, path: str
    ) -> None:
        client_id, _ = Developer(developer_site, "grace").register()
        if whose == "":
            developer_site.change_client(client_id, owner_id=None)
        elif whose == "operator's own":
            developer_site.change_client(client_id, owner_id="ada", registered_by="")
        shown = ada.open(path.format("nothing" if whose == "nothing" else client_id))
        nothing = ada.open(path.format("another"))
        assert shown.status_code == 404
        assert shown.text == nothing.text
        assert "There is no such application of yours." in shown.text
        assert "Shop" not in shown.text

    @pytest.mark.parametrize("path", ["", "/secret", "/delete"])
    def test_nobody_changes_that_of_somebody_else(self, developer_site: Site, ada: Developer, path: str) -> None:
        client_id, _ = Developer(developer_site, "grace").register()
        before = ada.client(client_id)
        own, _ = ada.register(name="Own")
        page = ada.open(f"/{own}{path}")
        assert ada.send(f"/{client_id}{path}", page, **TYPED | {"name": "Mine"}).status_code == 400
        ticket = {"client_id": client_id, "version": "x"}
        purpose = {"": "developer form", "/secret": "developer secret", "/delete": "developer delete"}[path]
        with developer_site.app.test_request_context():
            forged = base.write_ticket(developer_site.server, purpose, User(id="ada", name="ada"), ticket)
        assert ada.browser.post(f"{PAGE}/{client_id}{path}", data={"ticket": forged}).status_code in (400, 404)
        assert ada.client(client_id) == before


class TestRegister:
    def test_a_client_with_a_secret(self, developer_site: Site, ada: Developer, received: list[Any]) -> None:
        metadata = {
            "client_uri": "https://client.example/",
            "logo_uri": "https://img.example/l.png",
            "policy_uri": "https://client.example/privacy",
            "tos_uri": "https://client.example/terms",
        }
        answer = ada.send("/new", **TYPED, **metadata)
        assert answer.status_code == 200
        (client,) = ada.clients()
        assert client.name == "Shop"
        assert (client.auth_method, client.application_type) == ("client_secret_basic", "web")
        assert client.redirect_uris == (CALLBACK,)
        assert (client.grant_types, client.response_types) == (("authorization_code", "refresh_token"), ("code",))
        assert client.scope == ("profile",)
        assert client.metadata == metadata
        assert (client.registered_by, client.owner_id, client.is_unverified) == ("developer", "ada", True)
        assert (client.created_at, client.expires_at) == (int(NOW), None)
        assert received == [
            (
                "client_created",
                {"client_id": client.client_id, "registered_by": "developer", "issuer": "https://login.example"},
            )
        ]
        (secret,) = set(SECRET.findall(answer.text))
        tokens = developer_site.tokens(secret, client.client_id)
        assert developer_site.is_alive(tokens["access_token"])
        assert developer_site.refresh(tokens["refresh_token"], secret, client.client_id).status_code == 200

    @pytest.mark.parametrize(
        ("kind", "uri", "application_type"),
        [("browser", "https://app.example/", "web"), ("native", "com.example.app:/back", "native")],
    )
    def test_a_client_without(
        self, developer_site: Site, ada: Developer, kind: str, uri: str, application_type: str
    ) -> None:
        answer = ada.send("/new", **TYPED | {"kind": kind, "redirect_uris": uri})
        (client,) = ada.clients()
        assert (answer.status_code, answer.location) == (303, f"{PAGE}/{client.client_id}")
        assert (client.auth_method, client.application_type, client.secret) == ("none", application_type, None)
        page = ada.open(f"/{client.client_id}")
        assert "Registered. It has no secret" in page.text
        assert "New secret" not in page.text
        assert "Registered. It has no secret" not in ada.open(f"/{client.client_id}").text, "it is said once"
        assert ada.open(f"/{client.client_id}/secret").location == f"{PAGE}/{client.client_id}"

    def test_a_client_of_devices_needs_no_redirect_uri(self, developer_site: Site, ada: Developer) -> None:
        client_id, _ = ada.register(kind="native", redirect_uris="", device="on")
        client = ada.client(client_id)
        assert client.grant_types == ("refresh_token", DEVICE_CODE)
        assert (client.response_types, client.redirect_uris) == ((), ())
        answer = developer_site.post("/device_authorization", client_id=client_id, scope="profile")
        assert answer.status_code == 200

    def test_devices_are_asked_about_where_they_are_served(self, new_developer_site: Callable[..., Site]) -> None:
        site = new_developer_site(OAUTH2_GRANT_TYPES=["authorization_code"])
        ada = Developer(site)
        assert 'name="device"' not in ada.open("/new").text
        client_id, _ = ada.register(device="on")
        assert ada.client(client_id).grant_types == ("authorization_code",)
        only = Developer(new_developer_site(OAUTH2_GRANT_TYPES=["device_code"]))
        assert 'name="redirect_uris"' not in only.open("/new").text
        answer = only.send("/new", name="Printer", kind="native")
        assert (answer.status_code, only.clients()) == (400, [])
        assert "Tick this: there is no other way to sign in here." in answer.text
        client_id, _ = only.register(kind="native", device="on")
        assert only.client(client_id).grant_types == (DEVICE_CODE,)

    def test_several_redirect_uris_one_in_a_line(self, ada: Developer) -> None:
        client_id, _ = ada.register(
            redirect_uris=" https://a.example/x \r\n\r\nhttps://b.example/y\r\nhttps://a.example/x"
        )
        assert ada.client(client_id).redirect_uris == ("https://a.example/x", "https://b.example/y")

    @pytest.mark.spec("rfc6749", "3.3")
    def test_no_more_scope_than_is_open_to_all(self, developer_site: Site, ada: Developer) -> None:
        page = ada.open("/new")
        assert 'name="scope.mail"' in page.text
        assert "Read your mail" in page.text
        assert "scope.write" not in page.text
        client_id, _ = ada.register(**{"scope.write": "on", "scope.admin": "on"})
        assert ada.client(client_id).scope == ("profile",)

    def test_the_default_scope_is_ticked_at_first(self, new_developer_site: Callable[..., Site]) -> None:
        site = new_developer_site(OAUTH2_REGISTRATION_SCOPES=None, OAUTH2_DEFAULT_SCOPE=["mail"])
        page = Developer(site).open("/new").text
        assert re.findall(r'name="(scope[^"]*)" value="on"( checked)?', page) == [("scope.mail", " checked")]

    @pytest.mark.parametrize(
        ("typed", "field", "said"),
        [
            ({"name": "  "}, "name", "Give it a name."),
            ({"name": "a\u202eb"}, "name", "must be printable"),
            ({"name": "x" * 101}, "name", "has 101 characters"),
            ({"kind": ""}, "kind", "Choose what it is."),
            ({"kind": "tool"}, "kind", "Choose what it is."),
            ({"redirect_uris": " \r\n "}, "redirect_uris", "Give at least one address"),
            ({"redirect_uris": "https://*.example/"}, "redirect_uris", "https://*.example/ has a wildcard"),
            ({"redirect_uris": "http://a.example/"}, "redirect_uris", "must begin with https://"),
            ({"redirect_uris": "mailto:ada@a.example"}, "redirect_uris", "has the scheme mailto"),
            ({"redirect_uris": "https://accounts.a%2eexample/"}, "redirect_uris", "percent-encoding"),
            ({"redirect_uris": "localhost:3000/cb"}, "redirect_uris", "is not absolute"),
            ({"redirect_uris": "javascript:alert(1)"}, "redirect_uris", "has the scheme javascript"),
            (
                {"redirect_uris": "\n".join(f"https://a.example/{n}" for n in range(21))},
                "redirect_uris",
                "Give at most 20 addresses",
            ),
            ({"redirect_uris": f"https://a.example/{'x' * 2048}"}, "redirect_uris", "each of at most 2048 characters"),
            ({"client_uri": "client.example"}, "client_uri", "Give the full address of a page"),
            ({"logo_uri": "http://a.example/l.png"}, "logo_uri", "Give the full address of a page"),
            ({"policy_uri": "javascript:alert(1)"}, "policy_uri", "Give the full address of a page"),
            ({"tos_uri": f"https://a.example/{'x' * 2048}"}, "tos_uri", "Give the full address of a page"),
        ],
    )
    def test_what_is_wrong_is_said_beside_its_field(
        self, ada: Developer, typed: dict[str, str], field: str, said: str
    ) -> None:
        sent = {**TYPED, "client_uri": "https://client.example/", "device": "on", **typed}
        if field == "redirect_uris" and not typed["redirect_uris"].strip():
            del sent["device"]
        answer = ada.send("/new", **sent)
        assert (answer.status_code, ada.clients()) == (400, [])
        assert set(re.findall(r'id="wrong-(\w+)"', answer.text)) == {field}
        assert said in unescape(answer.text)
        assert "Nothing is saved yet: look at what is marked below." in answer.text

    @pytest.mark.spec("rfc8252", "7.1")
    @pytest.mark.parametrize("kind", ["server", "browser", "native"])
    def test_a_private_use_scheme_may_be_registered(self, ada: Developer, kind: str) -> None:
        uris = ("https://client.example/back", "vscode://vscode.github-authentication/did-authenticate")
        client_id, _ = ada.register(kind=kind, redirect_uris="\n".join(uris))
        assert ada.client(client_id).redirect_uris == uris

    def test_all_that_is_wrong_is_said_at_once(self, ada: Developer) -> None:
        answer = ada.send("/new", redirect_uris="http://a.example/", logo_uri="x", tos_uri="y")
        found = set(re.findall(r'id="wrong-(\w+)"', answer.text))
        assert found == {"name", "kind", "redirect_uris", "logo_uri", "tos_uri"}

    def test_what_was_typed_is_kept(self, ada: Developer) -> None:
        typed = {
            "name": 'My "<Shop>',
            "kind": "native",
            "redirect_uris": "https://*.example/\r\n<x>",
            "client_uri": "x<y",
            "device": "on",
            "scope.mail": "on",
        }
        page = ada.send("/new", **typed)
        assert read_fields(page) == {name: value.replace("\r\n", "\n") for name, value in typed.items()}
        assert "<x>" not in page.text
        answer = ada.send("/new", page, **typed | {"redirect_uris": CALLBACK, "client_uri": ""})
        assert answer.status_code == 303

    @pytest.mark.parametrize("page", [{"tos_uri": "x" * 17000}, {"name": "\0"}])
    def test_what_nobody_types_is_refused(self, ada: Developer, page: dict[str, str]) -> None:
        assert ada.send("/new", **TYPED | page).status_code in (400, 413)
        assert ada.clients() == []

    def test_so_many_and_no_more(self, new_developer_site: Callable[..., Site]) -> None:
        site = new_developer_site(OAUTH2_MAX_CLIENTS_PER_DEVELOPER=2)
        ada, grace = Developer(site), Developer(site, "grace")
        ada.register(name="One")
        page = ada.open("/new")
        two, _ = ada.register(name="Two")
        answer = ada.send("/new", page, **TYPED)
        assert answer.status_code == 400
        assert "You have 2 applications, which is as many as you may have here." in answer.text
        assert read_fields(answer)["redirect_uris"] == CALLBACK
        assert len(ada.clients()) == 2
        shown = ada.open()
        assert "Delete one to register another." in shown.text
        assert NEW not in shown.text
        assert ada.open("/new").location == PAGE
        grace.register()
        ada.send(f"/{two}/delete")
        assert ada.send("/new", page, **TYPED).status_code == 200

    def test_so_many_at_once_and_no_more(self, sql_house: Site) -> None:
        developers = [Developer(sql_house) for _ in range(6)]
        pages = [developer.open("/new") for developer in developers]
        barrier = Barrier(6)

        def register(developer: Developer, page: TestResponse) -> None:
            barrier.wait()
            developer.send("/new", page, **TYPED)

        threads = [Thread(target=register, args=pair) for pair in zip(developers, pages, strict=True)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert 1 <= len(developers[0].clients()) <= 3

    def test_whoever_is_counted_is_let_go(self, developer_site: Site) -> None:
        with (
            at_once(developer_site.server, "x", "ada", NOW) as one,
            at_once(developer_site.server, "x", "ada", NOW) as two,
        ):
            assert (one, two) == (1, 2)
        with at_once(developer_site.server, "x", "ada", NOW) as again:
            assert again == 1


@pytest.fixture
def sql_house(tmp_path: Path) -> Any:
    """The pages on the embedded database."""
    site = make_site(tmp_path, **ON, OAUTH2_MAX_CLIENTS_PER_DEVELOPER=3)
    assert site.server
    yield site
    site.store.engine.dispose()


def read_fields(page: TestResponse) -> dict[str, str]:
    """What is in the form that a page shows."""
    fields = {}
    for tag in re.findall(r"<input [^>]*>", page.text):
        name, value = re.search(r'name="([^"]*)"', tag), re.search(r'value="([^"]*)"', tag)
        assert name
        assert value
        is_box = "checkbox" in tag or "radio" in tag
        if value[1] and "hidden" not in tag and ("checked" in tag or not is_box):
            fields[name[1]] = unescape(value[1])
    text = re.search(r"<textarea [^>]*>\n(.*?)</textarea>", page.text, re.S)
    if text and text[1]:
        fields["redirect_uris"] = unescape(text[1]).replace("\r\n", "\n")
    return fields


class TestSecret:
    @pytest.mark.spec("rfc6819", "5.1.4.1")
    def test_it_is_shown_once(self, developer_site: Site, ada: Developer, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level(logging.DEBUG)
        answer = ada.send("/new", **TYPED)
        (secret,) = set(SECRET.findall(answer.text))
        assert answer.headers["Cache-Control"] == "no-store"
        (client,) = ada.clients()
        assert secret not in repr(client)
        for path in ("", f"/{client.client_id}", f"/{client.client_id}/secret", f"/{client.client_id}/delete"):
            assert not SECRET.search(ada.open(path).text)
        with ada.browser.session_transaction() as session:
            assert "ocs_" not in repr(dict(session))
        assert "ocs_" not in str(answer.headers)
        assert secret not in caplog.text

    @pytest.mark.spec("rfc6749", "2.3.1")
    def test_a_new_one_ends_the_old_one(self, developer_site: Site, ada: Developer, received: list[Any]) -> None:
        client_id, old = ada.register()
        assert old
        tokens = developer_site.tokens(old, client_id)
        received.clear()
        ask = ada.open(f"/{client_id}/secret")
        assert "A new secret for Shop?" in ask.text
        assert developer_site.refresh(tokens["refresh_token"], old, client_id).status_code == 200, "asking does nothing"
        answer = ada.send(f"/{client_id}/secret", ask)
        assert (answer.status_code, answer.headers["Cache-Control"]) == (200, "no-store")
        (new,) = set(SECRET.findall(answer.text))
        assert "The old secret does not work any more." in answer.text
        assert received == [("secret_rotated", {"client_id": client_id, "issuer": "https://login.example"})]
        assert developer_site.token("client_credentials", (client_id, old)).status_code == 401
        assert developer_site.token("client_credentials", (client_id, new)).status_code == 400
        assert developer_site.is_alive(tokens["access_token"])

    def test_a_form_that_is_sent_again_makes_no_second_client(self, developer_site: Site, ada: Developer) -> None:
        page = ada.open("/new")
        assert ada.send("/new", page, **TYPED).status_code == 200
        (client,) = ada.clients()
        answer = ada.send("/new", page, **TYPED)
        assert (answer.status_code, answer.location) == (303, f"{PAGE}/{client.client_id}")
        assert ada.clients() == [client]

    def test_nor_does_one_bring_back_what_is_deleted(self, developer_site: Site, ada: Developer) -> None:
        page = ada.open("/new")
        ada.send("/new", page, **TYPED)
        ada.send(f"/{ada.clients()[0].client_id}/delete")
        assert ada.send("/new", page, **TYPED).status_code == 404
        assert ada.clients() == []

    def test_nor_a_second_secret(self, developer_site: Site, ada: Developer) -> None:
        client_id, _ = ada.register()
        page = ada.open(f"/{client_id}/secret")
        ada.send(f"/{client_id}/secret", page)
        before = ada.client(client_id)
        answer = ada.send(f"/{client_id}/secret", page)
        assert (answer.status_code, answer.location) == (303, f"{PAGE}/{client_id}")
        assert "No new secret was made" in ada.open(f"/{client_id}").text
        assert ada.client(client_id) == before

    def test_the_same_form_twice_at_once(
        self, developer_site: Site, ada: Developer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        page = ada.open("/new")
        add = developer_site.store.add_client

        def add_after_another(client: Client) -> bool:
            assert add(replace(client, name="faster"))
            return bool(add(client))

        monkeypatch.setattr(developer_site.store, "add_client", add_after_another)
        answer = ada.send("/new", page, **TYPED)
        (client,) = ada.clients()
        assert (answer.status_code, answer.location) == (303, f"{PAGE}/{client.client_id}")
        assert client.name == "faster"

    def test_no_token_of_the_client_opens_its_configuration(self, new_developer_site: Callable[..., Site]) -> None:
        site = new_developer_site(OAUTH2_DYNAMIC_REGISTRATION="open")
        client_id, secret = Developer(site).register()
        for token in ("", "ora_x", secret):
            answer = site.http.get(f"/oauth/register/{client_id}", headers={"Authorization": f"Bearer {token}"})
            assert answer.status_code == 401


class TestChange:
    def test_the_form_shows_what_is_and_takes_what_is_typed(
        self, developer_site: Site, ada: Developer, received: list[Any]
    ) -> None:
        client_id, _ = ada.register(logo_uri="https://img.example/l.png", device="on")
        received.clear()
        page = ada.open(f"/{client_id}")
        typed = {**TYPED, "logo_uri": "https://img.example/l.png", "device": "on"}
        del typed["kind"]
        assert read_fields(page) == typed
        assert "img-src 'self';" in page.headers["Content-Security-Policy"]
        assert "form-action 'self';" in page.headers["Content-Security-Policy"]
        before = ada.client(client_id)
        answer = ada.send(
            f"/{client_id}",
            page,
            name="Shop 2",
            redirect_uris="https://b.example/",
            **{"scope.mail": "on"},
            kind="native",
        )
        assert (answer.status_code, answer.location) == (303, f"{PAGE}/{client_id}")
        client = ada.client(client_id)
        assert client == replace(
            before,
            name="Shop 2",
            redirect_uris=("https://b.example/",),
            scope=("mail",),
            metadata={},
            grant_types=("authorization_code", "refresh_token"),
            registration_key=client.registration_key,
        ), "its kind and its secret stay"
        assert received == [
            (
                "client_updated",
                {"client_id": client_id, "registered_by": "developer", "issuer": "https://login.example"},
            )
        ]
        assert "Saved." in ada.open(f"/{client_id}").text

    def test_nothing_that_changes_is_nothing_that_happens(self, ada: Developer, received: list[Any]) -> None:
        client_id, _ = ada.register()
        received.clear()
        before = ada.client(client_id)
        assert ada.send(f"/{client_id}", **TYPED).status_code == 303
        assert (ada.client(client_id), received) == (before, [])

    def test_what_the_operator_gave_and_took_stays(self, developer_site: Site, ada: Developer) -> None:
        client_id, _ = ada.register()
        developer_site.change_client(
            client_id,
            grant_types=("authorization_code",),
            scope=("profile", "write"),
            metadata={"contacts": ("ada@example.com",)},
            token_format="signed",
            pkce_required=True,
        )
        page = ada.open(f"/{client_id}")
        assert read_fields(page)["scope.write"] == "on"
        assert ada.send(f"/{client_id}", page, **TYPED | {"name": "B", "scope.write": "on"}).status_code == 303
        client = ada.client(client_id)
        assert (client.name, client.grant_types) == ("B", ("authorization_code",))
        assert client.scope == ("profile", "write")
        assert client.metadata == {"contacts": ("ada@example.com",)}
        assert (client.token_format, client.pkce_required) == ("signed", True)
        ada.send(f"/{client_id}", **TYPED)
        assert "scope.write" not in ada.open(f"/{client_id}").text, "what was given back is not had again"

    def test_a_grant_that_only_the_operator_gives_stays(self, new_developer_site: Callable[..., Site]) -> None:
        site = new_developer_site(
            OAUTH2_GRANT_TYPES=["authorization_code", "refresh_token", "client_credentials", "implicit"]
        )
        ada = Developer(site)
        client_id, _ = ada.register()
        granted = ("authorization_code", "refresh_token", "client_credentials", "implicit")
        site.change_client(client_id, grant_types=granted, response_types=("code", "token"))
        ada.send(f"/{client_id}", **TYPED | {"name": "B"})
        client = ada.client(client_id)
        assert (client.name, client.grant_types, client.response_types) == ("B", granted, ("code", "token"))
        answer = ada.send(f"/{client_id}", **TYPED | {"redirect_uris": ""})
        assert answer.status_code == 400
        assert 'id="wrong-redirect_uris"' in answer.text
        assert ada.client(client_id) == client

    def test_what_fits_no_field_is_said_above(self, developer_site: Site, ada: Developer) -> None:
        client_id, _ = ada.register()
        developer_site.change_client(client_id, token_format="gone")
        answer = ada.send(f"/{client_id}", **TYPED | {"name": "B"})
        assert answer.status_code == 400
        assert "token_format: &#39;gone&#39; is not a known format" in answer.text

    @pytest.mark.parametrize("by", ["window", "secret", "operator"])
    def test_two_windows_overwrite_nothing_unseen(self, developer_site: Site, ada: Developer, by: str) -> None:
        client_id, _ = ada.register()
        page = ada.open(f"/{client_id}")
        if by == "window":
            ada.send(f"/{client_id}", **TYPED | {"name": "First"})
        elif by == "secret":
            ada.send(f"/{client_id}/secret")
        else:
            developer_site.change_client(client_id, scope=())
        before = ada.client(client_id)
        answer = ada.send(f"/{client_id}", page, **TYPED | {"name": "Second"})
        assert answer.status_code == 409
        assert "the application was changed meanwhile" in answer.text
        assert read_fields(answer)["name"] == "Second"
        assert ada.client(client_id) == before
        assert ada.send(f"/{client_id}", answer, **TYPED | {"name": "Second"}).status_code == 303
        assert ada.client(client_id).name == "Second"
        assert ada.client(client_id).secret == before.secret

    def test_nor_do_two_that_write_at_the_same_moment(
        self, developer_site: Site, ada: Developer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        client_id, _ = ada.register()
        page, other = ada.open(f"/{client_id}"), ada.open(f"/{client_id}")
        change = developer_site.store.change_client

        def change_after_another(client: Client, before: Client) -> bool:
            monkeypatch.setattr(developer_site.store, "change_client", change)
            assert ada.send(f"/{client_id}", other, **TYPED | {"name": "First"}).status_code == 303
            return bool(change(client, before))

        monkeypatch.setattr(developer_site.store, "change_client", change_after_another)
        assert ada.send(f"/{client_id}", page, **TYPED | {"name": "Second"}).status_code == 409
        assert ada.client(client_id).name == "First"

    @pytest.mark.parametrize("path", ["", "/secret"])
    def test_nor_does_one_bring_back_what_is_being_deleted(
        self, developer_site: Site, ada: Developer, monkeypatch: pytest.MonkeyPatch, path: str
    ) -> None:
        client_id, _ = ada.register()
        page = ada.open(f"/{client_id}{path}")
        change = developer_site.store.change_client

        def change_after_deletion(client: Client, before: Client) -> bool:
            developer_site.store.delete_client(client_id, int(NOW) + 1000)
            return bool(change(client, before))

        monkeypatch.setattr(developer_site.store, "change_client", change_after_deletion)
        answer = ada.send(f"/{client_id}{path}", page, **TYPED | {"name": "Second"})
        assert answer.status_code == (303 if path else 404)
        assert not SECRET.search(answer.text)
        assert ada.clients() == []

    @pytest.mark.parametrize("path", ["", "/secret", "/delete"])
    def test_what_is_deleted_meanwhile_stays_so(self, developer_site: Site, ada: Developer, path: str) -> None:
        client_id, _ = ada.register()
        page = ada.open(f"/{client_id}{path}")
        ada.send(f"/{client_id}/delete")
        ada.open()
        answer = ada.send(f"/{client_id}{path}", page, **TYPED)
        assert answer.status_code == 404
        assert "It may have been deleted meanwhile." in answer.text
        assert ada.clients() == []


class TestDelete:
    @pytest.mark.spec("rfc6819", "5.1.3")
    def test_it_ends_all_that_the_client_has(self, developer_site: Site, ada: Developer, received: list[Any]) -> None:
        client_id, secret = ada.register()
        other_id, other = ada.register(name="Other")
        assert secret
        assert other
        tokens, untouched = developer_site.tokens(secret, client_id), developer_site.tokens(other, other_id)
        received.clear()
        ask = ada.open(f"/{client_id}/delete")
        assert "Delete Shop?" in ask.text
        assert developer_site.is_alive(tokens["access_token"]), "asking does nothing"
        answer = ada.send(f"/{client_id}/delete", ask)
        assert (answer.status_code, answer.location) == (303, PAGE)
        assert not developer_site.is_alive(tokens["access_token"])
        assert developer_site.is_alive(untouched["access_token"])
        assert developer_site.refresh(tokens["refresh_token"], secret, client_id).status_code == 401
        assert received == [
            (
                "client_deleted",
                {"client_id": client_id, "registered_by": "developer", "issuer": "https://login.example"},
            )
        ]
        shown = ada.open()
        assert "Shop is deleted, and everything that it was given has stopped working." in shown.text
        assert "Other" in shown.text
        assert "is deleted" not in ada.open().text, "it is said once"

    def test_what_two_delete_at_once_is_told_once(
        self, developer_site: Site, ada: Developer, received: list[Any], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        client_id, _ = ada.register()
        page, other = ada.open(f"/{client_id}/delete"), ada.open(f"/{client_id}/delete")
        received.clear()
        delete = developer_site.store.delete_client

        def delete_after_another(*arguments: Any) -> bool:
            monkeypatch.setattr(developer_site.store, "delete_client", delete)
            assert ada.send(f"/{client_id}/delete", other).status_code == 303
            return bool(delete(*arguments))

        monkeypatch.setattr(developer_site.store, "delete_client", delete_after_another)
        assert ada.send(f"/{client_id}/delete", page).status_code == 303
        assert [name for name, _ in received] == ["client_deleted"]

    def test_a_guard_that_remembers_forgets(self, new_developer_site: Callable[..., Site]) -> None:
        site = new_developer_site(OAUTH2_TOKEN_CACHE_TTL=60)
        ada = Developer(site)
        client_id, secret = ada.register()
        assert secret
        token = site.tokens(secret, client_id)["access_token"]
        assert site.is_alive(token)
        ada.send(f"/{client_id}/delete")
        assert not site.is_alive(token)


class TestForms:
    """No other site sends them, and nobody else can."""

    @pytest.mark.spec("rfc6749", "10.12")
    @pytest.mark.parametrize("path", ["/new", "/{}", "/{}/secret", "/{}/delete"])
    @pytest.mark.parametrize("ticket", [None, "nonsense", "another person's", "another form's"])
    def test_a_form_that_is_not_ours(self, developer_site: Site, ada: Developer, path: str, ticket: str | None) -> None:
        client_id, _ = ada.register()
        path = path.format(client_id)
        before = ada.clients()
        data = {**TYPED, "name": "Other"}
        if ticket == "another person's":
            grace = Developer(developer_site, "grace")
            data["ticket"] = ticket_of(grace.open("/new"))
        elif ticket == "another form's":
            data["ticket"] = ticket_of(ada.open(f"/{client_id}/{'delete' if 'secret' in path else 'secret'}"))
        elif ticket:
            data["ticket"] = ticket
        answer = ada.browser.post(PAGE + path, data=data)
        assert answer.status_code == 400
        assert ada.clients() == before

    @pytest.mark.spec("rfc6749", "10.12")
    @pytest.mark.parametrize("path", ["/secret", "/delete"])
    def test_another_browser_of_the_same_person_is_asked_again(self, ada: Developer, path: str) -> None:
        client_id, _ = ada.register()
        page, before = ada.open(f"/{client_id}{path}"), ada.client(client_id)
        answer = Developer(ada.site).send(f"/{client_id}{path}", page)
        assert (answer.status_code, answer.location) == (303, f"{PAGE}/{client_id}{path}")
        assert ada.client(client_id) == before

    @pytest.mark.parametrize("path", ["/secret", "/delete"])
    def test_who_was_signed_out_is_asked_again(self, ada: Developer, path: str) -> None:
        client_id, _ = ada.register()
        page, before = ada.open(f"/{client_id}{path}"), ada.client(client_id)
        sign_out(ada.browser)
        answer = ada.send(f"/{client_id}{path}", page)
        assert (answer.status_code, answer.location) == (303, f"/login?next={PAGE}/{client_id}{path}")
        assert ada.client(client_id) == before

    @pytest.mark.parametrize("is_new", [True, False])
    @pytest.mark.parametrize("cleared", [True, False])
    def test_who_was_signed_out_loses_nothing(self, ada: Developer, is_new: bool, cleared: bool) -> None:
        path = "/new" if is_new else f"/{ada.register()[0]}"
        page, before = ada.open(path), ada.clients()
        typed = {**TYPED, "name": "Typed at length", "logo_uri": "nonsense"}
        sign_out(ada.browser, cleared)
        answer = ada.send(path, page, **typed)
        assert answer.status_code == 303
        back = parse_qs(urlsplit(answer.location).query)["next"][0]
        assert back.startswith(f"{PAGE}{path}?flask_oauth2_form=oar_")
        assert ada.clients() == before
        ada.site.sign_in("ada", ada.browser)
        shown = ada.browser.get(back)
        assert "What you typed is still here: save it now." in shown.text
        kind = {} if is_new else {"kind": "server"}
        assert read_fields(shown) | kind == typed
        assert ada.clients() == before
        assert ada.send(path, shown, **typed | {"logo_uri": ""}).status_code in (200, 303)
        assert "Typed at length" in {client.name for client in ada.clients()}

    def test_what_was_kept_is_for_one_person_and_one_client(self, developer_site: Site, ada: Developer) -> None:
        page = ada.open("/new")
        sign_out(ada.browser)
        answer = ada.send("/new", page, **TYPED | {"name": "Private"})
        back = parse_qs(urlsplit(answer.location).query)["next"][0]
        query = back.partition("?")[2]
        assert "Private" not in Developer(developer_site, "grace").browser.get(back).text
        ada.site.sign_in("ada", ada.browser)
        client_id, _ = ada.register()
        assert "Private" not in ada.browser.get(f"{PAGE}/{client_id}?{query}").text
        assert "Private" not in ada.browser.get(f"{NEW}?flask_oauth2_form=oar_x").text
        assert "Private" in ada.browser.get(back).text
        developer_site.clock.forward(base.INTERACTION_LIFETIME)
        assert "Private" not in ada.browser.get(back).text

    @pytest.mark.parametrize("is_new", [True, False])
    @pytest.mark.parametrize("why", ["late", "another session"])
    def test_a_form_that_waited_too_long_is_shown_again(
        self, ada: Developer, is_new: bool, why: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        path = "/new" if is_new else f"/{ada.register()[0]}"
        page, before = ada.open(path), ada.clients()
        if why == "late":
            monkeypatch.setattr(base, "INTERACTION_LIFETIME", -1)
        else:
            sign_out(ada.browser)
            ada.site.sign_in("ada", ada.browser)
        typed = {**TYPED, "name": "Typed at length"}
        answer = ada.send(path, page, **typed)
        monkeypatch.undo()
        assert answer.status_code == 400
        assert "What you typed is still here: save it now." in answer.text
        assert read_fields(answer)["name"] == "Typed at length"
        assert ada.clients() == before
        assert ada.send(path, answer, **typed).status_code in (200, 303)

    def test_nothing_frames_them_and_nothing_keeps_them(self, ada: Developer) -> None:
        client_id, _ = ada.register()
        for path in ("", "/new", f"/{client_id}", f"/{client_id}/secret", f"/{client_id}/delete", "/none"):
            page = ada.open(path)
            assert page.headers["X-Frame-Options"] == "DENY"
            assert page.headers["Cache-Control"] == "no-store"
            assert "frame-ancestors 'none'" in page.headers["Content-Security-Policy"]


def sign_out(browser: FlaskClient, cleared: bool = True) -> None:
    with browser.session_transaction() as session:
        if cleared:
            session.clear()
        else:
            del session["user"]


class TestStart:
    def test_with_clients_of_the_applications_own_it_is_refused(self, tmp_path: Path) -> None:
        site = make_site(tmp_path, store=MemoryStore(), **ON)
        site.provider.clientgetter(lambda client_id: None)
        with pytest.raises(ConfigurationError, match=r"OAUTH2_DEVELOPER_PAGES is True, but .* clientgetter"):
            _ = site.server

    def test_without_a_grant_for_them_too(self, tmp_path: Path) -> None:
        site = make_site(tmp_path, store=MemoryStore(), **ON | {"OAUTH2_GRANT_TYPES": ["client_credentials"]})
        with pytest.raises(ConfigurationError, match="authorization_code or device_code to OAUTH2_GRANT_TYPES"):
            _ = site.server

    def test_and_in_a_store_that_takes_none(self, tmp_path: Path) -> None:
        class Closed(StoreWithoutConsents):
            def __getattr__(self, name: str) -> Any:
                if name == "list_owned":
                    raise AttributeError(name)
                return super().__getattr__(name)

        site = make_site(tmp_path, store=Closed(), **ON)
        with pytest.raises(ConfigurationError, match="leave OAUTH2_DEVELOPER_PAGES out"):
            _ = site.server.store

    def test_where_no_scope_is_open_that_is_said(self, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
        site = make_site(tmp_path, store=MemoryStore(), **ON | {"OAUTH2_REGISTRATION_SCOPES": []})
        assert site.server
        ada = Developer(site)
        assert "OAUTH2_REGISTRATION_SCOPES" in caplog.text
        assert "Permissions" not in ada.open("/new").text
        client_id, _ = ada.register()
        assert ada.client(client_id).scope == ()


def test_all_of_it_on_a_database(sql_house: Site) -> None:
    ada = Developer(sql_house)
    page = ada.open("/new")
    sign_out(ada.browser)
    back = parse_qs(urlsplit(ada.send("/new", page, **TYPED).location).query)["next"][0]
    sql_house.sign_in("ada", ada.browser)
    page = ada.browser.get(back)
    assert read_fields(page) == TYPED
    typed = {**TYPED, "tos_uri": "https://client.example/terms", "client_uri": "https://client.example/"}
    assert SECRET.search(ada.send("/new", page, **typed).text)
    (client,) = ada.clients()
    path = f"/{client.client_id}"
    page, other = ada.open(path), ada.open(path)
    assert ada.send(path, page, **typed).status_code == 303
    assert ada.client(client.client_id) == client, "nothing is written where nothing is changed"
    assert ada.send(path, page, **typed | {"name": "First"}).status_code == 303
    overtaken = ada.send(path, other, **typed | {"name": "Second"})
    assert overtaken.status_code == 409
    assert ada.send(path, overtaken, **typed | {"name": "Second"}).status_code == 303
    assert SECRET.search(ada.send(f"{path}/secret").text)
    changed = ada.client(client.client_id)
    assert changed.name == "Second"
    assert changed.secret != client.secret
    assert ada.send(f"{path}/delete").location == PAGE
    assert ada.clients() == []


def test_people_are_asked_each_time(developer_site: Site, ada: Developer) -> None:
    client_id, secret = ada.register()
    assert secret
    developer_site.tokens(secret, client_id)
    again = developer_site.ask(client_id=client_id)
    assert again.status_code == 200
    assert "You allowed Shop before." in again.text
    assert "code" in answer_of(developer_site.allow(again))


def test_the_list_shows_what_is_theirs(developer_site: Site, ada: Developer) -> None:
    assert "register it here: it gets a client id" in ada.open().text
    ada.register(name="One <1>", logo_uri="https://img.example/l.png")
    developer_site.clock.forward(1)
    ada.register(name="Two")
    Developer(developer_site, "grace").register(name="Three")
    page = ada.open()
    assert page.text.index("One &lt;1&gt;") < page.text.index("Two")
    assert "Three" not in page.text
    assert "img-src 'self';" in page.headers["Content-Security-Policy"]
    assert "form-action 'none';" in page.headers["Content-Security-Policy"]


def test_what_is_typed_is_read_without_flask(developer_site: Site) -> None:
    blank = Client(client_id="", grant_types=(), response_types=())
    client, problems = forms.read(TYPED, blank, developer_site.server)
    assert problems == {}
    assert forms.kind_of(client) == "server"
    assert forms.fill(client, developer_site.server) == TYPED


def test_the_prefix_may_be_another(tmp_path: Path) -> None:
    import flask

    app = flask.Flask("shop", instance_path=str(tmp_path))
    app.config.update(SECRET_KEY="secret", TESTING=True, **ON, OAUTH2_LOGIN_VIEW="/login")
    provider = OAuth2Provider(app, store=MemoryStore(), url_prefix="/")
    provider.current_user(lambda: "ada")
    assert app.test_client().get("/developer/new").status_code == 200


OpenPage = Callable[..., Page]


@pytest.mark.parametrize("scripts", [True, False])
def test_somebody_registers_changes_and_deletes(open_page: OpenPage, run_site: Any, scripts: bool) -> None:
    developer_site = run_site()
    page = open_page(viewport={"width": 390, "height": 844}, java_script_enabled=scripts)
    page.goto(f"{developer_site.url}/oauth/developer")
    page.get_by_label("Name").fill("Grace")
    page.get_by_role("button", name="Sign in").click()
    page.get_by_role("link", name="Register an application").click()
    page.get_by_label("Name", exact=True).fill("Compiler")
    page.get_by_label("Web application with a server").check()
    page.get_by_label("Redirect URIs").fill("https://compiler.example/*")
    page.get_by_label("Read your notes").check()
    page.get_by_role("button", name="Register").click()
    wrong = page.get_by_label("Redirect URIs")
    assert wrong.get_attribute("aria-invalid") == "true"
    assert wrong.input_value() == "https://compiler.example/*"
    assert page.get_by_text("has a wildcard").is_visible()
    assert page.get_by_label("Read your notes").is_checked()
    wrong.fill("https://compiler.example/back")
    page.get_by_role("button", name="Register").click()
    assert SECRET.search(page.get_by_role("main").inner_text())
    page.get_by_role("link", name="I have kept it").click()
    assert not SECRET.search(page.content())
    page.get_by_label("Name", exact=True).fill("Compiler 2")
    page.get_by_role("button", name="Save").click()
    assert page.get_by_role("status").inner_text() == "Saved."
    assert page.get_by_role("heading", level=1).inner_text() == "Compiler 2"
    page.get_by_role("link", name="New secret").click()
    page.get_by_role("button", name="Make a new secret").click()
    assert SECRET.search(page.get_by_role("main").inner_text())
    page.get_by_role("link", name="I have kept it").click()
    page.get_by_role("link", name="Delete").click()
    page.get_by_role("button", name="Delete").click()
    assert page.get_by_role("status").inner_text().startswith("Compiler 2 is deleted")
    assert list(developer_site.store.list_owned("Grace")) == []


class TestKeys:
    """Clients that authenticate with a key."""

    def test_a_developer_registers_public_keys(self, ada: Developer) -> None:
        jwks = json.dumps({"keys": [key_of("ES256").public_jwk]})
        client_id, secret = ada.register(kind="key", jwks=jwks)
        client = ada.client(client_id)
        assert (client.auth_method, client.secret, secret) == ("private_key_jwt", None, None)
        assert client.metadata == {"jwks": json.loads(jwks)}
        page = ada.open(f"/{client_id}").text
        assert "Server application, which signs with a private key" in page
        assert "New secret" not in page
        assert ada.open(f"/{client_id}/secret").status_code == 303
        assert ada.client(client_id).secret is None
        url = "https://client.example/jwks"
        typed = {name: value for name, value in TYPED.items() if name != "kind"}
        assert ada.send(f"/{client_id}", **typed, jwks_uri=url).status_code == 303
        assert ada.client(client_id).metadata == {"jwks_uri": url}

    def test_the_pages_report_the_registration(self, ada: Developer) -> None:
        answer = ada.send("/new", **{**TYPED, "kind": "key", "jwks_uri": "https://client.example/jwks"})
        assert "It authenticates with its key." in ada.browser.get(answer.location).text

    @pytest.mark.parametrize(
        "typed",
        [
            {},
            {"jwks": "{"},
            {"jwks": '{"keys": []}'},
            {"jwks": json.dumps({"keys": [key_of("ES256").jwk]})},
            {"jwks": json.dumps({"keys": [key_of("ES256").public_jwk]}), "jwks_uri": "https://client.example/jwks"},
            {"jwks_uri": "http://client.example/jwks"},
        ],
    )
    def test_keys_that_cannot_be_registered(self, ada: Developer, typed: dict[str, str]) -> None:
        answer = ada.send("/new", **{**TYPED, "kind": "key", **typed})
        assert answer.status_code == 400
        assert 'id="wrong-jwks' in answer.text
        assert ada.clients() == []

    def test_the_kind_needs_the_libraries(
        self, new_developer_site: Callable[..., Site], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(assertion, "find_spec", lambda name: None)
        ada = Developer(new_developer_site())
        assert 'value="key"' not in ada.open("/new").text
        answer = ada.send("/new", **{**TYPED, "kind": "key", "jwks_uri": "https://client.example/jwks"})
        assert answer.status_code == 400
        assert ada.clients() == []


def test_the_keyboard_is_enough(open_page: OpenPage, run_site: Any) -> None:
    developer_site = run_site()
    page = open_page()
    developer_site.sign_in(page, "Grace")
    page.goto(f"{developer_site.url}/oauth/developer/new")
    keys = page.keyboard
    for text, key in (("Compiler", "Space"), ("", "ArrowDown"), ("com.example.compiler:/back", "Tab")):
        keys.press("Tab")
        assert page.locator(":focus").evaluate("element => getComputedStyle(element).outlineStyle") == "solid"
        keys.type(text)
        if key == "ArrowDown":
            keys.press("Space")
            keys.press(key)
            keys.press(key)
        elif text.startswith("com"):
            keys.press("Tab")
            keys.press("Tab")
            keys.press("Space")
    keys.press("Tab")
    assert page.locator(":focus").get_attribute("name") == "scope.notes"
    page.get_by_role("button", name="Register").focus()
    keys.press("Enter")
    page.get_by_role("status").wait_for()
    (client,) = developer_site.store.list_owned("Grace")
    assert (client.name, client.application_type, client.scope) == ("Compiler", "native", ("profile",))
    assert client.redirect_uris == ("com.example.compiler:/back",)


def test_who_was_signed_out_in_the_browser_loses_nothing(open_page: OpenPage, run_site: Any) -> None:
    developer_site = run_site()
    page = open_page()
    developer_site.sign_in(page, "Grace")
    page.goto(f"{developer_site.url}/oauth/developer/new")
    page.get_by_label("Name", exact=True).fill("Compiler")
    page.context.clear_cookies()
    page.get_by_role("button", name="Register").click()
    page.get_by_label("Name").fill("Grace")
    page.get_by_role("button", name="Sign in").click()
    assert page.get_by_label("Name", exact=True).input_value() == "Compiler"
    assert "save it now" in page.get_by_role("status").inner_text()
