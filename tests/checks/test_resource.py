"""Resource indicators, RFC 8707, through whole flows."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import flask
import pytest

from flask_oauth2 import MemoryStore, OAuth2Provider, current_token
from flask_oauth2.testing import issue_token
from oauth_site import Clock, Site, answer_of

API = "https://login.example/api"
FILES = "https://login.example/files"

NewSite = Callable[..., Site]


def make_resources(site: Site, *paths: str) -> Site:
    for path in paths or ("/api", "/files"):
        site.provider.protect_resource(path, {"/api": ["profile"], "/files": ["write"]}[path])

    @site.app.get("/files")
    def files() -> Any:
        return {"scope": current_token.scope, "audience": current_token.audience}

    @site.app.get("/mail")
    @site.provider.require_oauth("mail")
    def mail() -> Any:
        return {}

    site.add_client(secret=None)
    return site


@pytest.fixture
def two(new_site: NewSite) -> Site:
    return make_resources(new_site())


@pytest.fixture
def one(new_site: NewSite) -> Site:
    return make_resources(new_site(), "/api")


def audience_of(site: Site, token: str) -> tuple[str, ...]:
    from flask_oauth2.tokens.read import find_access

    access = find_access(site.server, token, site.clock())
    assert access is not None
    return access.audience


class TestAuthorizationRequest:
    @pytest.mark.spec("rfc8707", "2.1")
    @pytest.mark.spec("rfc8707", "2")
    @pytest.mark.parametrize("resource", [API, f"{API}/", "https://LOGIN.example:443/api"])
    def test_the_token_is_for_what_was_named(self, two: Site, resource: str) -> None:
        token = two.tokens(resource=resource, scope="profile")["access_token"]
        assert audience_of(two, token) == (API,)
        assert two.is_alive(token)
        assert two.call(token, "/files").status_code == 401

    @pytest.mark.spec("rfc8707", "2")
    @pytest.mark.spec("rfc8707", "2.1")
    @pytest.mark.parametrize(
        "resource",
        [
            "https://login.example/other",
            "https://evil.example/api",
            "albums",
            "//login.example/api",
            "https:",
            f"{API}#x",
            f"{API}#",
            "https://[/",
            "https://login.example:x/api",
            f"{API}?x=1",
            f"{API}/{'x' * 2000}",
            f"{API}/é",
            "urn:example:api",
            "https://login.example",
        ],
    )
    def test_anything_else_is_an_invalid_target(self, two: Site, resource: str) -> None:
        two.sign_in()
        answer = answer_of(two.ask(resource=resource))
        assert answer["error"] == "invalid_target"
        assert answer["state"] == "st-1"
        assert answer["iss"] == "https://login.example"

    @pytest.mark.spec("rfc8707", "2")
    @pytest.mark.parametrize("resource", ["albums", "//login.example/api", "https:", f"{API}#x"])
    def test_a_client_learns_that_it_must_be_an_absolute_uri(self, two: Site, resource: str) -> None:
        two.sign_in()
        assert "absolute URI" in answer_of(two.ask(resource=resource))["error_description"]
        assert "unknown" in answer_of(two.ask(resource="https://login.example/other"))["error_description"]

    @pytest.mark.spec("rfc8707", "2")
    def test_it_may_be_named_several_times(self, two: Site) -> None:
        two.sign_in()
        page = two.ask(resource=[API, FILES, API], scope="profile write")
        code = answer_of(two.allow(page))["code"]
        answer = two.redeem(code, client_id="web", resource=FILES)
        assert answer.status_code == 200
        assert audience_of(two, answer.get_json()["access_token"]) == (FILES,)

    @pytest.mark.spec("rfc8707", "2")
    def test_not_without_end(self, two: Site) -> None:
        two.sign_in()
        assert answer_of(two.ask(resource=[API] * 11))["error"] == "invalid_target"
        assert two.ask(resource=[API] * 10).status_code == 200

    @pytest.mark.spec("rfc6749", "3.1")
    def test_nothing_else_may(self, two: Site) -> None:
        two.sign_in()
        assert answer_of(two.ask(resource=[API, FILES], scope=["profile", "write"]))["error"] == "invalid_request"

    @pytest.mark.spec("rfc8707", "2.1")
    def test_an_empty_one_is_none(self, one: Site) -> None:
        assert audience_of(one, one.tokens(resource="")["access_token"]) == (API,)

    @pytest.mark.spec("mcp-authorization", "O Resource")
    def test_where_nothing_is_described_it_is_ignored(self, site: Site) -> None:
        site.add_client(secret=None)
        answer = site.tokens(resource=["https://any.example/mcp", "#"])
        assert audience_of(site, answer["access_token"]) == ()
        assert site.is_alive(answer["access_token"])
        assert site.refresh(answer["refresh_token"], resource="nonsense").status_code == 200

    @pytest.mark.spec("mcp-authorization", "O Resource")
    def test_the_origin_alone_names_the_only_one(self, one: Site) -> None:
        assert audience_of(one, one.tokens(resource="https://login.example")["access_token"]) == (API,)


class TestWithoutOne:
    """A request that names no resource, as of clients that know nothing of them."""

    @pytest.mark.spec("rfc8707", "2.1")
    def test_it_is_for_what_its_scope_is_of(self, two: Site) -> None:
        assert audience_of(two, two.tokens(scope="write")["access_token"]) == (FILES,)
        assert audience_of(two, two.tokens(scope="profile")["access_token"]) == (API,)

    def test_what_views_outside_know_stays_outside(self, two: Site) -> None:
        token = two.tokens(scope="mail")["access_token"]
        assert audience_of(two, token) == ()
        assert two.call(token, "/mail").status_code == 200

    @pytest.mark.spec("rfc8707", "2.1")
    def test_a_scope_of_no_single_one_is_refused(self, two: Site) -> None:
        two.sign_in()
        assert answer_of(two.ask(scope="profile write"))["error"] == "invalid_target"
        assert audience_of(two, two.tokens(scope="profile write", resource=FILES)["access_token"]) == (FILES,)

    def test_unless_views_outside_accept_a_part_of_it(self, new_site: NewSite) -> None:
        site = make_resources(new_site(), "/files")  # /api/me is outside now
        token = site.tokens(scope="profile write mail")["access_token"]
        assert audience_of(site, token) == (FILES,), "values that belong to no resource do not take part"

    @pytest.mark.parametrize(
        ("view_scope", "scope", "opens"),
        [(None, "", "/outside"), ("mail", "mail write", "/outside"), ("mail", "", "/open")],
    )
    def test_a_resource_without_scopes_comes_after_the_views_outside(
        self, new_site: NewSite, view_scope: str | None, scope: str, opens: str
    ) -> None:
        """No resource knows the scope: the token is for what accepts it, the views outside first."""
        site = new_site()
        site.provider.protect_resource("/open")

        @site.app.get("/open")
        def inside() -> Any:
            return {}

        @site.app.get("/outside")
        @site.provider.require_oauth(*[view_scope] if view_scope else [])
        def outside() -> Any:
            return {}

        site.app.view_functions["me"] = site.app.view_functions["inside"]  # which demands profile
        site.add_client(secret=None, scope=tuple(scope.split()))
        token = site.tokens(scope=scope or None)["access_token"]
        assert {path for path in ("/open", "/outside") if site.call(token, path).status_code == 200} == {opens}

    @pytest.mark.spec("rfc8707", "2.1")
    def test_of_several_that_know_it_one_must_be_named(self, new_site: NewSite) -> None:
        site = new_site()
        site.provider.protect_resource("/a", ["write"])
        site.provider.protect_resource("/b", ["write"])
        site.add_client(secret=None)
        site.sign_in()
        assert answer_of(site.ask(scope="write"))["error"] == "invalid_target"
        secret = site.add_client("machine")
        assert site.token("client_credentials", ("machine", secret), scope="write").get_json()["error"] == (
            "invalid_target"
        )
        answer = site.token(
            "client_credentials", ("machine", secret), scope="write", resource="https://login.example/b"
        )
        assert audience_of(site, answer.get_json()["access_token"]) == ("https://login.example/b",)


class TestTokenRequest:
    @pytest.mark.spec("rfc8707", "2.2")
    def test_of_what_was_granted_one_is_chosen_and_the_rest_is_kept(self, two: Site) -> None:
        two.sign_in()
        code = answer_of(two.allow(two.ask(resource=[API, FILES], scope="profile write mail")))["code"]
        first = two.redeem(code, client_id="web", resource=API).get_json()
        assert audience_of(two, first["access_token"]) == (API,)
        assert first["scope"] == "profile mail"
        second = two.refresh(first["refresh_token"], resource=FILES).get_json()
        assert audience_of(two, second["access_token"]) == (FILES,)
        assert second["scope"] == "write mail"
        third = two.refresh(second["refresh_token"], resource=API, scope="profile").get_json()
        assert third["scope"] == "profile"
        assert two.refresh(third["refresh_token"], resource=FILES).get_json()["scope"] == "write mail"

    @pytest.mark.spec("rfc8707", "2.2")
    @pytest.mark.parametrize("resource", [None, [API, FILES], "https://login.example/other", "#"])
    def test_it_must_be_one_of_them_and_nothing_is_spent_before(self, two: Site, resource: Any) -> None:
        two.sign_in()
        code = answer_of(two.allow(two.ask(resource=[API, FILES], scope="profile write")))["code"]
        refused = two.redeem(code, client_id="web", resource=resource)
        assert refused.status_code == 400
        assert refused.get_json()["error"] == "invalid_target"
        tokens = two.redeem(code, client_id="web", resource=API).get_json()
        refused = two.refresh(tokens["refresh_token"], resource=resource)
        assert refused.get_json()["error"] == "invalid_target"
        assert two.refresh(tokens["refresh_token"], resource=API).status_code == 200

    @pytest.mark.spec("rfc8707", "2.2")
    def test_what_was_not_granted_is_refused(self, two: Site) -> None:
        code = two.authorize(resource=API)["code"]
        assert two.redeem(code, client_id="web", resource=FILES).get_json()["error"] == "invalid_target"
        code = two.authorize(scope="mail")["code"]
        assert two.redeem(code, client_id="web", resource=API).get_json()["error"] == "invalid_target"

    @pytest.mark.spec("rfc8707", "2.2")
    def test_without_one_it_is_what_was_granted(self, two: Site) -> None:
        tokens = two.tokens(resource=API)
        assert audience_of(two, tokens["access_token"]) == (API,)
        again = two.refresh(tokens["refresh_token"]).get_json()
        assert audience_of(two, again["access_token"]) == (API,)

    @pytest.mark.spec("rfc8707", "2.2")
    def test_any_grant_may_name_it(self, two: Site) -> None:
        secret = two.add_client("machine")
        answer = two.token("client_credentials", ("machine", secret), scope="profile", resource=API)
        assert audience_of(two, answer.get_json()["access_token"]) == (API,)
        answer = two.token("client_credentials", ("machine", secret), scope="profile", resource="https://x.example")
        assert answer.get_json()["error"] == "invalid_target"

    @pytest.mark.spec("rfc8707", "2.1")
    def test_the_implicit_grant_too(self, new_site: NewSite) -> None:
        site = make_resources(new_site(OAUTH2_GRANT_TYPES=["implicit"]))
        site.sign_in()
        parameters = {"response_type": "token", "code_challenge": None, "code_challenge_method": None}
        answer = answer_of(site.allow(site.ask(resource=API, **parameters)))
        assert audience_of(site, answer["access_token"]) == (API,)
        assert answer_of(site.ask(resource=[API, FILES], **parameters))["error"] == "invalid_target"


class TestConsent:
    @pytest.mark.spec("rfc8707", "2.1")
    def test_what_was_allowed_here_was_not_allowed_there(self, two: Site) -> None:
        two.change_client(scope=("profile", "mail", "write"))
        two.tokens(resource=API, scope="profile")
        assert "code" in answer_of(two.ask(resource=API, scope="profile"))
        page = two.ask(resource=FILES, scope="profile")
        assert page.status_code == 200
        two.allow(page)
        assert "code" in answer_of(two.ask(resource=FILES, scope="profile"))
        assert two.ask(resource=[API, FILES], scope="profile write").status_code == 200

    @pytest.mark.spec("rfc8707", "2.1")
    def test_people_see_what_it_is_for(self, new_site: NewSite) -> None:
        site = new_site()
        site.provider.protect_resource("/api", ["profile"], name="Notes <b>")
        make_resources(site, "/files")
        site.sign_in()
        assert re.search(r"Notes &lt;b&gt; . https://login\.example/api<", site.ask(resource=API).text)
        page = site.ask(resource=[API, FILES], scope="profile write").text
        assert page.index(API) < page.index(FILES)
        assert "For use at" not in site.ask(scope="mail").text

    def test_what_is_new_is_new_there(self, two: Site) -> None:
        two.tokens(resource=API, scope="profile")
        two.tokens(resource=FILES, scope="write")
        page = two.ask(resource=FILES, scope="profile write").text
        assert page.count('<strong class="new">') == 1

    @pytest.mark.spec("rfc8707", "2.1")
    def test_it_may_not_be_put_together(self, two: Site) -> None:
        """Who allowed one thing here and another there has not allowed the one there."""
        two.tokens(resource=API, scope="profile")
        two.tokens(resource=FILES, scope="write")
        assert two.ask(resource=FILES, scope="profile").status_code == 200
        assert two.ask(resource=API, scope="write").status_code == 200

    @pytest.mark.spec("rfc8707", "2.1")
    def test_a_page_allows_only_the_resource_that_it_showed(self, new_site: NewSite) -> None:
        """The scope belongs to another resource by the time that the user presses Allow."""
        store = MemoryStore()
        before, after = new_site(store=store), new_site(store=store)
        before.provider.protect_resource("/old", ["write"])
        after.provider.protect_resource("/new", ["write"])
        assert after.server.clock is after.clock
        before.add_client(secret=None)
        before.sign_in()
        page = before.ask(scope="write")
        assert "https://login.example/old" in page.text
        after.browser.set_cookie("session", before.browser.get_cookie("session").value)
        again = after.allow(page)
        assert again.status_code == 200
        assert "https://login.example/new" in again.text
        answer = after.redeem(answer_of(after.allow(again))["code"], client_id="web").get_json()
        assert audience_of(after, answer["access_token"]) == ("https://login.example/new",)

    def test_what_was_allowed_before_there_were_resources_is_for_none(self, new_site: NewSite) -> None:
        store = MemoryStore()
        before = new_site(store=store)
        before.add_client(secret=None)
        tokens = before.tokens(scope="profile")
        after = new_site(store=store)
        make_resources(after)
        after.sign_in()
        assert after.ask(scope="profile").status_code == 200, "it is for /api now"
        again = after.refresh(tokens["refresh_token"]).get_json()
        assert audience_of(after, again["access_token"]) == (API,)
        assert after.refresh(again["refresh_token"], resource=FILES).get_json()["error"] == "invalid_target"
        assert after.refresh(again["refresh_token"], resource=API).status_code == 200


@pytest.mark.spec("rfc8707", "2")
def test_a_test_may_name_the_resource_of_its_token(two: Site) -> None:
    for resource in ("/api", API):
        assert audience_of(two, issue_token(two.app, "ada", "profile", client="web", resource=resource)) == (API,)


class TestDefaultAudience:
    """One resource, /notes, which needs ``write``; nothing else in the application has a guard."""

    @pytest.fixture
    def notes(self, tmp_path: Any) -> Site:
        app = flask.Flask("notes", instance_path=str(tmp_path))
        app.config.update(
            SECRET_KEY="secret",
            OAUTH2_ISSUER="https://login.example",
            OAUTH2_SCOPES={name: name for name in ("profile", "mail", "write", "read", "offline_access")},
        )
        provider = OAuth2Provider(app, store=MemoryStore())
        provider.protect_resource("/notes", ["write"], step_up=["read"])
        app.add_url_rule("/notes", "notes", lambda: {"user": current_token.user_id})
        return Site(app, provider, Clock())

    def ask(self, site: Site, **form: Any) -> Any:
        return site.token("client_credentials", ("web", self.secret), **form)

    secret = ""

    def register(self, site: Site, *scope: str) -> None:
        self.secret = site.add_client(scope=scope)

    @pytest.mark.spec("rfc8707", "2.1")
    @pytest.mark.parametrize(
        ("scope", "granted"),
        [
            ("write offline_access", "write offline_access"),
            ("offline_access write profile", "offline_access write profile"),
            (None, "write offline_access profile read"),
            ("write read", "write read"),
        ],
    )
    def test_scopes_that_belong_to_no_resource_do_not_take_part(
        self, notes: Site, scope: str | None, granted: str
    ) -> None:
        self.register(notes, "write", "offline_access", "profile", "read")
        answer = self.ask(notes, scope=scope).get_json()
        assert answer["scope"] == granted
        assert notes.call(answer["access_token"], "/notes").status_code == 200

    @pytest.mark.spec("rfc6749", "3.3")
    @pytest.mark.parametrize("scope", [(), ("offline_access",)])
    def test_a_scope_that_opens_nothing_is_refused_with_the_fix(
        self, notes: Site, scope: tuple[str, ...], caplog: pytest.LogCaptureFixture
    ) -> None:
        self.register(notes, *scope)
        answer = self.ask(notes)
        assert (answer.status_code, answer.get_json()["error"]) == (400, "invalid_scope")
        assert "expected 'some of write'" in caplog.text
        assert "OAUTH2_DEFAULT_SCOPE" in caplog.text

    @pytest.mark.spec("rfc8707", "2.1")
    def test_a_resource_without_scopes_takes_any(self, tmp_path: Any) -> None:
        app = flask.Flask("notes", instance_path=str(tmp_path))
        app.config.update(
            SECRET_KEY="secret", OAUTH2_ISSUER="https://login.example", OAUTH2_SCOPES={"profile": "p", "mail": "m"}
        )
        provider = OAuth2Provider(app, store=MemoryStore())
        provider.protect_resource("/api")
        app.add_url_rule("/api", "api", provider.require_oauth(dict))
        site = Site(app, provider, Clock())
        self.register(site, "profile", "mail")
        for scope in (None, "profile", "mail profile"):
            token = self.ask(site, scope=scope).get_json()["access_token"]
            assert site.call(token, "/api").status_code == 200

    @pytest.mark.spec("rfc8707", "2.1")
    @pytest.mark.parametrize("scope", ["write mail profile", "write mail offline_access", "write mail"])
    def test_what_belongs_to_none_makes_no_token_of_use(self, notes: Site, scope: str) -> None:
        notes.provider.protect_resource("/mail", ["mail"])
        self.register(notes, *scope.split())
        assert self.ask(notes, scope=scope).get_json()["error"] == "invalid_target"
        assert self.ask(notes).get_json()["error"] == "invalid_target"

    def test_a_scope_of_another_application_is_for_no_resource_here(self, notes: Site) -> None:
        self.register(notes, "mail")
        assert audience_of(notes, self.ask(notes).get_json()["access_token"]) == ()

    def test_a_resource_that_needs_no_scope_takes_a_token_without(self, notes: Site) -> None:
        notes.provider.protect_resource("/open")
        self.register(notes)
        notes.app.add_url_rule("/open", "open", dict)
        assert notes.call(self.ask(notes).get_json()["access_token"], "/open").status_code == 200

    def test_so_does_a_guard_without_scope_outside(self, notes: Site) -> None:
        notes.app.add_url_rule("/me", "me", notes.provider.require_oauth(dict))
        self.register(notes)
        assert notes.call(self.ask(notes).get_json()["access_token"], "/me").status_code == 200

    @pytest.mark.spec("rfc8707", "2.1")
    def test_a_scope_that_is_spread_over_resources_needs_a_name(
        self, notes: Site, caplog: pytest.LogCaptureFixture
    ) -> None:
        notes.provider.protect_resource("/mail", ["mail"])
        self.register(notes, "write", "mail", "offline_access")
        answer = self.ask(notes)
        assert (answer.status_code, answer.get_json()["error"]) == (400, "invalid_target")
        assert "send the resource parameter" in caplog.text
        named = self.ask(notes, resource="https://login.example/mail")
        assert audience_of(notes, named.get_json()["access_token"]) == ("https://login.example/mail",)
