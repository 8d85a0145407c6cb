"""Wrong parts of an application are rejected when they are registered, and wrong return values never open a door."""

from __future__ import annotations

from typing import Any

import pytest

from flask_oauth2 import (
    Call,
    ConfigurationError,
    Endpoint,
    Response,
)
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
        if answer is wait:
            made = wait()
            made.close()  # nothing awaits it
            return made
        return answer

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
