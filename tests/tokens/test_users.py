"""Users who leave: the end of all that they authorized, and users who are not active."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import flask
import flask_login
import pytest
import sqlalchemy as sa
from devices import Person
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from flask_oauth2 import (
    ConfigurationError,
    MemoryStore,
    OAuth2Provider,
    TokenGrant,
    TokenRequest,
    User,
    current_token,
    signals,
)
from flask_oauth2.people import users
from flask_oauth2.records import identify
from flask_oauth2.settings import DEVICE_CODE
from flask_oauth2.testing import issue_token
from oauth_site import Clock, Site, StoreWithoutConsents, answer_of, make_site

NewSite = Callable[..., Site]

GRANTS = ["authorization_code", "refresh_token", "client_credentials", "password", "device_code"]
EXTENSION = "urn:example:grant"


@pytest.fixture(params=["memory", "embedded", "without consents", "signed", "redis"])
def site(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Site]:
    options: dict[str, Any] = {"OAUTH2_GRANT_TYPES": GRANTS}
    if request.param == "redis":
        options["OAUTH2_REDIS_URL"] = request.getfixturevalue("redis_url")
    if request.param == "signed":
        options["OAUTH2_ACCESS_TOKEN_FORMAT"] = "signed"
    store = {"memory": MemoryStore(), "without consents": StoreWithoutConsents()}.get(request.param)
    site = make_site(tmp_path, store=store, **options)
    site.provider.usergetter(lambda username, password, client, request: username)

    @site.provider.grant_type(EXTENSION)
    def extension(request: TokenRequest) -> TokenGrant:
        return TokenGrant(request.authorization(request.form.require("user")), refresh=True)

    yield site
    kept = site.server.own_store
    if request.param == "redis":
        kept.close()
        kept = kept.behind
    if hasattr(kept, "engine"):
        kept.engine.dispose()


def revoke(site: Site, user: object = "ada") -> None:
    with site.app.app_context():
        site.provider.revoke_user(user)


def add_client(site: Site) -> str:
    grants = (*GRANTS[:-1], DEVICE_CODE, EXTENSION)
    return site.add_client(grant_types=grants, response_types=("code",))


def obtain(site: Site, secret: str, user: str) -> list[dict[str, Any]]:
    """Tokens of a user by every grant."""
    auth = "web", secret
    answers = [
        site.redeem(code_of(site, user), auth),
        site.token("password", auth, username=user, password="x"),
        site.token(EXTENSION, auth, user=user),
    ]
    assert [answer.status_code for answer in answers] == [200, 200, 200]
    return [answer.get_json() for answer in answers]


def code_of(site: Site, user: str) -> str:
    site.sign_in(user)
    page = site.ask(prompt="consent")
    return answer_of(site.allow(page))["code"]


@pytest.mark.spec("rfc7009", "2.1")
def test_everything_of_a_user_is_revoked(site: Site) -> None:
    secret = add_client(site)
    auth = "web", secret
    other, own = obtain(site, secret, "bob"), obtain(site, secret, "ada")
    own_client = site.token("client_credentials", auth).get_json()
    code = code_of(site, "ada")
    revoke(site)
    for tokens in own:
        assert not site.is_alive(tokens["access_token"])
        assert site.refresh(tokens["refresh_token"], secret).get_json()["error"] == "invalid_grant"
        for token in (tokens["access_token"], tokens["refresh_token"]):
            assert site.post("/introspect", auth, token=token).get_json() == {"active": False}
    assert site.redeem(code, auth).get_json()["error"] == "invalid_grant"
    for tokens in other:
        assert site.is_alive(tokens["access_token"])
        assert site.refresh(tokens["refresh_token"], secret).status_code == 200
    assert site.call(own_client["access_token"]).status_code == 200


@pytest.mark.spec("rfc7009", "2.1")
def test_the_revocation_is_stored_for_the_longest_token_lifetime(site: Site) -> None:
    secret = add_client(site)
    other, own = obtain(site, secret, "bob"), obtain(site, secret, "ada")
    revoke(site)
    site.clock.forward(site.server.longest_lifetime - 1)
    sum(site.store.purge(int(site.clock.now)))
    assert all(site.refresh(tokens["refresh_token"], secret).status_code == 400 for tokens in own)
    assert all(site.refresh(tokens["refresh_token"], secret).status_code == 200 for tokens in other)


def test_the_user_may_authorize_again_immediately(site: Site) -> None:
    """No time passes for the clock, and then it is set back."""
    secret = add_client(site)
    for seconds in (0, 0, 1, -3600, 0):
        site.clock.forward(seconds)
        own = obtain(site, secret, "ada")
        assert all(site.is_alive(tokens["access_token"]) for tokens in own)
        revoke(site)
        assert not any(site.is_alive(tokens["access_token"]) for tokens in own)
        assert all(site.refresh(tokens["refresh_token"], secret).status_code == 400 for tokens in own)


def test_the_user_may_authorize_again_immediately_without_an_issuer(tmp_path: Path) -> None:
    """The clock stands still, and the issuer follows the request."""
    site = make_site(tmp_path, store=MemoryStore(), OAUTH2_ISSUER=None, TESTING=True)
    secret = add_client(site)
    tokens = site.tokens(secret)
    revoke(site, "ada")
    assert not site.is_alive(tokens["access_token"])
    assert site.is_alive(site.tokens(secret)["access_token"])


@pytest.mark.parametrize(
    ("answer", "is_active"), [(True, True), ("yes", True), (False, False), ([], False), (0, False)]
)
def test_truthy_results_mean_active(tmp_path: Path, answer: object, is_active: bool) -> None:
    site = make_site(tmp_path, store=MemoryStore())
    site.provider.user_is_active(lambda user_id: answer)
    assert users.is_active(site.server, "ada") is is_active


def test_the_user_may_authorize_again_immediately_at_any_host(new_site: NewSite) -> None:
    """Without ``OAUTH2_ISSUER`` the issuer follows the request, and a program has none."""
    site = new_site(OAUTH2_ISSUER=None, OAUTH2_GRANT_TYPES=GRANTS)
    site.provider.usergetter(lambda username, password, client, request: username)
    auth = "web", site.add_client()
    form = {"grant_type": "password", "username": "ada", "password": "x", "scope": "profile"}

    def obtain_at(host: str) -> str:
        answer = site.http.post("/oauth/token", data=form, auth=auth, base_url=f"http://{host}")
        return str(answer.get_json()["access_token"])

    hosts = ("localhost", "127.0.0.1:5000")
    for seconds in (0, 0, -3600):
        site.clock.forward(seconds)
        own = [obtain_at(host) for host in hosts]
        assert all(map(site.is_alive, own))
        revoke(site)
        assert not any(map(site.is_alive, own))
        with site.app.test_request_context(base_url="http://localhost"):
            site.provider.revoke_user("ada")
    assert all(map(site.is_alive, map(obtain_at, hosts)))


def test_the_user_must_consent_again(tmp_path: Path) -> None:
    site = make_site(tmp_path, store=MemoryStore())
    site.tokens(site.add_client())
    assert "code" in answer_of(site.ask())
    revoke(site)
    assert site.ask().status_code == 200
    page = site.browser.get("/oauth/applications")
    assert 'name="ticket"' not in page.text
    answer_of(site.allow(site.ask()))
    assert "code" in answer_of(site.ask()), "a consent that is given at once is a later one"


@pytest.mark.spec("rfc8628", "3.5")
def test_an_approved_device_code_is_revoked(site: Site) -> None:
    secret = add_client(site)
    auth = "web", secret
    begun = [site.post("/device_authorization", auth, scope="profile").get_json() for _ in range(2)]
    Person(site).decide(begun[0]["user_code"])
    revoke(site)
    Person(site).decide(begun[1]["user_code"])
    answers = [site.token(DEVICE_CODE, auth, device_code=answer["device_code"]) for answer in begun]
    assert [answer.status_code for answer in answers] == [400, 200]
    assert answers[0].get_json()["error"] == "invalid_grant"


def test_cached_tokens_of_the_user_are_removed(tmp_path: Path) -> None:
    site = make_site(tmp_path, store=MemoryStore(), OAUTH2_TOKEN_CACHE_TTL=60)
    secret = site.add_client()
    other = site.tokens(secret)["access_token"]
    site.sign_in("bob")
    bob = issue_token(site.app, "bob", "profile", client="web")
    assert site.is_alive(other)
    assert site.is_alive(bob)
    revoke(site)
    assert not site.is_alive(other)
    assert site.is_alive(bob)
    again = site.tokens(secret)["access_token"]
    assert site.is_alive(again)
    revoke(site)
    assert not site.is_alive(again)
    site.clock.forward(120)
    revoke(site, "bob")
    assert not site.is_alive(bob)
    assert not site.is_alive(again)


def test_the_revocation_is_published_to_other_processes(redis_url: str, tmp_path: Path) -> None:
    from threading import Event
    from time import monotonic

    sites = [make_site(tmp_path, OAUTH2_TOKEN_CACHE_TTL=60, OAUTH2_REDIS_URL=redis_url) for _ in range(2)]
    for other in sites:
        ready, cleared = Event(), other.verifier.cache.clear
        other.verifier.cache.clear = lambda cleared=cleared, ready=ready: (cleared(), ready.set())
        assert other.store
        assert ready.wait(60)
    here, there = sites
    there.clock = here.clock
    token = here.tokens(here.add_client())["access_token"]
    assert there.is_alive(token)
    revoke(here)
    until = monotonic() + 60
    while there.is_alive(token):
        assert monotonic() < until
    for other in sites:
        other.store.close()
        other.store.behind.engine.dispose()


def test_the_revocation_is_signalled_and_audited(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "flask_oauth2.audit")
    received: list[Any] = []
    with signals.user_revoked.connected_to(lambda sender, **what: received.append(what), sender=site.app):
        revoke(site, User(id="ada"))
    assert received == [{"user_id": "ada", "issuer": "https://login.example"}]
    assert "user_revoked user_id='ada'" in caplog.text


@pytest.mark.parametrize("user", [None, "", "a\0", "x" * 256, True])
def test_an_invalid_user_id_is_rejected(site: Site, user: Any) -> None:
    with pytest.raises((TypeError, ValueError)):
        revoke(site, user)


class TestCommand:
    def run(self, site: Site, *arguments: str, **options: Any) -> Any:
        return site.app.test_cli_runner().invoke(args=["oauth2", "user", "revoke", *arguments], **options)

    def test_all_of_the_user_is_revoked(self, site: Site) -> None:
        tokens = obtain(site, add_client(site), "ada")
        done = self.run(site, "ada", input="y\n")
        assert (done.exit_code, "Revoked all tokens and consents of user ada." in done.output) == (0, True)
        assert not any(site.is_alive(answer["access_token"]) for answer in tokens)

    def test_the_command_asks_for_confirmation(self, site: Site) -> None:
        tokens = obtain(site, add_client(site), "ada")
        assert self.run(site, "ada", input="n\n").exit_code == 1
        assert all(site.is_alive(answer["access_token"]) for answer in tokens)
        assert self.run(site, "ada", "--yes").exit_code == 0

    def test_the_command_rejects_an_invalid_id(self, site: Site) -> None:
        done = self.run(site, "a\nb", "--yes")
        assert (done.exit_code, "1 to 255 printable characters" in done.output) == (2, True)


class TestInactive:
    """``user_is_active``, or else the ``userloader``."""

    @pytest.fixture(params=["user_is_active", "userloader"])
    def gone(self, request: pytest.FixtureRequest, site: Site) -> set[str]:
        gone: set[str] = set()
        if request.param == "user_is_active":
            site.provider.user_is_active(lambda user_id: user_id not in gone)
        else:
            site.provider._parts.callbacks.userloader = lambda user_id: None if user_id in gone else {"id": user_id}
        return gone

    def test_no_grant_issues_a_token_for_an_inactive_user(self, site: Site, gone: set[str]) -> None:
        secret = add_client(site)
        auth = "web", secret
        own, other = obtain(site, secret, "ada")[0], obtain(site, secret, "bob")[0]
        code = code_of(site, "ada")
        gone.add("ada")
        answers = [
            site.refresh(own["refresh_token"], secret),
            site.redeem(code, auth),
            site.token("password", auth, username="ada", password="x"),
            site.token(EXTENSION, auth, user="ada"),
        ]
        assert {(answer.status_code, answer.get_json()["error"]) for answer in answers} == {(400, "invalid_grant")}
        assert site.refresh(other["refresh_token"], secret).status_code == 200
        assert site.token("client_credentials", auth).status_code == 200
        gone.clear()
        assert site.refresh(own["refresh_token"], secret).status_code == 200, "nothing was consumed"
        assert site.redeem(code, auth).status_code == 200

    def test_a_replay_revokes_the_family_of_an_inactive_user(self, site: Site, gone: set[str]) -> None:
        secret = add_client(site)
        own = obtain(site, secret, "ada")[0]
        fresh = site.refresh(own["refresh_token"], secret).get_json()
        gone.add("ada")
        assert site.refresh(own["refresh_token"], secret).get_json()["error"] == "invalid_grant"
        gone.clear()
        assert not site.is_alive(fresh["access_token"])
        assert site.refresh(fresh["refresh_token"], secret).status_code == 400

    @pytest.mark.parametrize(("found", "is_active"), [(None, False), (False, False), ("", False), ({}, True)])
    def test_a_userloader_returns_none_false_or_empty_for_an_inactive_user(
        self, new_site: NewSite, found: object, is_active: bool
    ) -> None:
        """An object that happens to be false is a user."""
        site = new_site()
        secret = site.add_client()
        token = site.tokens(secret)["refresh_token"]
        site.provider._parts.callbacks.userloader = lambda user_id: found
        assert (site.refresh(token, secret).status_code == 200) is is_active

    @pytest.mark.spec("rfc7662", "2.2")
    def test_tokens_of_an_inactive_user_are_inactive(self, site: Site, gone: set[str]) -> None:
        secret = add_client(site)
        own = obtain(site, secret, "ada")[0]
        for token in (own["access_token"], own["refresh_token"]):
            assert site.post("/introspect", ("web", secret), token=token).get_json()["active"] is True
        gone.add("ada")
        for token in (own["access_token"], own["refresh_token"]):
            assert site.post("/introspect", ("web", secret), token=token).get_json() == {"active": False}

    @pytest.mark.spec("rfc6749", "4.1.2.1")
    def test_no_code_is_issued_for_an_inactive_user(self, site: Site, gone: set[str]) -> None:
        add_client(site)
        site.sign_in()
        page = site.ask(prompt="consent")
        gone.add("ada")
        assert answer_of(site.allow(page))["error"] == "access_denied"

    def test_guards_do_not_check_the_user_by_default(self, site: Site, gone: set[str]) -> None:
        own = obtain(site, add_client(site), "ada")[0]
        gone.add("ada")
        assert site.is_alive(own["access_token"])


@pytest.mark.parametrize("cache", [0, 60])
@pytest.mark.spec("rfc6750", "3.1")
def test_guards_check_the_user_if_enabled(new_site: NewSite, cache: int) -> None:
    site = new_site(OAUTH2_GUARD_CHECKS_USER=True, OAUTH2_TOKEN_CACHE_TTL=cache)
    gone: set[str] = set()
    asked: list[str] = []
    site.provider.user_is_active(lambda user_id: asked.append(user_id) or user_id not in gone)
    secret = site.add_client()
    own, client = site.tokens(secret)["access_token"], site.token("client_credentials", ("web", secret)).get_json()
    asked.clear()
    assert site.is_alive(own)
    gone.add("ada")
    answer = site.call(own)
    assert (answer.status_code, answer.get_json()["error"]) == (401, "invalid_token")
    assert asked == ["ada", "ada"]
    assert site.is_alive(client["access_token"])
    assert asked == ["ada", "ada"], "it has no user"


def test_guard_checks_require_a_user_callback(tmp_path: Path) -> None:
    app = flask.Flask("plain", instance_path=str(tmp_path))
    app.config.update(SECRET_KEY="x", OAUTH2_ISSUER="https://login.example", OAUTH2_GUARD_CHECKS_USER=True)
    provider = OAuth2Provider(app, store=MemoryStore())
    with app.app_context(), pytest.raises(ConfigurationError, match="OAUTH2_GUARD_CHECKS_USER needs"):
        _ = provider.server


def test_an_async_callback_is_supported(new_site: NewSite) -> None:
    site = new_site()

    @site.provider.user_is_active
    async def is_active(user_id: str) -> bool:
        return user_id != "ada"

    secret = site.add_client()
    site.sign_in()
    assert answer_of(site.allow(site.ask()))["error"] == "access_denied"
    site.sign_in("bob")
    assert site.redeem(answer_of(site.allow(site.ask()))["code"], ("web", secret)).status_code == 200


class Base(DeclarativeBase):
    pass


class Account(Base):
    __tablename__ = "account"
    number: Mapped[int] = mapped_column(sa.Integer, primary_key=True)
    session_key: Mapped[str]

    def get_id(self) -> str:
        return self.session_key


class Membership(Base):
    __tablename__ = "membership"
    group: Mapped[int] = mapped_column(primary_key=True)
    person: Mapped[int] = mapped_column(primary_key=True)

    def get_id(self) -> str:
        return f"{self.group}-{self.person}"


def new_class(**members: Any) -> Any:
    return type("Person", (), members)()


@pytest.mark.parametrize(
    ("user", "user_id", "warns"),
    [
        (new_class(id=7), "7", False),
        (new_class(id=7, get_id=lambda self: "7"), "7", False),
        (new_class(id=7, get_id=lambda self: "session-1"), "7", True),
        (new_class(get_id=lambda self: "only"), "only", False),
        (Account(number=3, session_key="session-2"), "3", True),
        (Membership(group=1, person=2), "1-2", False),
        ({"id": 7}, "7", False),
        ("ada", "ada", False),
        (7, "7", False),
    ],
)
def test_the_id_of_a_user_is_stable(user: Any, user_id: str, warns: bool, caplog: pytest.LogCaptureFixture) -> None:
    assert [identify(user), identify(user)] == [user_id, user_id]
    assert caplog.text.count("@provider.userloader") == int(warns)


class Member(flask_login.UserMixin):  # type: ignore[misc]
    """With Flask-Login's "alternative" ``get_id()``: another one whenever the password changes."""

    def __init__(self, number: int, key: str) -> None:
        self.id = number
        self.key = key

    def get_id(self) -> str:
        return self.key


def alternative_site(tmp_path: Path, members: list[Member]) -> Site:
    app = flask.Flask("site", instance_path=str(tmp_path))
    app.config.update(PROPAGATE_EXCEPTIONS=True, SECRET_KEY="a secret key of the tests", OAUTH2_LOGIN_VIEW="login")
    app.config.update(OAUTH2_ISSUER="https://login.example", OAUTH2_SCOPES={"profile": "See your name"})
    manager = flask_login.LoginManager(app)

    @manager.user_loader
    def load(key: str) -> Member | None:
        return next((member for member in members if member.key == key), None)

    provider = OAuth2Provider(app, store=MemoryStore())

    @app.post("/login")
    def login() -> str:
        flask_login.login_user(members[0])
        return ""

    @app.get("/api/me")
    @provider.require_oauth("profile")
    def me() -> dict[str, Any]:
        return {"id": current_token.user_id, "key": current_token.user and current_token.user.key}

    return Site(app, provider, Clock())


def test_tokens_and_consents_survive_a_password_change(tmp_path: Path) -> None:
    members = [Member(1, "k1"), Member(2, "k2")]
    site = alternative_site(tmp_path, members)
    site.provider.userloader(lambda user_id: next((one for one in members if str(one.id) == user_id), None))
    secret = site.add_client(scope=("profile",))
    token = site.tokens(secret)["access_token"]
    assert site.call(token).get_json() == {"id": "1", "key": "k1"}
    members[0].key = "changed"
    site.sign_in()
    assert "code" in answer_of(site.ask()), "the consent is still there"
    assert site.call(token).get_json() == {"id": "1", "key": "changed"}
    revoke(site, members[0])
    assert not site.is_alive(token)


def test_an_alternative_id_does_not_match_another_user(tmp_path: Path) -> None:
    """The session identifier of one user is the id of another."""
    site = alternative_site(tmp_path, [Member(1, "k1"), Member(2, "1")])
    token = site.tokens(site.add_client(scope=("profile",)))["access_token"]
    with pytest.raises(ConfigurationError, match=r"@provider\.userloader"):
        site.call(token)


def test_a_user_with_an_alternative_id_requires_a_userloader(tmp_path: Path) -> None:
    site = alternative_site(tmp_path, [Member(1, "k1")])
    secret = site.add_client(scope=("profile",))
    tokens = site.tokens(secret)
    assert site.call(tokens["access_token"]).get_json() == {"id": "1", "key": None}
    assert site.refresh(tokens["refresh_token"], secret).status_code == 200
