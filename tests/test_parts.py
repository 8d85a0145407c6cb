"""Wrong parts of an application are rejected when they are registered, and wrong return values never open a door."""

from __future__ import annotations

import secrets
from dataclasses import replace
from typing import Any

import pytest
from flask import Flask

from flask_oauth2 import (
    AccessToken,
    Call,
    ConfigurationError,
    Credentials,
    Endpoint,
    InvalidClient,
    Issued,
    Issuer,
    MemoryStore,
    OAuth2Provider,
    Response,
    TokenGrant,
    TokenRequest,
    settings,
)
from flask_oauth2.context import Context
from flask_oauth2.testing import register_client
from oauth_site import Site

METADATA = "/.well-known/oauth-authorization-server"


def make_endpoint(**fields: Any) -> Endpoint:
    fields = {"name": "e", "path": "/e", "specification": "example", "respond": lambda call: Response(200), **fields}
    return Endpoint(**fields)


class Push:
    """An endpoint as a class."""

    def __call__(self, call: Call) -> Response:
        return Response(201)


async def wait(*_: object) -> Any:
    """Return nothing, if something awaits it."""


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"name": ""}, "the name of an endpoint must be an identifier such as introspection, not ''"),
        ({"name": 3}, "must be an identifier such as introspection, not 3"),
        ({"name": "a.b"}, "must be an identifier such as introspection, not 'a.b'"),
        ({"name": "token"}, "token is registered already"),
        ({"name": "applications"}, "applications is registered already"),
        ({"name": "static"}, "static is registered already"),
        ({"path": "e"}, "the path of the endpoint e must begin with /, not 'e'"),
        ({"path": None}, "the path of the endpoint e must begin with /, not None"),
        ({"path": "/token"}, "the endpoint e has the path of token, /oauth/token: choose another path"),
        ({"path": "/authorize"}, "has the path of authorize"),
        ({"path": "/developer/<name>"}, "has the path of developer_client"),
        ({"path": METADATA, "is_well_known": True}, "has the path of metadata"),
        ({"authentication": "clients"}, "authentication of the endpoint e must be one of '', 'client', 'confidential'"),
        ({"authentication": True}, "must be one of '', 'client', 'confidential', not True"),
        ({"cors": "client"}, "cors of the endpoint e must be one of '', 'clients', 'any', not 'client'"),
        ({"is_well_known": "no"}, "is_well_known of the endpoint e must be True or False, not 'no'"),
        ({"cors": "*"}, "must be one of '', 'clients', 'any', not '\\*'"),
        ({"authentication": "client", "requires": ["a"]}, "requires of the endpoint e must be a frozenset of names"),
        ({"authentication": "client", "requires": "a"}, "must be a frozenset of names, not str"),
        ({"authentication": "client", "requires": frozenset({1})}, "must contain names only"),
        ({"requires": frozenset({"a"})}, "requires of the endpoint e has no effect without authentication"),
        ({"methods": "POST"}, "methods of the endpoint e must be a tuple of names, not str"),
        ({"methods": ()}, "must name HTTP methods such as POST, not \\(\\)"),
        ({"methods": ("post",)}, "must name HTTP methods such as POST, not \\('post',\\)"),
        ({"respond": None}, "the endpoint e needs a respond function"),
        ({"respond": "x"}, "respond of the endpoint e must be a function, not str"),
        ({"respond": Push}, "Push is a class: register an instance, Push\\(\\)"),
        ({"respond": lambda: Response(200)}, "respond of the endpoint e must take the arguments \\(call\\)"),
        ({"respond": wait}, "respond of the endpoint e must not be asynchronous"),
        ({"is_offered": wait}, "is_offered of the endpoint e must not be asynchronous"),
        ({"is_offered": True}, "is_offered of the endpoint e must be a function, not bool"),
        ({"describe": lambda _: {}}, "describe of the endpoint e must take the arguments \\(server, url\\)"),
    ],
)
def test_a_wrong_endpoint_is_rejected_at_registration(site: Site, fields: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        site.provider.register_endpoint(make_endpoint(**fields))


@pytest.mark.parametrize(
    ("part", "said"),
    [
        ("x", "register_endpoint\\(\\) takes an Endpoint, not str"),
        (None, "register_endpoint\\(\\) takes an Endpoint, not NoneType"),
        (Endpoint, "Endpoint is a class: register an instance, Endpoint\\(\\)"),
    ],
)
def test_only_an_endpoint_is_registered_as_an_endpoint(site: Site, part: Any, said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        site.provider.register_endpoint(part)


def test_an_endpoint_takes_any_callable(site: Site) -> None:
    site.provider.register_endpoint(make_endpoint(respond=Push(), is_offered=bool))
    assert site.post("/e", None).status_code == 201


def test_two_endpoints_have_different_names_and_paths(site: Site) -> None:
    site.provider.register_endpoint(make_endpoint())
    with pytest.raises(ConfigurationError, match="the endpoint f has the path of e, /oauth/e"):
        site.provider.register_endpoint(make_endpoint(name="f"))
    assert "f" not in site.server.capabilities.endpoints


def test_an_endpoint_is_registered_once(site: Site) -> None:
    site.provider.register_endpoint(make_endpoint())
    with pytest.raises(ConfigurationError, match="e is registered already"):
        site.provider.register_endpoint(make_endpoint(path="/other", respond=lambda call: Response(201)))


@pytest.mark.parametrize("answer", [None, {"a": 1}, "text", (200, "text")])
def test_an_endpoint_that_returns_no_response_is_an_error_with_its_name(site: Site, answer: object) -> None:
    def respond(_: Call) -> Any:
        return answer

    site.provider.register_endpoint(make_endpoint(respond=respond))
    with pytest.raises(
        ConfigurationError, match=f"respond of the endpoint e must return a Response, not {type(answer).__name__}"
    ):
        site.post("/e", None)


@pytest.mark.parametrize("method", ["POST", "OPTIONS"])
def test_an_endpoint_that_is_not_offered_answers_404(site: Site, method: str) -> None:
    for name, offered in (("closed", False), ("open", True)):
        site.provider.register_endpoint(
            make_endpoint(
                name=name,
                path=f"/{name}",
                cors="any",
                is_offered=lambda _, offered=offered: offered,
                describe=lambda _, url, name=name: {f"{name}_endpoint": url},
            )
        )
    for name, status in (("closed", 404), ("open", 204 if method == "OPTIONS" else 200)):
        headers = {"Origin": "https://app.example", "Access-Control-Request-Method": "POST"}
        assert site.http.open(f"/oauth/{name}", method=method, headers=headers).status_code == status
    document = site.http.get(METADATA).get_json()
    assert "open_endpoint" in document
    assert "closed_endpoint" not in document


@pytest.mark.parametrize("answer", [None, "yes", 1, wait])
def test_an_endpoint_that_does_not_know_if_it_is_offered_is_closed(site: Site, answer: Any) -> None:
    def is_offered(_: object) -> Any:
        return return_coroutine() if answer is wait else answer

    site.provider.register_endpoint(make_endpoint(is_offered=is_offered))
    for call in (lambda: site.post("/e", None), lambda: site.http.get(METADATA)):
        with pytest.raises(ConfigurationError, match="is_offered of the endpoint e must return True or False, not"):
            call()


@pytest.mark.parametrize(
    ("members", "said"),
    [
        (None, "must return a mapping, not NoneType"),
        (["e"], "must return a mapping, not list"),
        ({"issuer": "https://evil.example"}, "must not replace issuer"),
        ({"token_endpoint": "https://evil.example/token"}, "must not replace token_endpoint"),
        ({"scopes_supported": ["admin"]}, "must not replace scopes_supported"),
    ],
)
def test_an_endpoint_describes_its_own_members_only(site: Site, members: Any, said: str) -> None:
    site.provider.register_endpoint(make_endpoint(describe=lambda server, url: members))
    with pytest.raises(ConfigurationError, match=f"describe of the endpoint e {said}"):
        site.http.get(METADATA)


def test_the_url_of_a_well_known_endpoint_has_no_prefix(site: Site) -> None:
    site.provider.register_endpoint(
        make_endpoint(
            path="/.well-known/example", is_well_known=True, describe=lambda server, url: {"example_document": url}
        )
    )
    assert site.http.post("/.well-known/example").status_code == 200
    assert site.http.get(METADATA).get_json()["example_document"] == "https://login.example/.well-known/example"


class Mesh:
    """A client authentication method: a header that names the client."""

    name = "mesh"
    scheme: Any = None
    accepts: Any = frozenset({"mesh"})

    def present(self, request: Any, form: Any) -> Any:
        named = request.headers.get("Mesh", "")
        return Credentials(named) if named else None

    def verify(self, server: Any, client: Any, credentials: Any, now: float) -> Any:
        if client is None:
            raise InvalidClient("client authentication failed")


class Seal:
    """A binding: a header that a token request and each call repeat."""

    name = "seal"
    token_type: Any = "Bearer"
    members: Any = frozenset({"seal"})

    def prove(self, request: Any, context: Any) -> Any:
        return {"seal": request.headers.get("Seal", "")}

    def verify(self, access: AccessToken, request: Any, context: Any) -> Any:
        return None


class Random:
    """A reference format."""

    name = "own"

    def generate(self, timestamp: bytes, client: Any, resource: Any) -> Any:
        return secrets.token_urlsafe(24)


class Facts:
    """A self-contained format, which reads nothing."""

    name = "own"

    def write(self, access: Any, client: Any, resource: Any) -> Any:
        return "facts"

    def read(self, value: str) -> Any:
        return None


class Scheme:
    """A token type."""

    name = "Own"

    def read(self, credentials: str) -> Any:
        return credentials


class NoResponse:
    """A response type."""

    name = "nothing"
    grant_type = "authorization_code"
    mode = "query"

    def respond(self, server: Any, approval: Any, answer: Any) -> Any:
        return {}, ()


PARTS: dict[type, str] = {
    Mesh: "register_client_auth_method",
    Seal: "register_binding",
    Random: "register_token_format",
    Facts: "register_token_format",
    Scheme: "register_token_type",
    NoResponse: "register_response_type",
}


def register(site: Site, kind: type, **members: Any) -> None:
    """Register a part with other attributes or methods."""
    getattr(site.provider, PARTS[kind])(type(kind.__name__, (kind,), members)())


@pytest.mark.parametrize("kind", PARTS)
def test_a_class_is_not_registered_as_a_part(site: Site, kind: type) -> None:
    said = f"{kind.__name__} is a class: register an instance, {kind.__name__}\\(\\)"
    with pytest.raises(ConfigurationError, match=said):
        getattr(site.provider, PARTS[kind])(kind)


@pytest.mark.parametrize(
    ("kind", "members", "said"),
    [
        (Mesh, {"name": ""}, "the name of Mesh must be a name of ASCII letters"),
        (Mesh, {"name": "a b"}, "without spaces, not 'a b'"),
        (Mesh, {"accepts": "mesh"}, "accepts of Mesh must be a frozenset of names, not str"),
        (Mesh, {"accepts": None}, "accepts of Mesh must be a frozenset of names, not NoneType"),
        (Mesh, {"accepts": frozenset({"x"})}, "accepts of Mesh must contain its own name 'mesh'"),
        (Mesh, {"scheme": 3}, "the scheme of Mesh, if it is not None, must be a name of ASCII letters"),
        (Mesh, {"scheme": "a b"}, "the scheme of Mesh"),
        (Mesh, {"needs_secret": "no"}, "needs_secret of Mesh must be True or False"),
        (Mesh, {"is_registrable": None}, "is_registrable of Mesh must be True or False"),
        (Seal, {"members": ["seal"]}, "members of Seal must be a frozenset of names, not list"),
        (Seal, {"members": "seal"}, "members of Seal must be a frozenset of names, not str"),
        (Seal, {"members": None}, "members of Seal must be a frozenset of names, not NoneType"),
        (Seal, {"members": frozenset({1})}, "members of Seal must contain names only"),
        (Seal, {"token_type": None}, "the token_type of Seal must be a name"),
        (Random, {"name": "a b"}, "the name of Random must be a name"),
        (Facts, {"name": ""}, "the name of Facts must be a name"),
        (Scheme, {"name": "a b"}, "the name of Scheme must be a name"),
        (Scheme, {"name": 'a"b'}, "the name of Scheme must be a name"),
        (NoResponse, {"name": "a-b"}, "the name of NoResponse must be a name"),
        (NoResponse, {"grant_type": None}, "the grant_type of NoResponse must be a name"),
        (NoResponse, {"mode": "form_post"}, "mode of NoResponse must be 'query' or 'fragment', not 'form_post'"),
    ],
)
def test_a_part_with_wrong_attributes_is_rejected_at_registration(
    site: Site, kind: type, members: dict[str, Any], said: str
) -> None:
    with pytest.raises(ConfigurationError, match=said):
        register(site, kind, **members)


@pytest.mark.parametrize(
    ("kind", "members", "said"),
    [
        (Seal, {"token_type": "Nope"}, "the token_type Nope of the binding seal is unknown: register it with"),
        (Mesh, {"scheme": "basic"}, "methods client_secret_basic and mesh both read the scheme basic"),
        (Mesh, {"scheme": "Basic"}, "methods client_secret_basic and mesh both read the scheme basic"),
    ],
)
def test_parts_that_do_not_fit_together_are_rejected_with_the_first_request(
    site: Site, kind: type, members: dict[str, Any], said: str
) -> None:
    register(site, kind, **members)
    with pytest.raises(ConfigurationError, match=said):
        site.http.get(METADATA)


def test_two_bindings_do_not_verify_the_same_member(site: Site) -> None:
    register(site, Seal)
    register(site, Seal, name="other")
    with pytest.raises(ConfigurationError, match="the bindings seal and other both verify seal: remove one of them"):
        site.http.get(METADATA)


@pytest.mark.parametrize(
    ("found", "said"),
    [
        ("abc", r"Mesh.present\(\) must return Credentials or None, not str"),
        (("a", "b"), r"Mesh.present\(\) must return Credentials or None, not tuple"),
        (True, r"Mesh.present\(\) must return Credentials or None, not bool"),
        (Credentials(None), r"must return Credentials with a client_id, not NoneType"),  # type: ignore[arg-type]
    ],
)
def test_an_authentication_method_that_presents_no_credentials(site: Site, found: object, said: str) -> None:
    register(site, Mesh, present=lambda self, request, form: found)
    site.add_client(auth_method="mesh", secret=None)
    with pytest.raises(ConfigurationError, match=said):
        site.token("client_credentials", None, client_id="web")


@pytest.mark.parametrize(
    ("proved", "said"),
    [
        ("x", r"Seal.prove\(\) must return a mapping or None, not str"),
        (False, r"Seal.prove\(\) must return a mapping or None, not bool"),
        (True, r"Seal.prove\(\) must return a mapping or None, not bool"),
        ({"seal": "a", "jkt": "b"}, r"Seal.prove\(\) must return names of its members only, not jkt"),
        ({"seal": b"1"}, r"Seal.prove\(\) must return JSON values, not others: .* bytes"),
        ({"seal": float("nan")}, r"Seal.prove\(\) must return JSON values"),
    ],
)
def test_a_binding_that_proves_no_confirmation_issues_no_token(site: Site, proved: object, said: str) -> None:
    register(site, Seal, prove=lambda self, request, context: proved)
    auth = ("web", site.add_client())
    with pytest.raises(ConfigurationError, match=said):
        site.token("client_credentials", auth)


@pytest.mark.parametrize(
    ("kind", "method"), [(Random, "generate"), (Facts, "write")], ids=["reference", "self-contained"]
)
@pytest.mark.parametrize(
    ("value", "said"),
    [
        (None, "must return text, not NoneType"),
        (b"x", "must return text, not bytes"),
        (("a", "b"), "must return text, not tuple"),
        ("", "must return letters, digits .* not an empty text"),
        ("a b", "must return letters, digits .* not other characters"),
        ("caf\xe9", "must return letters, digits .* not other characters"),
    ],
)
def test_a_format_that_writes_no_value_issues_no_token(
    site: Site, kind: type, method: str, value: object, said: str
) -> None:
    register(site, kind, **{method: lambda self, *_: value})
    auth = ("web", site.add_client(token_format="own"))
    with pytest.raises(ConfigurationError, match=rf"{kind.__name__}.{method}\(\) {said}") as raised:
        site.token("client_credentials", auth)
    if value == "a b":
        assert "a b" not in str(raised.value)


@pytest.mark.parametrize("found", [{"sub": 1}, True, "text"])
def test_a_format_that_reads_something_else_than_a_token_accepts_no_token(site: Site, found: object) -> None:
    register(site, Facts, read=lambda self, value: found)
    said = rf"Facts.read\(\) must return an AccessToken or None, not {type(found).__name__}"
    with pytest.raises(ConfigurationError, match=said):
        site.call("facts")


def test_a_value_that_a_format_cannot_parse_is_of_another_format(site: Site, caplog: Any) -> None:
    register(site, Facts, read=lambda self, value: int(value))
    assert site.call("facts").status_code == 401
    assert "Facts.read() raised ValueError for a token, which counts as a value of another format" in caplog.text
    assert "invalid literal" not in caplog.text, "the message contains the value"
    assert site.is_alive(
        site.token("client_credentials", ("web", site.add_client()), scope="profile").get_json()["access_token"]
    )


@pytest.mark.parametrize("value", [None, b"x", 7])
def test_a_token_type_that_reads_no_text_accepts_no_token(site: Site, value: object) -> None:
    register(site, Scheme, read=lambda self, credentials: value)
    with pytest.raises(ConfigurationError, match=rf"Scheme.read\(\) must return text, not {type(value).__name__}"):
        site.http.get("/api/me", headers={"Authorization": "Own abc"})


def test_credentials_that_a_token_type_cannot_parse_are_malformed(site: Site) -> None:
    register(site, Scheme, read=lambda self, credentials: str(int(credentials)))
    answer = site.http.get("/api/me", headers={"Authorization": "Own abc"})
    assert (answer.status_code, answer.get_json()["error"]) == (401, "invalid_token")


@pytest.mark.parametrize(
    ("result", "said"),
    [
        (None, "must return two values, parameters and rows, not NoneType"),
        ({}, "must return two values, parameters and rows, not dict"),
        (([], ()), "must return a mapping of text as parameters, not 'list'"),
        (({"a": 1}, ()), "must return a mapping of text as parameters, not 'dict'"),
        (({}, None), "must return a tuple of Grant and Token as rows, not 'NoneType'"),
        (({}, ("row",)), "must return a tuple of Grant and Token as rows, not 'tuple'"),
    ],
)
def test_a_response_type_that_returns_something_else_sends_no_answer(site: Site, result: object, said: str) -> None:
    register(site, NoResponse, respond=lambda self, server, approval, answer: result)
    site.add_client(response_types=("nothing",))
    site.sign_in()
    page = site.ask(response_type="nothing", code_challenge=None)
    with pytest.raises(ConfigurationError, match=rf"NoResponse.respond\(\) {said}"):
        site.allow(page)


@pytest.mark.parametrize(
    ("name", "wrong", "arguments"),
    [
        ("clientgetter", lambda: None, "client_id"),
        ("grantgetter", lambda client_id: None, "client_id=, code="),
        ("grantsetter", lambda client_id, code: None, "client_id, code, request"),
        ("tokengetter", lambda access_token: None, "refresh_token="),
        ("tokensetter", lambda token: None, "token, request"),
        ("usergetter", lambda username, password: None, "username, password, client, request"),
        ("registration_policy", lambda metadata: None, "metadata, request"),
        ("developer_policy", lambda: None, "user"),
        ("user_is_active", lambda: None, "user_id"),
        ("access_token_claims", lambda access: None, "access, client"),
        ("userloader", lambda: None, "user_id"),
        ("current_user", lambda user: None, ""),
        ("issuergetter", lambda request: None, ""),
        ("token_handler", lambda issued: None, ""),
        ("register_answer_members", lambda: None, "issued"),
        ("authorize_handler", lambda grant: None, None),
    ],
)
def test_a_wrong_callback_is_rejected_at_registration(site: Site, name: str, wrong: Any, arguments: Any) -> None:
    register = getattr(site.provider, name)
    with pytest.raises(ConfigurationError, match="must be a function, not str"):
        register("x")
    said = rf"must take the arguments \({arguments}\)"
    if arguments is None:
        said = "does not accept the arguments of a consent view: missing a required argument: 'grant'"
    with pytest.raises(ConfigurationError, match=said):
        register(wrong)

    async def wait(*, one_more: str) -> None:
        """Require an argument that nothing passes."""

    with pytest.raises(ConfigurationError, match="arguments"):
        register(wait)


def new_provider() -> tuple[Flask, OAuth2Provider]:
    """Return an application and a provider without callbacks."""
    app = Flask("own")
    app.config.update(SECRET_KEY="secret", TESTING=True, OAUTH2_SCOPES={"profile": "Your name", "mail": "Your mail"})
    return app, OAuth2Provider(app, store=MemoryStore())


def test_callbacks_may_have_the_signatures_of_flask_oauthlib() -> None:
    (_, provider), everything = new_provider(), lambda *args, **kwargs: None
    provider.tokengetter(lambda access_token=None, refresh_token=None: None)
    provider.grantgetter(lambda client_id, code, *args, **kwargs: None)
    provider.usergetter(lambda username, password, *args, **kwargs: None)
    provider.tokensetter(lambda token, request, *args, **kwargs: None)
    provider.authorize_handler(lambda *args, **kwargs: True)
    provider.clientgetter(everything)
    provider.grantsetter(everything)
    provider.userloader(str)  # a callable without a signature


def make_grant(**fields: Any) -> Any:
    """Return a function that makes a token grant with other fields, or an authorization with other fields."""
    changed = {name.removeprefix("authorization_"): fields.pop(name) for name in list(fields) if "_" in name}

    def grant(request: TokenRequest) -> TokenGrant:
        authorization = replace(request.authorization("ada", "profile mail"), **changed)
        return TokenGrant(**{"authorization": authorization, **fields})

    return grant


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"authorization": "ada"}, "authorization must be an Authorization, not str"),
        ({"authorization": None}, "authorization must be an Authorization, not NoneType"),
        ({"authorization_client_id": "other"}, "authorization must be of the client that sent the request"),
        ({"authorization_scope": "profile"}, "the scope of authorization must be a tuple of scope values"),
        ({"authorization_context": Context(claims={"a": object()})}, "claims of authorization must have JSON values"),
        ({"spend": "code"}, r"spend must be Grant \| Token \| None, not str"),
        ({"refresh": "yes"}, "refresh must be bool, not str"),
        ({"scope": "profile"}, "scope must be a tuple of scope values, such as"),
        ({"scope": ("profile", 7)}, "scope must be a tuple of scope values"),
        ({"scope": ("profile", "write")}, "scope exceeds that of the authorization by write"),
        ({"lifetime": "600"}, "lifetime must be a number of seconds, or None"),
        ({"lifetime": -5}, "lifetime must be a number of seconds, or None"),
        ({"lifetime": True}, "lifetime must be a number of seconds, or None"),
        ({"format": 7}, r"format must be str \| None, not int"),
        ({"answer": [1]}, "answer must be Mapping, not list"),
        ({"answer": {"a": b"1"}}, "answer must have JSON values: .* bytes"),
        ({"confirmation": "key"}, r"confirmation must be Mapping \| None, not str"),
    ],
)
def test_a_token_grant_with_a_wrong_field_issues_no_token(site: Site, fields: dict[str, Any], said: str) -> None:
    site.provider.grant_type("urn:example:own")(make_grant(**fields))
    auth = ("web", site.add_client(grant_types=("urn:example:own",)))
    with pytest.raises(ConfigurationError, match=f"the grant urn:example:own returned .* wrong field: {said}"):
        site.token("urn:example:own", auth)


@pytest.mark.parametrize(
    ("name", "function", "said"),
    [
        ("urn:example:own", "x", "the grant urn:example:own must be a function, not str"),
        ("urn:example:own", lambda: None, "the grant urn:example:own must take the arguments \\(request\\)"),
        (None, lambda request: None, "must be an absolute URI"),
        (7, lambda request: None, "must be an absolute URI"),
    ],
)
def test_a_wrong_grant_is_rejected_at_registration(site: Site, name: Any, function: Any, said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        site.provider.grant_type(name)(function)


@pytest.mark.parametrize("found", [[1], "text", True, {"a": object()}])
def test_additional_members_that_cannot_be_sent_consume_no_credential(site: Site, found: Any) -> None:
    wrong = [found]

    @site.provider.register_answer_members
    def add_members(issued: Issued) -> Any:
        return wrong[0]

    secret, code = site.add_client(), site.authorize()["code"]
    with pytest.raises(ConfigurationError, match=r"add_members must return (a mapping or None, not|JSON values)"):
        site.redeem(code, ("web", secret))
    wrong[0] = None
    assert site.redeem(code, ("web", secret)).status_code == 200


def test_several_functions_of_one_name_add_members(site: Site) -> None:
    for_two = (lambda issued: {"one": 1}, lambda issued: {"two": 2})
    site.provider.register_answer_members(for_two[0])
    with pytest.raises(ConfigurationError, match="registered already"):
        site.provider.register_answer_members(for_two[1])  # on the same line
    site.provider.register_answer_members(
        lambda issued: {"three": 3},
    )
    answer = site.token("client_credentials", ("web", site.add_client())).get_json()
    assert (answer["one"], answer["three"]) == (1, 3)


def return_coroutine(*_: object) -> Any:
    """Return what an asynchronous function returns that nothing awaits."""
    made = wait()
    made.close()
    return made


@pytest.mark.parametrize("name", ["user_is_active", "userloader"])
def test_a_coroutine_does_not_make_a_user_active(name: str) -> None:
    app, provider = new_provider()
    getattr(provider, name)(return_coroutine)
    provider.grant_type("urn:example:own")(make_grant())
    client = register_client(app, grant_types=["urn:example:own"])
    with pytest.raises(ConfigurationError, match=f"{name} returned what must be awaited: register the asynch"):
        app.test_client().post("/oauth/token", data={"grant_type": "urn:example:own"}, auth=client.auth)


def test_a_coroutine_does_not_make_a_user_a_developer(new_site: Any) -> None:
    site = new_site(OAUTH2_DEVELOPER_PAGES=True)
    site.provider.developer_policy(return_coroutine)
    site.sign_in()
    with pytest.raises(ConfigurationError, match="developer_policy returned what must be awaited"):
        site.browser.get("/oauth/developer/new")


@pytest.mark.parametrize(
    ("issuer", "said"),
    [
        ("https://a.example", "the issuergetter must return an Issuer or None, not str"),
        (True, "the issuergetter must return an Issuer or None, not bool"),
        ({"id": "a"}, "the issuergetter must return an Issuer or None, not dict"),
        ({}, "the issuergetter must return an Issuer or None, not dict"),
        (Issuer(id="", url="https://a.example"), "the id of an issuer must be text that is not empty, not ''"),
        (Issuer(id=7, url="https://a.example"), "the id of an issuer must be text that is not empty, not 7"),  # type: ignore[arg-type]
        (Issuer(id=["a"], url="https://a.example"), "the id of an issuer must be text"),  # type: ignore[arg-type]
        (Issuer(id="a" * 65, url="https://a.example"), "must have at most 64 printable ASCII characters, not 'aaa"),
        (Issuer(id="\xe9", url="https://a.example"), "must have at most 64 printable ASCII characters, not '\xe9'"),
        (Issuer(id="a", url=None), "the url of the issuer a must be text, not None"),  # type: ignore[arg-type]
        (Issuer(id="a", url=""), "the url of the issuer a must be text, not ''"),
        (Issuer(id="a", url="http://a.example"), "the issuer a: OAUTH2_ISSUER must begin with https://"),
        (Issuer(id="a", url="https://a.example?x=1"), "the issuer a: OAUTH2_ISSUER must be a URL without query"),
        (Issuer(id="a", url="https://a.example", settings=None), "settings of the issuer a must be a dict"),  # type: ignore[arg-type]
        (Issuer(id="a", url="https://a.example", arguments={"n": 7}), "arguments of the issuer a must be a dict"),  # type: ignore[dict-item]
        (Issuer(id="a", url="https://a.example", arguments="n"), "arguments of the issuer a must be a dict"),  # type: ignore[arg-type]
    ],
)
def test_a_wrong_issuer_is_an_error_with_its_name(issuer: Any, said: str) -> None:
    app, provider = new_provider()
    provider.issuergetter(lambda: issuer)
    with pytest.raises(ConfigurationError, match=said):
        app.test_client().get(METADATA)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"OAUTH2_ISSUER": "https://b.example"}, "OAUTH2_ISSUER .* of the issuer a has no effect: set Issuer"),
        ({"OAUTH2_ACESS_TOKEN_LIFETIME": 5}, "did you mean OAUTH2_ACCESS_TOKEN_LIFETIME"),
        ({"ACCESS_TOKEN_LIFETIME": 5}, "did you mean OAUTH2_ACCESS_TOKEN_LIFETIME"),
        ({"SESSION_COOKIE_NAME": "x"}, "it is not an option of flask_oauth2"),
        ({7: "x"}, "it is not an option of flask_oauth2"),
        ({"SECRET_KEY": "z"}, "SECRET_KEY .* has no effect, because all issuers share it: set it in app.config"),
        ({"OAUTH2_DATABASE_URI": "sqlite:///x"}, "because all issuers share it"),
        ({"OAUTH2_METRICS": "prometheus"}, "because all issuers share it"),
        ({"OAUTH2_ACCESS_TOKEN_LIFETIME": "x"}, "the issuer a: OAUTH2_ACCESS_TOKEN_LIFETIME must be a whole number"),
    ],
)
def test_a_wrong_setting_of_an_issuer_is_an_error(options: Any, said: str) -> None:
    app, provider = new_provider()
    provider.issuergetter(lambda: Issuer(id="a", url="https://a.example", settings=options))
    with pytest.raises(ConfigurationError, match=said):
        app.test_client().get(METADATA)


def test_options_of_all_issuers_exist() -> None:
    assert set(settings.OPTIONS) > settings.OF_ALL_ISSUERS


@pytest.mark.parametrize(
    ("store", "said"),
    [
        (object(), "object needs the method get_client\\(\\) of Store: add it to the class"),
        (MemoryStore, "MemoryStore is a class: register an instance, MemoryStore\\(\\)"),
        (
            type("Old", (MemoryStore,), {"issue": lambda self, spend, records, now: True})(),
            "Old.issue\\(\\) must take the arguments \\(spend, records, now, grace_period\\)",
        ),
        (type("Wrong", (MemoryStore,), {"get_access": wait})(), "Wrong.get_access\\(\\) must not be asynchronous"),
        (
            type("Wrong", (MemoryStore,), {"poll": lambda self, grant: True})(),
            "Wrong.poll\\(\\) must take the arguments \\(grant, now, interval\\)",
        ),
        (
            type("Wrong", (MemoryStore,), {"check_health": lambda self: iter(())})(),
            "Wrong.check_health\\(\\) must take the arguments \\(now\\)",
        ),
    ],
)
def test_a_wrong_store_is_rejected_with_the_provider(store: Any, said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        OAuth2Provider(store=store)
