"""An application's own clients, codes and tokens, as an application of flask-oauthlib kept them."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import flask
import pytest
from devices import Device, Person

from flask_oauth2 import Client, ConfigurationError, MemoryStore, OAuth2Provider, current_token, values
from flask_oauth2.settings import DEVICE_CODE
from oauth_site import CALLBACK, NOW, Site, make_site

SECRET = "a secret that the application keeps as plain text"


@dataclass
class Row:
    """What stands in a table of the application's own; ``table`` is where it is deleted from."""

    table: list[Any]
    client_id: str
    user: Any = None
    scopes: list[str] = field(default_factory=list)
    expires: datetime | None = None
    code: str = ""
    access_token: str = ""
    refresh_token: str | None = None
    redirect_uri: str | None = None

    def delete(self) -> None:
        self.table.remove(self)


@dataclass
class OwnClient:
    client_id: str = "web"
    client_secret: str | None = SECRET
    is_confidential: bool = True
    redirect_uris: list[str] = field(default_factory=lambda: [CALLBACK])
    default_scopes: list[str] = field(default_factory=lambda: ["profile", "mail"])
    user: Any = None


@dataclass
class Account:
    id: int
    name: str


@dataclass
class Ada:
    found: str
    id: str = "ada"


class Own:
    """The application's tables, and what its callbacks were called with."""

    def __init__(self) -> None:
        self.clients: dict[str, Any] = {"web": OwnClient()}
        self.grants: list[Row] = []
        self.tokens: list[Row] = []
        self.called: list[tuple[str, Any]] = []
        self.requests: list[Any] = []


@pytest.fixture
def own() -> Own:
    return Own()


@pytest.fixture
def moved(tmp_path: Any, own: Own) -> Site:
    """A site whose provider has all the callbacks of flask-oauthlib."""
    site = make_site(tmp_path, store=MemoryStore(), OAUTH2_PKCE_REQUIRED="public")
    provider = site.provider

    @provider.clientgetter
    def get_client(client_id: str) -> Any:
        return own.clients.get(client_id)

    @provider.grantgetter
    def get_grant(client_id: str, code: str) -> Any:
        own.called.append(("grantgetter", code))
        return next((row for row in own.grants if (row.client_id, row.code) == (client_id, code)), None)

    @provider.grantsetter
    def set_grant(client_id: str, code: Any, request: Any, *args: Any, **kwargs: Any) -> Any:
        own.requests.append(request)
        row = Row(own.grants, client_id, request.user, request.scopes, code=code["code"])
        row.redirect_uri = request.redirect_uri
        own.grants.append(row)

    @provider.tokengetter
    def get_token(access_token: str | None = None, refresh_token: str | None = None) -> Any:
        own.called.append(("tokengetter", access_token or refresh_token))
        name, key = ("access_token", access_token) if access_token else ("refresh_token", refresh_token)
        return next((row for row in own.tokens if getattr(row, name) == key), None)

    @provider.tokensetter
    def set_token(token: Any, request: Any, *args: Any, **kwargs: Any) -> None:
        own.requests.append(request)
        expires = datetime.fromtimestamp(NOW, UTC).replace(tzinfo=None) + timedelta(seconds=token["expires_in"])
        row = Row(own.tokens, request.client_id, request.user, token["scope"].split(), expires)
        row.access_token, row.refresh_token = token["access_token"], token.get("refresh_token")
        own.tokens.append(row)

    @provider.usergetter
    def get_user(username: str, password: str, client: Any, request: Any) -> Any:
        return Account(7, username) if password == "right" else None

    site.server.clock = site.clock
    return site


def pair(site: Site, **parameters: Any) -> dict[str, Any]:
    return site.tokens(SECRET, **parameters)


def key_of(value: str) -> str:
    return values.text(values.key(value))


class TestKeys:
    """The store, and so a callback, never sees a secret."""

    def test_callbacks_are_called_with_keys_in_place_of_values(self, moved: Site, own: Own) -> None:
        code = moved.authorize()["code"]
        assert [row.code for row in own.grants] == [key_of(code)]
        tokens = moved.redeem(code, ("web", SECRET)).get_json()
        assert [row.access_token for row in own.tokens] == [key_of(tokens["access_token"])]
        assert [row.refresh_token for row in own.tokens] == [key_of(tokens["refresh_token"])]
        moved.call(tokens["access_token"])
        moved.refresh(tokens["refresh_token"], SECRET)
        seen = {value for _, value in own.called}
        assert seen == {key_of(code), key_of(tokens["access_token"]), key_of(tokens["refresh_token"])}

    def test_what_a_setter_is_told(self, moved: Site, own: Own) -> None:
        moved.provider._parts.callbacks.userloader = lambda user_id: Account(1, user_id)
        pair(moved, scope="profile mail")
        for request in own.requests:
            assert request.client is own.clients["web"]
            assert request.client_id == "web"
            assert request.user == Account(1, "ada")
            assert request.user_id == "ada"
            assert request.scopes == ["profile", "mail"]
        assert [request.redirect_uri for request in own.requests] == [CALLBACK, None]
        assert own.tokens[0].scopes == ["profile", "mail"]

    def test_the_user_of_a_token_is_that_of_what_was_spent_for_it(self, moved: Site, own: Own) -> None:
        code = moved.authorize()["code"]
        own.grants[0].user = Ada("of the code")
        tokens = moved.redeem(code, ("web", SECRET)).get_json()
        assert own.tokens[0].user == Ada("of the code")
        own.tokens[0].user = Ada("of the token")
        refreshed = moved.refresh(tokens["refresh_token"], SECRET).get_json()
        assert own.tokens[1].user == Ada("of the token")
        own.tokens[1].user = "mallory"
        fresh = moved.refresh(refreshed["refresh_token"], SECRET)
        assert fresh.status_code == 200
        assert own.tokens[2].user == {"id": "ada", "name": "Ada"}, "a row of another user is not believed"

    def test_a_client_that_acts_for_itself_may_have_a_user(self, moved: Site, own: Own) -> None:
        own.clients["web"].user = Account(9, "owner")
        token = moved.token("client_credentials", ("web", SECRET)).get_json()["access_token"]
        assert own.tokens[0].user == Account(9, "owner")
        assert moved.call(token).get_json()["user"] is None


class TestEnd:
    """A getter that returns None ends what it was asked for."""

    def test_a_token_that_is_gone(self, moved: Site, own: Own) -> None:
        tokens = pair(moved)
        assert moved.is_alive(tokens["access_token"])
        own.tokens.clear()
        assert not moved.is_alive(tokens["access_token"])
        assert moved.refresh(tokens["refresh_token"], SECRET).get_json()["error"] == "invalid_grant"

    def test_a_code_that_is_gone(self, moved: Site, own: Own) -> None:
        code = moved.authorize()["code"]
        own.grants.clear()
        assert moved.redeem(code, ("web", SECRET)).get_json()["error"] == "invalid_grant"

    def test_a_client_that_is_gone(self, moved: Site, own: Own) -> None:
        own.clients.clear()
        assert moved.token("client_credentials", ("web", SECRET)).get_json()["error"] == "invalid_client"
        assert moved.ask().status_code == 400

    @pytest.mark.parametrize("nothing", [None, False, "", [], {}, (), 0, b""])
    def test_whatever_says_that_there_is_none(self, moved: Site, nothing: Any) -> None:
        tokens = pair(moved)
        moved.provider._parts.callbacks.tokengetter = lambda **_: nothing
        assert not moved.is_alive(tokens["access_token"])

    @pytest.mark.parametrize("field", ["revoked", "access_token_revoked_at"])
    def test_a_row_that_says_that_it_is_revoked(self, moved: Site, own: Own, field: str) -> None:
        tokens = pair(moved)
        moved.provider._parts.callbacks.tokengetter = lambda **_: {"scopes": ["profile"], field: 1}
        assert not moved.is_alive(tokens["access_token"])
        moved.provider._parts.callbacks.tokengetter = lambda **_: {"scopes": ["profile"], field: 0}
        assert moved.is_alive(tokens["access_token"])

    def test_what_the_application_has_ended_gives_no_sibling(self, moved: Site, own: Own) -> None:
        tokens = pair(moved)
        fresh = moved.refresh(tokens["refresh_token"], SECRET).get_json()
        own.tokens.clear()
        for refresh_token in (fresh["refresh_token"], tokens["refresh_token"]):
            assert moved.refresh(refresh_token, SECRET).get_json()["error"] == "invalid_grant"
        assert own.tokens == []

    @pytest.mark.spec("rfc7009", "2.1")
    def test_revocation_reaches_what_a_getter_does_not_know(self, moved: Site, own: Own) -> None:
        tokens = pair(moved)
        own.tokens[0].refresh_token = None
        assert moved.post("/revoke", ("web", SECRET), token=tokens["refresh_token"]).status_code == 200
        assert own.tokens
        assert not moved.is_alive(tokens["access_token"])

    @pytest.mark.spec("rfc6749", "6")
    def test_a_narrow_access_token_does_not_narrow_the_refresh_token(self, moved: Site, own: Own) -> None:
        tokens = pair(moved, scope="profile mail")
        narrow = moved.refresh(tokens["refresh_token"], SECRET, scope="mail").get_json()
        assert (narrow["scope"], own.tokens[-1].scopes) == ("mail", ["mail"])
        assert moved.refresh(narrow["refresh_token"], SECRET).get_json()["scope"] == "profile mail"

    def test_a_scope_that_was_narrowed(self, moved: Site, own: Own) -> None:
        tokens = pair(moved, scope="profile mail")
        own.tokens[0].scopes = ["mail", "write"]
        assert moved.call(tokens["access_token"]).get_json()["error"] == "insufficient_scope"
        assert moved.refresh(tokens["refresh_token"], SECRET).get_json()["scope"] == "mail"

    def test_an_end_that_comes_sooner(self, moved: Site, own: Own) -> None:
        tokens = pair(moved)
        own.tokens[0].expires = datetime.fromtimestamp(NOW, UTC)
        assert not moved.is_alive(tokens["access_token"])
        own.tokens[0].expires = datetime.fromtimestamp(NOW + 1, UTC)
        assert moved.is_alive(tokens["access_token"])
        own.tokens[0].expires = datetime.fromtimestamp(NOW + 10**7, UTC)
        moved.clock.forward(3601)
        assert not moved.is_alive(tokens["access_token"])

    def test_a_code_that_ends_sooner(self, moved: Site, own: Own) -> None:
        code = moved.authorize()["code"]
        own.grants[0].expires = datetime.fromtimestamp(NOW, UTC)
        assert moved.redeem(code, ("web", SECRET)).get_json()["error"] == "invalid_grant"

    def test_the_applications_own_code_is_deleted_once_it_is_spent(self, moved: Site, own: Own) -> None:
        pair(moved)
        assert own.grants == []

    def test_the_applications_own_token_is_deleted_when_it_is_revoked(self, moved: Site, own: Own) -> None:
        tokens = pair(moved)
        moved.post("/revoke", ("web", SECRET), token=tokens["access_token"])
        assert own.tokens == []
        tokens = pair(moved)
        moved.post("/revoke", ("web", SECRET), token=tokens["refresh_token"])
        assert own.tokens == []

    def test_a_signed_token_ends_with_its_row_too(self, moved: Site, own: Own) -> None:
        own.clients["web"] = {**vars(OwnClient()), "token_format": "signed"}
        moved.provider._parts.callbacks.tokensetter = lambda token, request: own.tokens.append(
            Row(own.tokens, "web", scopes=["profile"], access_token=token["access_token"])
        )
        token = moved.token("client_credentials", ("web", SECRET), scope="profile").get_json()["access_token"]
        assert token.startswith("ost_")
        assert moved.is_alive(token)
        own.tokens.clear()
        assert not moved.is_alive(token)


class TestSafety:
    """What security rests on stays in our store, whatever the callbacks do."""

    @pytest.mark.spec("rfc6749", "4.1.2")
    def test_a_code_is_good_once_though_the_application_keeps_it(self, moved: Site, own: Own) -> None:
        Row.delete, delete = lambda self: None, Row.delete  # type: ignore[method-assign]
        try:
            code = moved.authorize()["code"]
            tokens = moved.redeem(code, ("web", SECRET)).get_json()
            assert moved.redeem(code, ("web", SECRET)).get_json()["error"] == "invalid_grant"
        finally:
            Row.delete = delete  # type: ignore[method-assign]
        assert not moved.is_alive(tokens["access_token"])

    @pytest.mark.spec("rfc9700", "4.14.2")
    def test_a_refresh_token_that_comes_again_ends_the_family(self, moved: Site, own: Own) -> None:
        tokens = pair(moved)
        del own.tokens[0]  # as tokensetters do that leave a client one token
        own.tokens.append(Row(own.tokens, "web", scopes=["profile"], refresh_token=key_of(tokens["refresh_token"])))
        fresh = moved.refresh(tokens["refresh_token"], SECRET).get_json()
        own.tokens[:] = own.tokens[-1:]
        moved.clock.forward(31)
        assert moved.refresh(tokens["refresh_token"], SECRET).get_json()["error"] == "invalid_grant"
        assert not moved.is_alive(fresh["access_token"])

    @pytest.mark.spec("rfc7636", "4.6")
    def test_the_challenge_holds_though_the_application_does_not_keep_it(self, moved: Site) -> None:
        code = moved.authorize()["code"]
        answer = moved.redeem(code, ("web", SECRET), code_verifier="x" * 43)
        assert answer.get_json()["error"] == "invalid_grant"

    def test_a_token_that_only_the_application_knows_is_none(self, moved: Site, own: Own) -> None:
        own.tokens.append(Row(own.tokens, "web", scopes=["profile"], access_token=key_of("made elsewhere")))
        assert not moved.is_alive("made elsewhere")

    def test_a_user_who_withdraws_ends_it(self, moved: Site, own: Own) -> None:
        tokens = pair(moved)
        moved.server.store.behind.delete_consent("ada", "web", 10**12)
        assert own.tokens
        assert not moved.is_alive(tokens["access_token"])

    @pytest.mark.parametrize("kind", ["tokensetter", "grantsetter"])
    def test_what_a_setter_fails_to_keep_has_ended(
        self, moved: Site, own: Own, kind: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        def fail(*_: Any) -> None:
            raise RuntimeError("the application's database is away")

        setter = getattr(moved.provider._parts.callbacks, kind)
        setattr(moved.provider._parts.callbacks, kind, fail)
        code = moved.authorize()["code"] if kind == "tokensetter" else None
        with pytest.raises(RuntimeError, match="is away"):
            moved.redeem(code, ("web", SECRET)) if code else moved.authorize()
        setattr(moved.provider._parts.callbacks, kind, setter)
        if code:
            assert moved.redeem(code, ("web", SECRET)).get_json()["error"] == "invalid_grant"
        assert "used before" not in caplog.text, "no false alarm"

    def test_setters_run_after_the_commit(self, moved: Site, own: Own) -> None:
        found = []
        callbacks = moved.provider._parts.callbacks
        callbacks.tokensetter = lambda token, request: found.append(
            moved.server.store.behind.get_access(values.from_text(token["access_token"]))
        )
        pair(moved)
        assert found[0] is not None


class TestClients:
    """Objects of the application are accepted as they are."""

    @pytest.mark.parametrize(
        "found",
        [
            OwnClient(),
            vars(OwnClient()),
            {
                "client_id": "web",
                "client_secret": SECRET,
                "redirect_uris": f"{CALLBACK} https://other.example/",
                "scope": "profile",
            },
            {
                "client_id": "web",
                "client_secret": SECRET,
                "client_type": "confidential",
                "redirect_uris": [CALLBACK],
                "scopes": ["profile"],
            },
        ],
        ids=["object", "dict", "text", "client_type"],
    )
    def test_the_code_flow(self, moved: Site, own: Own, found: Any) -> None:
        own.clients["web"] = found
        assert moved.is_alive(pair(moved)["access_token"])
        assert moved.token("client_credentials", ("web", "wrong" * 8)).status_code == 401

    def test_our_own_record_is_one_too(self, moved: Site, own: Own) -> None:
        secret = site_client(moved)
        own.clients["web"] = moved.store.behind.get_client("web")
        assert moved.token("client_credentials", ("web", secret)).status_code == 200

    def test_a_public_client(self, moved: Site, own: Own) -> None:
        own.clients["web"] = OwnClient(client_secret=None, is_confidential=False)
        assert moved.is_alive(moved.tokens()["access_token"])
        assert moved.token("client_credentials", client_id="web").get_json()["error"] == "unauthorized_client"

    def test_a_short_secret_in_plain_text(self, moved: Site, own: Own) -> None:
        own.clients["web"] = OwnClient(client_secret="short")
        assert moved.token("client_credentials", ("web", "short")).status_code == 200
        assert moved.token("client_credentials", ("web", "other")).status_code == 401

    def test_names_of_rfc_7591(self, moved: Site, own: Own) -> None:
        own.clients["web"] = {
            "client_id": "web",
            "client_name": "Shop",
            "client_uri": "https://shop.example",
            "token_endpoint_auth_method": "client_secret_post",
            "client_secret": SECRET,
            "redirect_uris": [CALLBACK],
            "grant_types": ["authorization_code"],
            "response_types": ["code"],
            "scope": "profile",
            "client_id_issued_at": NOW,
        }
        client = moved.store.get_client("web")
        assert (client.name, client.auth_method, client.scope) == ("Shop", "client_secret_post", ("profile",))
        assert client.metadata == {"client_uri": "https://shop.example"}
        assert (client.grant_types, client.response_types) == (("authorization_code",), ("code",))
        assert client.created_at == NOW

    @pytest.mark.parametrize(
        "page",
        ["javascript:alert(1)", "https://a.example;sandbox/logo.png", "https://ada@a.example/", "http://a.example/"],
    )
    def test_pages_that_people_must_not_follow_are_left_out(self, moved: Site, own: Own, page: str) -> None:
        own.clients["web"] = {**vars(OwnClient()), "client_uri": page, "tos_uri": "https://a.example/tos"}
        assert moved.store.get_client("web").metadata == {"tos_uri": "https://a.example/tos"}

    @pytest.mark.parametrize(
        "uri",
        [
            "javascript:alert(1)//",
            "DATA:text/html,x",
            "vbscript:x",
            "filesystem:x",
            "//a.example/",
            "/logout",
            "https:out",
        ],
    )
    def test_redirect_uris_that_would_run_here_are_left_out(self, moved: Site, own: Own, uri: str) -> None:
        own.clients["web"] = OwnClient(redirect_uris=[uri, CALLBACK])
        assert moved.store.get_client("web").redirect_uris == (CALLBACK,)
        assert moved.ask(redirect_uri=uri).status_code == 400

    def test_the_name_of_a_missing_attribute_is_said(self, moved: Site, own: Own) -> None:
        own.clients["web"] = {"client_id": "web", "client_secret": SECRET}
        with pytest.raises(ConfigurationError, match="returned a dict without redirect_uris"):
            moved.store.get_client("web")
        own.clients["web"] = object()
        with pytest.raises(ConfigurationError, match="returned a object without client_id"):
            moved.store.get_client("web")

    @pytest.mark.parametrize("asked", ["other", "WEB"])
    def test_another_client_than_was_asked_for_is_none(self, moved: Site, own: Own, asked: str) -> None:
        own.clients[asked] = OwnClient()  # as a database finds it that takes upper and lower case for the same
        assert moved.token("client_credentials", (asked, SECRET)).get_json()["error"] == "invalid_client"

    @pytest.mark.parametrize("own_id", [5, UUID("12345678123456781234567812345678")])
    def test_an_id_may_be_a_number(self, moved: Site, own: Own, own_id: Any) -> None:
        own.clients[str(own_id)] = {**vars(OwnClient()), "client_id": own_id}
        assert moved.token("client_credentials", (str(own_id), SECRET)).status_code == 200

    def test_they_are_not_ours_to_change(self, moved: Site, own: Own) -> None:
        with pytest.raises(ConfigurationError, match="clientgetter"):
            moved.store.set_client(moved.store.get_client("web"))
        result = moved.app.test_cli_runner().invoke(args=["oauth2", "client", "list"])
        assert result.exit_code == 1
        assert "look where its clientgetter finds them" in result.output
        for command in ("create x", "update web --name x", "rotate-secret web", "delete web --yes"):
            result = moved.app.test_cli_runner().invoke(args=["oauth2", "client", *command.split()])
            assert result.exit_code == 1
            assert "look where its clientgetter finds them" in result.output
        with pytest.raises(ConfigurationError, match="clientgetter"):
            moved.store.delete_client("web", 10**12)

    def test_cures_say_where_the_clients_are(self, moved: Site, caplog: pytest.LogCaptureFixture) -> None:
        moved.token("client_credentials", ("web", SECRET), scope="write")
        assert "change the client in the database of the application's clientgetter" in caplog.text

    def test_a_record_is_looked_at_like_any_object(self, moved: Site, own: Own) -> None:
        client = Client(
            client_id="web",
            name="A\u202eB" + "x" * 200,
            redirect_uris=("javascript:alert(1)", CALLBACK),
            metadata={"logo_uri": "https://a.example;sandbox/l.png", "contacts": ["a@b.example"]},
        )
        own.clients["web"] = own.clients["other"] = client
        found = moved.store.get_client("web")
        assert found.redirect_uris == (CALLBACK,)
        assert found.metadata == {"contacts": ["a@b.example"]}
        assert found.name.startswith("ABx")
        assert len(found.name) == 100
        assert moved.store.get_client("other") is None

    def test_a_time_that_is_none_is_named(self, moved: Site, own: Own) -> None:
        own.clients["web"] = {**vars(OwnClient()), "created_at": "2024-01-01"}
        with pytest.raises(ConfigurationError, match="created_at"):
            moved.store.get_client("web")

    def test_a_hash_that_is_none_is_named(self, moved: Site, own: Own, caplog: pytest.LogCaptureFixture) -> None:
        own.clients["web"] = {**vars(OwnClient()), "secret": "gehéim"}
        assert moved.token("client_credentials", ("web", "geheim")).status_code == 401
        assert "attribute secret is not a hash" in caplog.text

    def test_an_id_that_no_database_takes_is_not_asked_for(self, moved: Site, own: Own) -> None:
        own.clients["a\0b"] = OwnClient("a\0b")
        assert moved.token("client_credentials", ("a\0b", SECRET)).status_code == 401


def site_client(moved: Site) -> str:
    """A client of our own store, behind the callbacks."""
    callbacks = moved.server.store._callbacks
    getter, callbacks.clientgetter = callbacks.clientgetter, None
    try:
        return moved.add_client()
    finally:
        callbacks.clientgetter = getter


class TestCurrentToken:
    """What a guarded view sees: :data:`flask_oauth2.current_token`, and ``request.oauth`` as in flask-oauthlib."""

    @pytest.fixture
    def seen(self, moved: Site) -> list[Any]:
        seen: list[Any] = []

        @moved.app.get("/seen")
        @moved.provider.require_oauth("profile")
        def view() -> str:
            oauth = flask.request.oauth  # type: ignore[attr-defined]
            seen.extend([oauth.user, oauth.client, oauth.scopes, oauth.access_token, current_token.user])
            return ""

        return seen

    def test_by_the_applications_own_token(self, moved: Site, own: Own, seen: list[Any]) -> None:
        tokens = pair(moved)
        moved.provider._parts.callbacks.userloader = None
        ada = own.tokens[0].user = {"id": "ada"}
        assert moved.call(tokens["access_token"], "/seen").status_code == 200
        assert seen == [ada, own.clients["web"], ["profile"], own.tokens[0], ada]

    def test_a_row_of_another_user_is_not_taken_for_this_one(self, moved: Site, own: Own, seen: list[Any]) -> None:
        tokens = pair(moved)
        moved.provider._parts.callbacks.userloader = None
        own.tokens[0].user = {"id": "mallory"}
        with pytest.raises(ConfigurationError, match="userloader"):
            moved.call(tokens["access_token"], "/seen")

    def test_by_the_userloader(self, moved: Site, own: Own, seen: list[Any]) -> None:
        moved.call(pair(moved)["access_token"], "/seen")
        assert seen[0] == seen[-1] == {"id": "ada", "name": "Ada"}

    def test_without_callbacks_there_is_no_token_of_the_applications_own(self, site: Site) -> None:
        @site.app.get("/own")
        @site.provider.require_oauth()
        def view() -> dict[str, Any]:
            return {"own": current_token.access_token, "client": current_token.client.client_id}

        token = site.tokens(site.add_client())["access_token"]
        assert site.call(token, "/own").get_json() == {"own": None, "client": "web"}


@pytest.mark.parametrize("name", ["clientgetter", "grantgetter", "grantsetter", "tokengetter", "tokensetter"])
def test_a_callback_is_registered_once(name: str) -> None:
    provider = OAuth2Provider(store=MemoryStore())
    function = getattr(provider, name)(lambda *_, **__: None)
    assert getattr(provider, name)(function) is function, "the same one again"
    with pytest.raises(ConfigurationError, match=f"{name} is registered already, by .*registered_once"):
        getattr(provider, name)(lambda *_, **__: None)


@pytest.mark.parametrize("name", ["clientgetter", "tokensetter"])
def test_a_callback_comes_before_the_first_request(site: Site, name: str) -> None:
    site.http.get("/.well-known/oauth-authorization-server")
    with pytest.raises(ConfigurationError, match="before the first request"):
        getattr(site.provider, name)(print)


def test_callbacks_may_be_asynchronous(site: Site) -> None:
    alive: set[str] = set()

    @site.provider.tokensetter
    async def keep(token: Any, request: Any) -> None:
        alive.add(token["access_token"])

    @site.provider.tokengetter
    async def find(access_token: str | None = None, refresh_token: str | None = None) -> Any:
        return {"scopes": ["profile"]} if access_token in alive else None

    @site.app.get("/async")
    @site.provider.require_oauth("profile")
    async def view() -> Any:
        return {"user": current_token.user}

    site.provider._parts.callbacks.userloader = None

    @site.provider.userloader
    async def load_user(user_id: str) -> Any:
        return user_id.title()

    token = site.tokens(site.add_client())["access_token"]
    assert site.is_alive(token)
    assert site.call(token, "/async").get_json() == {"user": "Ada"}
    alive.clear()
    assert not site.is_alive(token)
    assert site.call(token, "/async").status_code == 401


def test_an_object_that_is_awaited_when_called_is_run_to_its_end(site: Site) -> None:
    class Getter:
        async def __call__(self, access_token: str | None = None, refresh_token: str | None = None) -> Any:
            return None

    site.provider.tokengetter(Getter())
    assert not site.is_alive(site.tokens(site.add_client())["access_token"])


def test_what_would_have_to_be_awaited_is_no_token(site: Site) -> None:
    class Later:
        def __await__(self) -> Any:
            yield

    site.provider.tokengetter(lambda **_: Later())
    token = site.tokens(site.add_client())["access_token"]
    with pytest.raises(TypeError, match="register the asynchronous function itself"):
        site.call(token)


def test_what_is_not_decorated_falls_through_to_the_store(site: Site) -> None:
    found: list[Any] = []
    site.provider.tokensetter(lambda token, request: found.append((request.client.client_id, request.user)))
    tokens = site.tokens(site.add_client())
    assert site.is_alive(tokens["access_token"])
    assert found == [("web", {"id": "ada", "name": "Ada"})]


@pytest.mark.spec("rfc8628", "3.5")
def test_device_codes_are_ours_and_what_comes_of_them_is_told(moved: Site, own: Own) -> None:
    """The application's functions know codes of the authorization endpoint, and no others."""
    moved.app.config["OAUTH2_GRANT_TYPES"] = ["device_code", "refresh_token"]
    moved.app.extensions["flask_oauth2"].servers = None  # built anew, by the option
    own.clients["tv"] = Client(client_id="tv", auth_method="none", grant_types=(DEVICE_CODE,), scope=("profile",))
    device = Device(moved)
    assert device.error() == "authorization_pending"
    Person(moved).decide(device.user_code)
    token = device.poll().get_json()["access_token"]
    assert {name for name, _ in own.called} == set()
    assert own.grants == []
    assert [(row.client_id, row.access_token) for row in own.tokens] == [("tv", key_of(token))]
    assert device.error() == "invalid_grant"


def test_the_password_grant_asks_the_usergetter(tmp_path: Any) -> None:
    site = make_site(tmp_path, store=MemoryStore(), OAUTH2_GRANT_TYPES=["password", "refresh_token"])
    site.provider.usergetter(lambda username, password, client, request: {"id": 7} if password == "right" else None)
    secret = site.add_client(grant_types=("password", "refresh_token"), response_types=())
    good = site.token("password", ("web", secret), username="ada", password="right")
    assert good.status_code == 200
    assert site.call(good.get_json()["access_token"]).get_json()["user"] == "7"
    assert site.token("password", ("web", secret), username="ada", password="x").get_json()["error"] == "invalid_grant"
