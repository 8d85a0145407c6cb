"""Clients, authorizations, grants, tokens, consents, keys and sessions as immutable records, and readers of an
application's own objects.

Times are whole seconds since the epoch, UTC. Keys come from :func:`flask_oauth2.values.key`.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from inspect import isawaitable
from typing import Any

from .context import EMPTY, Context
from .record import record
from .scopes import Scope

log = logging.getLogger("flask_oauth2")

Claims = Mapping[str, Any]

_PLAIN = (bool, int, float, str, bytes, list, tuple, dict, set, frozenset)
"""Built-in types: an empty value of one is no row."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Client:
    """An application that requests tokens, :rfc:`6749#section-2`. Names are those of :rfc:`7591#section-2`.

    ``secret`` is a digest of the secret, see :mod:`flask_oauth2.clients.secrets`. ``token_format`` and
    ``pkce_required`` override the settings for this client. A ``resource_server`` may introspect tokens of other
    clients, :rfc:`7662#section-2.1`. ``metadata`` holds the members that pages show: ``client_uri``, ``logo_uri``,
    ``policy_uri``, ``tos_uri``, ``contacts``; and ``software_id``, ``software_version``.

    ``registered_by`` names the way of its registration; it is empty if the operator has registered the client.
    ``owner_id`` is the developer. ``registration_key`` is the key of its registration access token,
    :rfc:`7592#section-3`. A client that has received no token by ``expires_at`` is deleted.

    ``denied`` holds the values that the operator has denied, by ``scope`` and ``grant_types``: no other party can give
    them to the client again, and an earlier authorization gives no scope of them.
    """

    client_id: str
    name: str = ""
    secret: str | None = None
    auth_method: str = "client_secret_basic"
    application_type: str = "web"
    redirect_uris: tuple[str, ...] = ()
    grant_types: tuple[str, ...] = ("authorization_code", "refresh_token")
    response_types: tuple[str, ...] = ("code",)
    scope: Scope = ()
    token_format: str | None = None
    pkce_required: bool | None = None
    resource_server: bool = False
    metadata: Claims = field(default_factory=dict, hash=False)
    created_at: int = 0
    registered_by: str = ""
    owner_id: str | None = None
    registration_key: bytes | None = None
    expires_at: int | None = None
    denied: Mapping[str, tuple[str, ...]] = field(default_factory=dict, hash=False)

    @property
    def is_unverified(self) -> bool:
        """Return whether the client registered itself, or a developer or a metadata document describes it.

        The operator of the application has registered and thereby verified all others.
        """
        return bool(self.registered_by)

    @property
    def is_self_registered(self) -> bool:
        """Return whether software registered the client, by dynamic registration or with a metadata document."""
        return self.registered_by in ("open", "token", "document")

    @property
    def is_public(self) -> bool:
        """Return whether the client has no credentials, :rfc:`6749#section-2.1`."""
        return self.auth_method == "none"

    @property
    def is_confidential(self) -> bool:
        """Return whether its credentials prove the identity of the client.

        A secret that every copy of a native application contains does not, :rfc:`8252#section-8.5`. A copy that
        registered itself has credentials of its own (section 8.4).
        """
        is_shipped = self.application_type == "native" and self.registered_by not in ("open", "token")
        return self.auth_method != "none" and not is_shipped


@record(frozen=True, slots=True, kw_only=True)
class Authorization:
    """The permission of a user for a client. ``id`` names the family: all codes and tokens issued for it.

    ``user_id`` is None if the client acts for itself. ``consent_id`` names the consent of the user, if there is one;
    deleting that consent revokes the authorization. ``context`` holds all other facts.
    """

    id: str
    client_id: str
    user_id: str | None
    scope: Scope
    consent_id: str | None = None
    context: Context = EMPTY


CLOCKS_DIFFER = 60
"""Seconds by which the clocks of two machines may differ."""


@record(frozen=True, slots=True, kw_only=True)
class Grant:
    """A credential that is spent once: a code, a device code, or an authorization request too long for a URL.

    ``redirect_uri`` is the one of the request, or None, :rfc:`6749#section-4.1.3`. ``challenge`` is the PKCE challenge,
    with S256. ``authorization`` is None until the user has decided, and stays None if the user denied: ``is_denied``.
    ``confirmation`` names the key that the client must prove to hold when it spends the grant, :rfc:`9449#section-10`.

    The fields of a device code, :rfc:`8628`: ``user_code_key`` is the key of the code that users type, ``interval`` the
    seconds between two polls, ``polled_at`` the time of the last poll.
    """

    key: bytes
    kind: str
    expires_at: int
    authorization: Authorization | None = None
    redirect_uri: str | None = None
    challenge: str | None = None
    parameters: Claims = field(default_factory=dict, hash=False)
    used_at: int | None = None
    user_code_key: bytes | None = None
    is_denied: bool = False
    interval: int | None = None
    polled_at: int | None = None
    confirmation: Claims | None = field(default=None, hash=False)

    def is_expired(self, now: float) -> bool:
        """Return whether the grant has expired, or the clock was set back to a time before it was issued."""
        return self.expires_at <= now or int.from_bytes(self.key[:6], "big") > 1000 * (now + CLOCKS_DIFFER)


@record(frozen=True, slots=True, kw_only=True)
class AccessToken:
    """The content of an access token: what a token format writes and what a guard reads.

    ``token_hash`` is :func:`flask_oauth2.hash_token` of the value, which the store saves instead of the value. For a
    self-contained token, it is the ID of the token, whose text is its ``jti``.

    ``type`` is the token type, such as ``Bearer``; ``confirmation`` binds the token to its holder. ``audience`` names
    the protected resources that accept the token, :rfc:`8707#section-2`; an empty one stands for resources without an
    identifier. ``context`` is that of the authorization.
    """

    token_hash: bytes
    authorization_id: str
    client_id: str
    user_id: str | None
    scope: Scope
    type: str
    issued_at: int
    expires_at: int
    confirmation: Claims | None = field(default=None, hash=False)
    consent_id: str | None = None
    audience: tuple[str, ...] = ()
    context: Context = EMPTY


@record(frozen=True, slots=True, kw_only=True)
class Token:
    """An access token and the refresh token issued with it: one row.

    The scope of ``access`` may be narrower than that of ``authorization``, which is the scope of the refresh token,
    :rfc:`6749#section-6`. ``parent`` is the ``token_hash`` of the row whose refresh token was spent for this one.
    ``used_at`` is the time at which the refresh token of this row was spent.
    """

    access: AccessToken
    authorization: Authorization
    refresh_token_hash: bytes | None = None
    refresh_expires_at: int | None = None
    parent: bytes | None = None
    used_at: int | None = None


@record(frozen=True, slots=True, kw_only=True)
class Consent:
    """The consent of a user for a client, which is requested once and which the user can withdraw.

    Revoking ``id`` revokes everything issued for the consent. ``used_at`` is the day on which the client last received
    something for it. ``scope`` is the whole scope, ``by_resource`` the part for each protected resource; the empty text
    stands for no resource. ``by_resource`` is empty if everything is for no resource. ``authorization_details`` are the
    permissions of :rfc:`9396` that the user allowed.
    """

    id: str
    user_id: str
    client_id: str
    scope: Scope
    granted_at: int
    used_at: int
    by_resource: Mapping[str, Scope] = field(default_factory=dict, hash=False)
    authorization_details: tuple[dict[str, Any], ...] = field(default=(), hash=False)

    def covers(self, scope: Scope, resource: tuple[str, ...]) -> bool:
        """Return whether the user has allowed all of the scope at each of the resources."""
        at_each = self.at_each
        for name in resource or ("",):
            if name not in at_each or not set(scope).issubset(at_each[name]):
                return False
        return set(scope).issubset(self.scope)

    def allowed_at(self, resource: tuple[str, ...]) -> Scope:
        """Return the scope that the user has allowed at each of the resources."""
        held = self.at_each
        return tuple(one for one in self.scope if all(one in held.get(name, ()) for name in resource or ("",)))

    @property
    def at_each(self) -> Mapping[str, Scope]:
        """The scope at each resource. The empty text stands for no resource."""
        return self.by_resource or {"": self.scope}


@dataclass(frozen=True, slots=True, kw_only=True)
class SigningKey:
    """A signing key of an issuer.

    ``id`` is its ``kid``, :rfc:`7517#section-4.5`. ``number`` counts the keys of an ``algorithm``. ``encrypted`` is the
    private key, encrypted with a key derived from ``SECRET_KEY``.

    The times say in which state the key is: published from ``created_at``, signing from ``activates_at`` to
    ``retires_at``, and removed at ``expires_at``. None means never.
    """

    id: str
    algorithm: str
    number: int
    encrypted: bytes = field(repr=False)
    created_at: int
    activates_at: int
    retires_at: int | None = None
    expires_at: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """A session of a user agent at the authorization server.

    ``id`` is its ``sid``, OpenID Connect Front-Channel Logout 1.0 section 3: not a secret. ``auth_time`` is the time of
    the last authentication. ``ended_at`` is set once, when the user signs out.
    """

    id: str
    user_id: str
    auth_time: int
    created_at: int
    expires_at: int
    ended_at: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """The user who is signed in: the ID that authorizations name, and the name that pages show.

    ``auth_time`` is the time of the last authentication, seconds since the epoch, UTC; None if it is unknown. ``acr``
    is its authentication context class, such as ``urn:example:two-factor``.
    """

    id: str
    name: str = ""
    auth_time: int | None = None
    acr: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Issuer:
    """One of several issuers that an application serves, such as a tenant, :rfc:`8414#section-2`.

    ``id`` is saved with every row and never changes. ``url`` is the issuer identifier. ``settings`` are ``OAUTH2_*``
    options that differ from those of the application. ``arguments`` are the values of the variables in the
    ``url_prefix`` of the provider; a single variable has the ``id`` by default.
    """

    id: str
    url: str
    settings: Mapping[str, Any] = field(default_factory=dict, hash=False)
    arguments: Mapping[str, str] = field(default_factory=dict, hash=False)


def identify(user: Any) -> str:
    """Return the ID of an application's user: its ``id``, or else its primary key or ``get_id()``, or a text or number.

    A user may be an object or a dict. Codes, tokens and consents are saved under this ID, so it must never change. That
    is why ``get_id()`` of Flask-Login comes last: an alternative one changes with the password. If the two differ, a
    warning is logged once for each class.

    Raises :exc:`TypeError` for an object that has none of these, :exc:`ValueError` for an ID that no store can save.
    """
    user_id = user if isinstance(user, str | int) else _stable_id(user)
    if user_id is None or isinstance(user_id, bool):
        raise TypeError(f"a user needs get_id() or an id that is not None; {type(user).__name__} has neither")
    text = str(user_id)
    if not 1 <= len(text) <= 255 or not text.isprintable():
        raise ValueError("the id of a user must have 1 to 255 printable characters")
    return text


_warned: set[type] = set()
"""The classes of users for whose ``get_id()`` a warning was logged."""


def _stable_id(user: Any) -> Any:
    found = find(user, "id")
    if found is None:
        found = _primary_key(user)
    get_id = getattr(user, "get_id", None)
    if not callable(get_id):
        return found
    if found is None:
        return get_id()
    if type(user) not in _warned and str(get_id()) != str(found):
        _warned.add(type(user))
        log.warning(
            "get_id() of %s differs from its id. Tokens and consents are saved under the id, which never changes. "
            "Flask-Login's user_loader does not find users by it: register a function that does with "
            "@provider.userloader",
            type(user).__name__,
        )
    return found


def _primary_key(user: Any) -> Any:
    """Return the primary key of an object that SQLAlchemy maps, if it is one column."""
    mapper = getattr(type(user), "__mapper__", None)
    keys: list[Any] = [] if mapper is None else mapper.primary_key_from_instance(user)
    return keys[0] if len(keys) == 1 else None


def is_user(found: Any, user_id: str) -> bool:
    """Return whether the user of an application's row is the one with this ID: rows may name any user."""
    return found is not None and identify(found) == user_id


def is_missing(found: Any) -> bool:
    """Return whether a getter has found no client, code or token: it returned None, False or an empty value.

    Raises :exc:`TypeError` for an awaitable, which would count as found.
    """
    if isawaitable(found):
        raise TypeError("a getter returned what must be awaited: register the asynchronous function itself")
    return found is None or (isinstance(found, _PLAIN) and not found)


NOBODY = (None, False, "")
"""Values that a callback returns if there is no such user."""


def is_nobody(user: Any) -> bool:
    """Return whether a callback has found no user: it returned None, False or an empty text."""
    return user is None or user is False or user == ""


def find(found: Any, *names: str) -> Any:
    """Return the first of the attributes, or keys of a mapping, that is not None; or None."""
    for name in names:
        value = found.get(name) if isinstance(found, Mapping) else getattr(found, name, None)
        if value is not None:
            return value
    return None


def split_values(value: Any) -> tuple[str, ...]:
    """Return the values of a list, or of a string that white space separates. Omit duplicates."""
    if value is None:
        return ()
    return tuple(dict.fromkeys(value.split() if isinstance(value, str) else map(str, value)))


def seconds(value: Any) -> int | None:
    """Return a time as seconds since the epoch, UTC. A datetime without a time zone is UTC."""
    if isinstance(value, datetime):
        return int((value if value.tzinfo else value.replace(tzinfo=UTC)).timestamp())
    return None if value is None else int(value)
