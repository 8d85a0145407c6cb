"""What a developer types of a client: read into one, with what is wrong beside each field.

Whoever registers a client so gets the grants in which a person decides, and the scope that anybody's client may have.
What the operator gave a client beside stays with it, and what was taken away from it does not come back.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace

from .. import uris
from ..errors import ConfigurationError
from ..records import Client
from ..scopes import Scope
from ..server import AuthorizationServer
from ..settings import DEVICE_CODE
from . import registration, rules
from .validators import is_page

log = logging.getLogger("flask_oauth2")

Typed = Mapping[str, str]
"""The fields of the form by name, those that are empty left out; a box that is ticked has any value."""

REGISTERED_BY = "developer"
"""The ``registered_by`` of these clients."""

KINDS = {
    "server": ("client_secret_basic", "web"),
    "browser": ("none", "web"),
    "native": ("none", "native"),
}
"""How a client of each kind authenticates, and its ``application_type``."""

LONGEST_URI = 2048
"""Characters of a redirect URI or the URL of a page."""

MOST_URIS = 20
"""Redirect URIs of one client."""

_FIELDS = {"client_name": "name", "redirect_uris": "redirect_uris", "scope": "scope"}
"""The fields of the form, by what :mod:`.rules` calls them."""


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong with a field. ``code`` says it by a word that the page knows, ``detail`` in English."""

    code: str
    detail: str = ""


def check_settings(server: AuthorizationServer) -> None:
    """Raise :exc:`ConfigurationError` where ``OAUTH2_DEVELOPER_PAGES`` is on and developers could register nothing."""
    if server.callbacks.clientgetter is not None:
        raise ConfigurationError(
            "OAUTH2_DEVELOPER_PAGES is True, but clients come from the application's clientgetter, where the pages "
            "can register none: leave one of the two out"
        )
    if not {"authorization_code", DEVICE_CODE} & set(server.settings.grant_types):
        raise ConfigurationError(
            "OAUTH2_DEVELOPER_PAGES is True, but there is no grant for the clients of developers: name "
            "authorization_code or device_code in OAUTH2_GRANT_TYPES"
        )
    if not server.open_scopes:
        log.warning(
            "OAUTH2_DEVELOPER_PAGES is True, but there is no scope that developers may choose: name what their "
            "clients may ask for in OAUTH2_REGISTRATION_SCOPES"
        )


def kind_of(client: Client) -> str:
    """The kind of a client that is registered, which stays."""
    if not client.is_public:
        return "server"
    return "native" if client.application_type == "native" else "browser"


def choices(client: Client | None, server: AuthorizationServer) -> Scope:
    """The words to choose from: what anybody's client may ask for, and what this one was given beside."""
    known, held = server.settings.scopes, client.scope if client else ()
    denied = client.denied.get("scope", ()) if client else ()
    words = dict.fromkeys((*server.open_scopes, *held))
    return tuple(word for word in words if (not known or word in known) and word not in denied)


def offered_grants(client: Client | None, server: AuthorizationServer) -> list[str]:
    """Those in which a person decides, without what the operator has taken from this client."""
    denied = client.denied.get("grant_types", ()) if client else ()
    offered = server.settings.grant_types
    return [name for name in registration.OPEN_GRANTS if name in offered and name not in denied]


def field_names(client: Client | None, server: AuthorizationServer) -> list[str]:
    """The names of all fields."""
    boxes = [f"scope.{word}" for word in choices(client, server)]
    return ["name", "kind", "redirect_uris", "device", *rules.PAGES, *boxes]


def fill(client: Client | None, server: AuthorizationServer) -> dict[str, str]:
    """What is in the form at first: of a new client, nothing but the default scope."""
    if client is None:
        default = server.settings.default_scope
        return {f"scope.{word}": "on" for word in choices(None, server) if word in default}
    typed = {"name": client.name, "kind": kind_of(client), "redirect_uris": "\n".join(client.redirect_uris)}
    typed |= {name: str(client.metadata[name]) for name in rules.PAGES if name in client.metadata}
    typed |= {f"scope.{word}": "on" for word in client.scope}
    return typed | ({"device": "on"} if DEVICE_CODE in client.grant_types else {})


def read(typed: Typed, before: Client, server: AuthorizationServer) -> tuple[Client, dict[str, Problem]]:
    """The client as typed, in place of ``before``, and what is wrong by field; that of no field under no name."""
    problems: dict[str, Problem] = {}
    client = replace(before, name=typed.get("name", "").strip())
    if not client.name:
        problems["name"] = Problem("missing")
    if not before.client_id:  # a new one, which has no kind yet
        kind = typed.get("kind", "")
        if kind not in KINDS:
            problems["kind"] = Problem("missing")
        auth_method, application_type = KINDS.get(kind, KINDS["native"])  # the last is refused the least
        client = replace(client, auth_method=auth_method, application_type=application_type)
    client = _with_grants(replace(client, redirect_uris=_lines(typed)), typed, before, server)
    problems |= _problems_of_uris(client, server)
    pages = {name: typed[name].strip() for name in rules.PAGES if typed.get(name, "").strip()}
    problems |= {name: Problem("page") for name, page in pages.items() if len(page) > LONGEST_URI or not is_page(page)}
    kept = {name: value for name, value in before.metadata.items() if name not in rules.PAGES}
    scope = tuple(word for word in choices(before, server) if f"scope.{word}" in typed)
    client = replace(client, scope=scope, metadata={**kept, **pages})
    return client, _with_those_of_rules(problems, client, server)


def _lines(typed: Typed) -> tuple[str, ...]:
    """The redirect URIs, one a line, each once."""
    lines = (line.strip() for line in typed.get("redirect_uris", "").splitlines())
    return tuple(dict.fromkeys(line for line in lines if line))


def _with_grants(client: Client, typed: Typed, before: Client, server: AuthorizationServer) -> Client:
    """The grants that go with what was typed, beside those that only the operator gives."""
    asked = {
        "authorization_code": bool(client.redirect_uris),
        DEVICE_CODE: "device" in typed,
        "refresh_token": not before.client_id or "refresh_token" in before.grant_types,
    }
    grants = [name for name in offered_grants(before, server) if asked.get(name)]
    if grants == ["refresh_token"]:
        grants = []
    grants += [name for name in before.grant_types if name not in registration.OPEN_GRANTS]
    own = rules.default_response_types(registration.OPEN_GRANTS, server)
    given = [text for text in before.response_types if text not in own]
    response_types = (*rules.default_response_types(tuple(grants), server), *given)
    return replace(client, grant_types=tuple(grants), response_types=tuple(dict.fromkeys(response_types)))


def _problems_of_uris(client: Client, server: AuthorizationServer) -> dict[str, Problem]:
    """Of the first URI that may not be registered; and of none where one is needed."""
    if not client.grant_types:
        has_uris = "authorization_code" in offered_grants(client, server)
        return {"redirect_uris" if has_uris else "device": Problem("missing")}
    if len(client.redirect_uris) > MOST_URIS or any(len(uri) > LONGEST_URI for uri in client.redirect_uris):
        return {"redirect_uris": Problem("many")}
    for uri in client.redirect_uris:
        try:
            uris.check_registration(uri)
        except ValueError as error:
            return {"redirect_uris": Problem("uri", f"{uri} {error}")}
    return {}


def _with_those_of_rules(
    problems: dict[str, Problem], client: Client, server: AuthorizationServer
) -> dict[str, Problem]:
    """Beside what was found already what :mod:`.rules` says; what follows from it only where nothing else is wrong."""
    if rules.needs_secret(client, server) and client.secret is None:
        client = replace(client, secret="made when all is well")
    found = dict(problems)
    for rule in rules.RULES:
        try:
            rule(client, server)
        except rules.InvalidMetadata as error:
            field = _FIELDS.get(error.field, "")
            if field or not problems:
                found.setdefault(field, Problem("other", str(error) if not field else error.reason))
    return found
