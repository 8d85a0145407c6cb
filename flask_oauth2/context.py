"""The facts about an authorization that no store searches for, and their one codec.

To add a fact, add a field with a default to :class:`Context`. Every store and every self-contained token format saves
it from then on: they share :func:`encode_context` and :func:`decode_context`, and need no schema step.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from functools import lru_cache
from typing import Any, get_type_hints


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """Facts about an authorization. Each is fit for JSON and has a default, which is not saved.

    ``claims`` are members that the grant carries along to introspection and ``current_token.claims``. ``resource``
    names the protected resources that the user allowed, :rfc:`8707#section-2`. ``auth_time`` is the time when the user
    was authenticated, in seconds since the epoch, and ``acr`` the authentication context class,
    :rfc:`9068#section-2.2.1`. ``authorization_details`` are permissions that a scope cannot express, :rfc:`9396`;
    ``token_details`` are those of the access token, or None for all.
    """

    claims: Mapping[str, Any] = field(default_factory=dict, hash=False)
    resource: tuple[str, ...] = ()
    auth_time: int | None = None
    acr: str | None = None
    authorization_details: tuple[dict[str, Any], ...] = field(default=(), hash=False)
    token_details: tuple[dict[str, Any], ...] | None = field(default=None, hash=False)

    @property
    def details(self) -> tuple[dict[str, Any], ...]:
        """The authorization details of the access token."""
        return self.authorization_details if self.token_details is None else self.token_details


EMPTY = Context()
"""The context of an authorization about which nothing else is known."""

_DEFAULTS = {one.name: getattr(EMPTY, one.name) for one in fields(Context)}

_TUPLES = frozenset(name for name, kind in get_type_hints(Context).items() if "tuple[" in str(kind))
"""The fields that JSON turns into lists."""


def encode_context(context: Context) -> dict[str, Any] | None:
    """Return the members of a context that differ from their defaults, or None if there are none."""
    if context is EMPTY:
        return None
    members = {name: getattr(context, name) for name in _DEFAULTS}
    given = {name: value for name, value in members.items() if value != _DEFAULTS[name]}
    return {name: dict(value) if isinstance(value, Mapping) else value for name, value in given.items()} or None


def decode_context(members: Mapping[str, Any] | None) -> Context:
    """Return the context that :func:`encode_context` wrote. Ignore members that only a newer release knows."""
    if not members:
        return EMPTY
    known = {name: value for name, value in members.items() if name in _DEFAULTS}
    for name in _TUPLES.intersection(known):
        known[name] = tuple(known[name])
    return Context(**known)


def dump_context(context: Context) -> str | None:
    """Return a context as JSON text for a database, or None for an empty one."""
    members = encode_context(context)
    return None if members is None else json.dumps(members, separators=(",", ":"))


def load_context(text: str | None) -> Context:
    """Return the context that :func:`dump_context` wrote. Equal texts give the same object."""
    return EMPTY if text is None else _load_context(text)


@lru_cache(maxsize=1024)
def _load_context(text: str) -> Context:
    return decode_context(json.loads(text))
