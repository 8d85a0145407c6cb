"""The form of the developer pages: convert a client to form fields, and form fields to a client.

A client that a developer registers may use the grants that require the user's consent, and the scope of unverified
clients. If the operator added further values, the form leaves them in place. The form never restores values that the
operator denied.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from ..errors import ConfigurationError
from ..http import redirects
from ..records import Client
from ..scopes import Scope
from ..server import AuthorizationServer
from ..settings import DEVICE_CODE
from . import metadata, registration, rules
from .metadata import Member, Party
from .rules import registrable_methods
from .value_types import EMPTY, LONGEST_TEXT, MOST_ITEMS, TEXTS

log = logging.getLogger("flask_oauth2")

Typed = Mapping[str, str]
"""The non-empty fields of the form by name. A selected checkbox has any value."""

REGISTERED_BY = "developer"
"""The ``registered_by`` of these clients."""

KINDS = {
    "server": ("client_secret_basic", "web"),
    "browser": ("none", "web"),
    "native": ("none", "native"),
    "key": ("private_key_jwt", "web"),
}
"""The client authentication method and the ``application_type`` of each kind of client."""

_OWN_FIELDS = {"client_name": "name", "redirect_uris": "redirect_uris", "scope": "scope"}
"""The members that have handwritten form fields, with the names of the fields."""


@dataclass(frozen=True, slots=True)
class Problem:
    """A problem of a field: a ``code`` that the page translates, and a ``detail`` in English."""

    code: str
    detail: str = ""


def check_settings(server: AuthorizationServer) -> None:
    """Raise :exc:`ConfigurationError` if developers could not register any client. The pages are enabled."""
    if server.callbacks.clientgetter is not None:
        raise ConfigurationError(
            "OAUTH2_DEVELOPER_PAGES is True, but the pages cannot register clients in the application's clientgetter. "
            "Remove the clientgetter or OAUTH2_DEVELOPER_PAGES"
        )
    if not {"authorization_code", DEVICE_CODE} & set(server.settings.grant_types):
        raise ConfigurationError(
            "OAUTH2_DEVELOPER_PAGES is True, but no grant type is available to the clients of developers. Add "
            "authorization_code or device_code to OAUTH2_GRANT_TYPES"
        )
    if not server.open_scopes:
        log.warning(
            "OAUTH2_DEVELOPER_PAGES is True, but developers have no scope to choose. List the scope values that their "
            "clients may request in OAUTH2_REGISTRATION_SCOPES"
        )


def kind_of(client: Client) -> str:
    """Return the kind of a registered client, which never changes."""
    if not client.is_public:
        return "key" if client.auth_method == KINDS["key"][0] else "server"
    return "native" if client.application_type == "native" else "browser"


def offered_kinds(server: AuthorizationServer) -> list[str]:
    """Return the kinds of clients whose authentication method the server has."""
    methods = registrable_methods(server)
    return [kind for kind, (auth_method, _) in KINDS.items() if auth_method in methods]


def choices(client: Client | None, server: AuthorizationServer) -> Scope:
    """Return the scope values to choose from: those of unverified clients and those that this client already has."""
    known, held = server.settings.scopes, client.scope if client else ()
    denied = client.denied.get("scope", ()) if client else ()
    offered = dict.fromkeys((*server.open_scopes, *held))
    return tuple(value for value in offered if (not known or value in known) and value not in denied)


def offered_grants(client: Client | None, server: AuthorizationServer) -> list[str]:
    """Return the grant types that require the user's consent, without those that the operator denied to this client."""
    denied = client.denied.get("grant_types", ()) if client else ()
    offered = server.settings.grant_types
    return [name for name in registration.OPEN_GRANTS if name in offered and name not in denied]


def further_members() -> list[Member]:
    """Return the members whose form fields are generated from their type."""
    return [member for member in metadata.settable_by(Party.DEVELOPER) if member.name not in _OWN_FIELDS]


def labels() -> dict[str, str]:
    """Return the English labels of the members by member name."""
    return {member.name: member.label for member in metadata.settable_by(Party.DEVELOPER)}


def field_names(client: Client | None, server: AuthorizationServer) -> list[str]:
    """Return the names of all form fields."""
    boxes = [f"scope.{value}" for value in choices(client, server)]
    return ["name", "kind", "redirect_uris", "device", *(member.name for member in further_members()), *boxes]


def fill(client: Client | None, server: AuthorizationServer) -> dict[str, str]:
    """Return the form fields for a client. The fields of a new client contain only the default scope."""
    if client is None:
        default = server.settings.default_scope
        return {f"scope.{value}": "on" for value in choices(None, server) if value in default}
    typed = {"name": client.name, "kind": kind_of(client), "redirect_uris": "\n".join(client.redirect_uris)}
    values = {member: member.read(client) for member in further_members()}
    typed |= {member.name: member.type.write_field(value) for member, value in values.items() if value not in EMPTY}
    typed |= {f"scope.{value}": "on" for value in client.scope}
    return typed | ({"device": "on"} if DEVICE_CODE in client.grant_types else {})


def read(typed: Typed, before: Client, server: AuthorizationServer) -> tuple[Client, dict[str, Problem]]:
    """Return the client that replaces ``before``, and the problems by field. General problems have an empty name."""
    problems: dict[str, Problem] = {}
    client = replace(before, name=typed.get("name", "").strip())
    if not client.name:
        problems["name"] = Problem("missing")
    if not before.client_id:  # a new client has no kind yet
        kind = typed.get("kind", "")
        if kind not in offered_kinds(server):
            problems["kind"] = Problem("missing")
        auth_method, application_type = KINDS.get(kind, KINDS["native"])  # the kind with the fewest rules
        client = replace(client, auth_method=auth_method, application_type=application_type)
    client = _with_grants(replace(client, redirect_uris=_lines(typed)), typed, before, server)
    problems |= _problems_of_uris(client, server)
    scope = tuple(value for value in choices(before, server) if f"scope.{value}" in typed)
    client, found = _with_further(replace(client, scope=scope), typed)
    return client, _with_those_of_rules(problems | found, client, server)


def _with_further(client: Client, typed: Typed) -> tuple[Client, dict[str, Problem]]:
    """Return the client with the members whose form fields are generated, and their problems."""
    values: dict[str, Any] = {}
    problems: dict[str, Problem] = {}
    for member in further_members():
        value = member.type.parse_field(typed.get(member.name, ""))
        try:
            values[member.name] = None if value is None else member.type.parse(value)
        except ValueError as error:
            values[member.name] = value
            problems[member.name] = Problem("page") if member.is_own_page else Problem("other", str(error))
    return metadata.assign(client, further_members(), values), problems


def _lines(typed: Typed) -> tuple[str, ...]:
    """Return the redirect URIs, one per line of the field, without duplicates."""
    return tuple(TEXTS.parse_field(typed.get("redirect_uris", "")) or ())


def _with_grants(client: Client, typed: Typed, before: Client, server: AuthorizationServer) -> Client:
    """Return the client with the grant types of the form and those that only the operator can add."""
    requested = {
        "authorization_code": bool(client.redirect_uris),
        DEVICE_CODE: "device" in typed,
        "refresh_token": not before.client_id or "refresh_token" in before.grant_types,
    }
    grants = [name for name in offered_grants(before, server) if requested.get(name)]
    if grants == ["refresh_token"]:
        grants = []
    grants += [name for name in before.grant_types if name not in registration.OPEN_GRANTS]
    own = rules.default_response_types(registration.OPEN_GRANTS, server)
    given = [text for text in before.response_types if text not in own]
    response_types = (*rules.default_response_types(tuple(grants), server), *given)
    return replace(client, grant_types=tuple(grants), response_types=tuple(dict.fromkeys(response_types)))


def _problems_of_uris(client: Client, server: AuthorizationServer) -> dict[str, Problem]:
    """Return the problem of the first invalid redirect URI, or of a missing one."""
    if not client.grant_types:
        has_uris = "authorization_code" in offered_grants(client, server)
        return {"redirect_uris" if has_uris else "device": Problem("missing")}
    if len(client.redirect_uris) > MOST_ITEMS or any(len(uri) > LONGEST_TEXT for uri in client.redirect_uris):
        return {"redirect_uris": Problem("many")}
    for uri in client.redirect_uris:
        try:
            redirects.check_registration(uri)
        except ValueError as error:
            return {"redirect_uris": Problem("uri", f"{uri} {error}")}
    return {}


def _with_those_of_rules(
    problems: dict[str, Problem], client: Client, server: AuthorizationServer
) -> dict[str, Problem]:
    """Return the problems and those that :mod:`.rules` finds. Add general problems only if there are no others."""
    if rules.needs_secret(client, server) and client.secret is None:
        client = replace(client, secret="generated when the client is saved")
    fields = {member.name: member.name for member in further_members()} | _OWN_FIELDS
    found = dict(problems)
    for rule in rules.rules():
        try:
            rule(client, server)
        except rules.InvalidMetadata as error:
            field = fields.get(error.field, "")
            if field or not problems:
                found.setdefault(field, Problem("other", str(error) if not field else error.reason))
    return found
