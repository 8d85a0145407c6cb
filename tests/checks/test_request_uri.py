"""``request_uri``: the name of a request that the server has saved, and of no other."""

from __future__ import annotations

import re
from html import unescape
from typing import Any
from urllib.parse import parse_qs, parse_qsl, urlencode, urlsplit

import pytest

from flask_oauth2 import Authorization, Grant, MemoryStore, OAuth2Error, values, web
from flask_oauth2.checks.request_uri import PREFIX
from flask_oauth2.endpoints.authorization import CHECKS, AuthorizationRequest, save, validate
from flask_oauth2.http.messages import Params
from oauth_site import CALLBACK, CHALLENGE, NOW, VERIFIER, Site, answer_of, make_site

PUSHED = {
    "response_type": "code",
    "client_id": "web",
    "redirect_uri": CALLBACK,
    "scope": "profile mail",
    "state": "st-1",
    "code_challenge": CHALLENGE,
    "code_challenge_method": "S256",
}


@pytest.fixture
def site(tmp_path: Any) -> Site:
    return make_site(tmp_path, store=MemoryStore())


def push(site: Site, secret: str = "", client_id: str = "web", **parameters: Any) -> Any:
    form = {name: value for name, value in (PUSHED | {"client_id": client_id} | parameters).items() if value}
    return site.http.post("/oauth/par", data=form, auth=(client_id, secret) if secret else None)


def form_of(page: Any) -> dict[str, str]:
    found = re.search(r'name="ticket" value="([^"]+)"', page.text)
    assert found is not None
    return {"ticket": unescape(found[1]), "decision": "allow"}


def visit(site: Site, request_uri: str, client_id: str | None = "web", **more: str) -> Any:
    query = {"client_id": client_id, "request_uri": request_uri, **more}
    return site.browser.get("/oauth/authorize", query_string={name: value for name, value in query.items() if value})


class TestPushed:
    """RFC 9126."""

    @pytest.mark.spec("rfc9126", "4")
    @pytest.mark.spec("rfc9126", "5")
    def test_a_pushed_request_is_answered_once(self, site: Site) -> None:
        secret = site.add_client()
        pushed = push(site, secret)
        assert pushed.status_code == 201
        uri = pushed.get_json()["request_uri"]
        assert uri.startswith("urn:ietf:params:oauth:request_uri:oar_")
        site.sign_in()
        page = visit(site, uri)
        assert "Read your mail" in page.text
        answer = answer_of(site.allow(page))
        assert (answer["state"], answer["iss"]) == ("st-1", "https://login.example")
        tokens = site.redeem(answer["code"], ("web", secret)).get_json()
        assert tokens["scope"] == "profile mail"
        again = visit(site, uri)
        assert (again.status_code, again.location) == (400, None)
        assert "this authorization request has already been completed" in again.text

    def test_it_survives_the_login_page(self, site: Site) -> None:
        uri = push(site, site.add_client()).get_json()["request_uri"]
        back = parse_qs(urlsplit(visit(site, uri, scope="write").location).query)["next"][0]
        query = dict(parse_qsl(urlsplit(back).query))
        assert query.pop("flask_oauth2_sent_at")
        assert query == {"client_id": "web", "request_uri": uri}
        site.sign_in()
        assert "code" in answer_of(site.allow(site.browser.get(back)))

    def test_who_began_in_time_has_time_to_sign_in_and_to_decide(self, site: Site) -> None:
        uri = push(site, site.add_client()).get_json()["request_uri"]
        back = parse_qs(urlsplit(visit(site, uri).location).query)["next"][0]
        site.clock.forward(1800)
        site.sign_in()
        page = site.browser.get(back)
        site.clock.forward(1799)
        assert "this request has expired" in visit(site, uri).text, "it is begun anew"
        other = site.app.test_client()
        site.sign_in(browser=other)
        other.get("/oauth/applications")
        assert site.ask(other).status_code == 200, "the session has its ID"
        assert "this request has expired" in other.get(back).text, "in another browser"
        assert "this request has expired" in site.browser.get(back.replace("sent_at=", "sent_at=A")).text
        assert "code" in answer_of(site.allow(page))

    def test_but_not_for_ever(self, site: Site) -> None:
        uri = push(site, site.add_client()).get_json()["request_uri"]
        site.sign_in()
        page = visit(site, uri)
        site.clock.forward(3600)
        assert "this request has expired" in site.browser.post("/oauth/consent", data=form_of(page)).text

    def test_only_the_pushed_parameters_count(self, site: Site) -> None:
        secret = site.add_client()
        uri = push(site, secret, scope="profile").get_json()["request_uri"]
        site.sign_in()
        page = visit(site, uri, scope="write", redirect_uri="https://evil.example/", state="other", prompt="none")
        assert "Write in your name" not in page.text
        answer = answer_of(site.allow(page))
        assert answer["state"] == "st-1"
        assert site.redeem(answer["code"], ("web", secret)).get_json()["scope"] == "profile"

    @pytest.mark.parametrize("at", [59, 60, 10**6])
    @pytest.mark.spec("rfc9126", "4")
    def test_it_expires(self, site: Site, at: int) -> None:
        uri = push(site, site.add_client()).get_json()["request_uri"]
        site.sign_in()
        site.clock.forward(at)
        answer = visit(site, uri)
        assert answer.status_code == (200 if at < 60 else 400)
        assert ("this request has expired" in answer.text) is (at >= 60)
        assert answer.location is None

    @pytest.mark.parametrize(
        ("parameters", "error"),
        [
            ({"client_id": "other"}, "invalid_request"),
            ({"redirect_uri": "https://evil.example/"}, "invalid_request"),
            ({"response_type": None}, "invalid_request"),
            ({"response_type": "token"}, "unsupported_response_type"),
            ({"response_mode": "web_message"}, "invalid_request"),
            ({"code_challenge": None}, "invalid_request"),
            ({"code_challenge": "short"}, "invalid_request"),
            ({"scope": "unknown"}, "invalid_scope"),
            ({"prompt": "none login"}, "invalid_request"),
            ({"state": ["a", "b"]}, "invalid_request"),
            ({"request_uri": f"{PREFIX}oar_x"}, "invalid_request"),
            ({"request_uri": "https://client.example/request"}, "invalid_request"),
        ],
    )
    @pytest.mark.spec("rfc9126", "2")
    @pytest.mark.spec("rfc9126", "2.1")
    @pytest.mark.spec("rfc9126", "2.3")
    def test_it_is_checked_as_at_the_authorization_endpoint(
        self, site: Site, parameters: dict[str, Any], error: str
    ) -> None:
        secret = site.add_client()
        answer = site.http.post(
            "/oauth/par",
            data={name: value for name, value in (PUSHED | parameters).items() if value},
            auth=("web", secret),
        )
        assert answer.get_json()["error"] == error
        assert 400 <= answer.status_code < 402

    def test_neither_browser_nor_user_takes_part(self, site: Site) -> None:
        secret = site.add_client()
        for prompt in ("none", "login", "consent", "select_account"):
            assert push(site, secret, prompt=prompt).status_code == 201

    @pytest.mark.spec("rfc9126", "2.1")
    def test_the_client_names_itself(self, site: Site) -> None:
        secret = site.add_client()
        site.add_client("other")
        form = {name: value for name, value in PUSHED.items() if name != "client_id"}
        assert site.http.post("/oauth/par", data=form, auth=("web", secret)).get_json()["error"] == "invalid_request"
        with site.app.test_request_context(method="POST", data=PUSHED):
            http = web.read()
            other = site.store.get_client("other")
            with pytest.raises(OAuth2Error, match="not that of the client that authenticated"):
                validate(site.server, http.form, http, other)
            assert validate(site.server, http.form, http, site.store.get_client("web")).scope == ("profile", "mail")

    @pytest.mark.spec("rfc9126", "2.1")
    def test_a_secret_is_not_saved_with_the_request(self, site: Site) -> None:
        secret = site.add_client(auth_method="client_secret_post")
        uri = site.http.post("/oauth/par", data=PUSHED | {"client_secret": secret}).get_json()["request_uri"]
        saved = site.store.get_grant(values.key(uri.removeprefix(PREFIX)), "request_uri")
        assert dict(parse_qsl(saved.parameters["query"])) == PUSHED
        assert saved.parameters["client_id"] == "web"


class TestForeign:
    """A ``request_uri`` that is not the client's."""

    @pytest.fixture(autouse=True)
    def client(self, site: Site) -> None:
        site.add_client()
        site.sign_in()

    def is_rejected(self, site: Site, answer: Any) -> bool:
        return bool((answer.status_code, answer.location) == (400, None) and "invalid_request_uri" in answer.text)

    @pytest.mark.spec("rfc9126", "2.2")
    def test_another_client_cannot_use_it(self, site: Site) -> None:
        secret = site.add_client("other")
        uri = push(site, secret, "other").get_json()["request_uri"]
        assert self.is_rejected(site, visit(site, uri))
        assert visit(site, uri, "nobody").status_code == 400
        assert visit(site, uri, None).status_code == 400
        assert visit(site, uri, "other").status_code == 200

    def test_a_value_of_another_kind_is_no_request(self, site: Site) -> None:
        name, key = values.generate("oac", values.timestamp(NOW))
        authorization = Authorization(id="family", client_id="web", user_id="ada", scope=("profile",))
        code = Grant(key=key, kind="code", expires_at=int(NOW) + 600, authorization=authorization)
        form = Grant(key=values.key("form"), kind="form", expires_at=int(NOW) + 600, parameters={"client_id": "web"})
        site.store.issue(None, [code, form], int(NOW))
        for value in (name, "form", "nonsense", "", "\N{BULLET}" * 100, "A" * 1000):
            assert self.is_rejected(site, visit(site, PREFIX + value))
        assert site.store.get_grant(key, "code").used_at is None

    @pytest.mark.parametrize("uri", ["https://client.example/request.jwt", "oar_x", "urn:ietf:params:oauth:x", "//"])
    def test_the_client_learns_that_its_own_are_not_supported(self, site: Site, uri: str) -> None:
        answer = answer_of(site.ask(request_uri=uri))
        assert (answer["error"], answer["state"]) == ("request_uri_not_supported", "st-1")
        assert answer_of(visit(site, uri))["error"] == "request_uri_not_supported"

    def test_two_are_rejected(self, site: Site) -> None:
        answer = site.ask(request_uri=[PREFIX + "a", PREFIX + "b"])
        assert (answer.status_code, answer.location) == (400, None)

    def test_a_request_in_a_saved_request_is_not_followed(self, site: Site) -> None:
        inner = push(site, site.add_client("other"), "other").get_json()["request_uri"]
        with site.app.app_context():
            uri = save(site.server, Params(urlencode({**PUSHED, "request_uri": inner}).encode()), 60)
        page = visit(site, uri)
        assert "Allow web?" in page.text


def test_a_draft_is_completed_check_by_check(site: Site) -> None:
    site.add_client()
    with site.app.test_request_context(query_string=PUSHED):
        http = web.read()
        draft = AuthorizationRequest(http.parameters, http)
        for check in CHECKS:
            draft = check(draft, site.server)
        assert draft == validate(site.server, http.parameters, http)._replace(params=draft.params)
    assert (draft.client.client_id, draft.redirect_uri, draft.state) == ("web", CALLBACK, "st-1")
    assert (draft.response_types, draft.response_mode, draft.challenge) == (("code",), "query", CHALLENGE)
    assert (draft.scope, draft.resource, draft.prompt, draft.saved) == (("profile", "mail"), (), frozenset(), None)
    assert VERIFIER not in repr(draft)
