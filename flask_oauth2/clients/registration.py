"""What a client says of itself when it registers, :rfc:`7591#section-2`: read, narrowed to what may be had that way,
and told back. Whether it may be is for :mod:`.rules` to say, as of every client.

Members that are not known here are dropped: names in other languages, keys, software statements (section 3.1.1: "MAY
ignore"). Everything else is the client's own word, so nothing of it is trusted (section 5).
"""

from __future__ import annotations

import json
import logging
from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from .. import scopes, uris, values
from ..errors import ConfigurationError
from ..records import Client
from ..scopes import Scope
from ..server import AuthorizationServer
from ..settings import Settings
from . import documents, rules
from .validators import InvalidMetadata, clean_name, is_line, is_page

if TYPE_CHECKING:
    from ..stores.callbacks import Callbacks

log = logging.getLogger("flask_oauth2")

OPEN_GRANTS = documents.GRANT_TYPES
"""The grants in which a person decides, so that whoever registers has got nothing yet."""

TRUSTED_GRANTS = (*OPEN_GRANTS, "client_credentials")
"""Those of confidential clients that have shown an initial access token."""

_MOST = 20
"""Elements of any list."""

_LONGEST = 2048
"""Characters of any text."""


def choose(settings: Settings, callbacks: Callbacks, is_for_mcp: bool) -> str:
    """``OAUTH2_REGISTRATION``, or open where that is wanted and the application leaves clients to the store.

    Raises :exc:`ConfigurationError` for a choice that cannot be had.
    """
    chosen, has_own = settings.registration, callbacks.clientgetter is not None
    if chosen in ("token", "open") and has_own:
        raise ConfigurationError(
            f"OAUTH2_REGISTRATION is {chosen!r}, but clients come from the application's clientgetter, where none "
            "can be registered from outside: leave one of the two out"
        )
    grants = set(TRUSTED_GRANTS if chosen == "token" else OPEN_GRANTS) - {"refresh_token"}
    has_grant = not grants.isdisjoint(settings.grant_types)
    if chosen in ("token", "open") and not has_grant:
        raise ConfigurationError(
            f"OAUTH2_REGISTRATION is {chosen!r}, but there is no grant for clients that register themselves: name "
            f"{' or '.join(sorted(grants))} in OAUTH2_GRANT_TYPES"
        )
    if chosen is None and is_for_mcp and has_grant and not has_own:
        log.info(
            "anybody may register a client here, as clients of protected MCP servers do: "
            "OAUTH2_REGISTRATION = 'token' or 'off' closes that"
        )
        chosen = "open"
    if chosen in ("token", "open") and not settings.secret_keys:
        raise ConfigurationError(f"OAUTH2_REGISTRATION is {chosen!r}, which needs a SECRET_KEY: set one")
    return chosen or "off"


def withhold(client: Client, before: Client) -> Client:
    """The client as the operator wants it. What is taken away comes back only when the operator gives it again."""
    denied = {}
    for name in ("scope", "grant_types"):
        had = {*before.denied.get(name, ()), *getattr(before, name)}
        taken = had.difference(getattr(client, name))
        if taken:
            denied[name] = tuple(sorted(taken))
    return replace(client, denied=denied)


def read(
    asked: Mapping[str, Any], server: AuthorizationServer, grant_types: Collection[str], scope: Scope | None = None
) -> dict[str, Any]:
    """The members that are known, each of its type, with what holds for those that were left out.

    :param grant_types: those that may be had. Others are left out where something remains, as ``implicit`` beside
        ``authorization_code`` ("MAY replace", section 3.2.1), and so are response types.
    :param scope: the scope, in place of what is asked for.

    Raises :exc:`InvalidMetadata`.
    """
    if asked.get("jwks") and asked.get("jwks_uri"):
        raise InvalidMetadata("jwks", "excludes jwks_uri: send one of the two")
    auth_method = _text(asked, "token_endpoint_auth_method") or "client_secret_basic"
    methods = rules.registrable_methods(server)
    if auth_method not in methods:
        raise InvalidMetadata("token_endpoint_auth_method", f"must be one of {', '.join(methods)}")
    offered = [name for name in server.capabilities.grant_types if name in grant_types]
    if auth_method == "none":
        offered = [name for name in offered if name != "client_credentials"]
    granted = [name for name in _texts(asked, "grant_types") or ["authorization_code"] if name in offered]
    if not granted:
        raise InvalidMetadata("grant_types", f"none of these can be registered: name some of {', '.join(offered)}")
    redirect_uris = _texts(asked, "redirect_uris")
    # an editor may register a page of its own in addition to loopback and private-use URIs; its ports must be free,
    # whatever application_type it sends
    is_native = any(map(uris.is_on_device, redirect_uris))
    known = {
        "redirect_uris": redirect_uris,
        "token_endpoint_auth_method": auth_method,
        "grant_types": granted,
        "response_types": _response_types(asked, server, granted),
        "client_name": _name(asked),
        "application_type": "native" if is_native else _text(asked, "application_type") or "web",
        "scope": " ".join(_scope(asked) if scope is None else scope),
        "contacts": _contacts(asked),
        **{name: _page(asked, name, redirect_uris) for name in rules.PAGES},
        **{name: asked[name] for name in rules.SOFTWARE if is_line(asked.get(name))},
    }
    return {name: value for name, value in known.items() if value or name in ("response_types", "scope")}


def apply(metadata: Mapping[str, Any], client: Client) -> Client:
    """The client as :func:`read` says, without what the operator has taken from it."""
    denied = client.denied.get("scope", ())
    return replace(
        client,
        name=metadata.get("client_name", ""),
        auth_method=metadata["token_endpoint_auth_method"],
        application_type=metadata["application_type"],
        redirect_uris=tuple(metadata.get("redirect_uris", ())),
        grant_types=tuple(metadata["grant_types"]),
        response_types=tuple(metadata["response_types"]),
        scope=tuple(word for word in metadata["scope"].split() if word not in denied),
        metadata={name: metadata[name] for name in (*rules.PAGES, "contacts", *rules.SOFTWARE) if name in metadata},
    )


def describe(client: Client) -> dict[str, Any]:
    """Every value that is registered, :rfc:`7591#section-3.2.1`, without what is kept of the secret."""
    return {
        "client_id": client.client_id,
        "client_id_issued_at": client.created_at,
        **({"client_name": client.name} if client.name else {}),
        "application_type": client.application_type,
        "token_endpoint_auth_method": client.auth_method,
        "redirect_uris": list(client.redirect_uris),
        "grant_types": list(client.grant_types),
        "response_types": list(client.response_types),
        "scope": " ".join(client.scope),
        **client.metadata,
    }


def without_ports(client: Client) -> Client:
    """The client that all its copies share, whatever port each listens at: those of native clients are free."""
    if client.application_type != "native":
        return client
    return replace(client, redirect_uris=tuple(dict.fromkeys(map(uris.without_port, client.redirect_uris))))


def shared_id(client: Client, scope: Scope, secret_key: bytes, number: int) -> str:
    """The id of whoever registers this very metadata: nobody else can tell which it will be.

    ``scope`` is empty where it is the same for all. ``number`` tells apart those that were taken away.
    """
    said = describe(replace(client, client_id="", created_at=0, scope=scope))
    for name in ("redirect_uris", "grant_types", "response_types"):
        said[name] = sorted(said[name])
    return values.derive(secret_key, f"client_id {number}", json.dumps(said, sort_keys=True))[:16].hex()


def _response_types(asked: Mapping[str, Any], server: AuthorizationServer, grant_types: Iterable[str]) -> list[str]:
    wanted = _texts(asked, "response_types")
    if not wanted:
        return list(rules.default_response_types(tuple(grant_types), server))
    had = {name for name, known in server.capabilities.response_types.items() if known.grant_type in grant_types}
    left = [text for text in wanted if had.issuperset(text.split(" "))]
    if not left:
        raise InvalidMetadata(
            "response_types", "none of these goes with the grant types: code needs authorization_code"
        )
    return left


def _scope(asked: Mapping[str, Any]) -> Scope:
    scope = asked.get("scope")
    if not isinstance(scope, str | None):
        raise InvalidMetadata("scope", "must be text")
    try:
        return scopes.parse_option(scope or "")
    except ValueError as error:
        raise InvalidMetadata("scope", str(error)) from None


def _page(asked: Mapping[str, Any], name: str, redirect_uris: Iterable[str]) -> str:
    """A page, if it is of a host that answers are sent to: others would let anybody look like somebody else.

    "the authorization server SHOULD check to see if [they] have the same host and scheme", section 5.
    """
    page = asked.get(name)
    if not isinstance(page, str) or len(page) > _LONGEST or not is_page(page):
        return ""
    return page if any(uris.is_of_host(page, uri) for uri in redirect_uris) else ""


def _name(asked: Mapping[str, Any]) -> str:
    """Return the name as pages can show it; empty if there is none. A name that needs cleaning rejects nothing."""
    name = asked.get("client_name")
    if name is None:
        return ""
    if not isinstance(name, str):
        raise InvalidMetadata("client_name", "must be text")
    return clean_name(name)


def _contacts(asked: Mapping[str, Any]) -> list[str]:
    """Return the contacts that can be stored, and drop the others: no page shows them."""
    contacts = asked.get("contacts")
    lines = filter(is_line, contacts) if isinstance(contacts, list | tuple) else ()
    return list(dict.fromkeys(lines))[:_MOST]


def _text(asked: Mapping[str, Any], name: str) -> str:
    """A text; empty where it is null or left out, which is the same, :rfc:`7592#section-2.2`."""
    value = asked.get(name)
    if value is None:
        return ""
    if not isinstance(value, str) or len(value) > _LONGEST:
        raise InvalidMetadata(name, f"must be text of at most {_LONGEST} characters")
    return value


def _texts(asked: Mapping[str, Any], name: str) -> list[str]:
    """A list of texts, each once."""
    value = asked.get(name)
    if value is None:
        return []
    if (
        not isinstance(value, list | tuple)
        or len(value) > _MOST
        or not all(isinstance(one, str) and len(one) <= _LONGEST for one in value)
    ):
        raise InvalidMetadata(name, f"must be a list of at most {_MOST} texts of at most {_LONGEST} characters")
    return list(dict.fromkeys(value))
