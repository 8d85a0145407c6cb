"""What one server offers: its parts by name, those of the package and those that the application registered.

The rooms that define a kind of part read it here, so this record names no type above it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Capabilities:
    """Parts by name. :mod:`flask_oauth2.assembly.capabilities` collects them."""

    grants: Mapping[str, Any]
    """The grants of the token endpoint, :class:`~.grants.base.GrantType`."""
    grant_types: Sequence[str]
    """The names of all grants, ``implicit`` included."""
    response_types: Mapping[str, Any]
    """:class:`~.grants.base.ResponseType`, in the order in which a request that names several runs them."""
    response_type_sets: Sequence[tuple[str, ...]]
    """The response types that a request may name together."""
    token_types: Mapping[str, Any]
    """:class:`~.tokens.types.TokenType` by HTTP authentication scheme, in lower case."""
    formats: Mapping[str, Any]
    """:class:`~.tokens.formats.base.TokenFormat`."""
    reference_formats: Mapping[str, Any]
    """The formats whose values refer to a row."""
    self_contained_formats: Mapping[str, Any]
    """The formats whose values say everything."""
    bindings: Sequence[Any]
    """:class:`~.tokens.bindings.base.Binding`, in the order in which they look for a proof."""
    answer_members: Sequence[Any]
    """The functions that complete a token response, :mod:`.tokens.answers`."""
    auth_methods: Sequence[Any]
    """:class:`~.clients.authentication.base.ClientAuthMethod`, without ``none``."""
    auth_schemes: Sequence[str]
    """The HTTP authentication schemes of these methods, in lower case."""
    endpoints: Mapping[str, Any]
    """:class:`~.endpoints.base.Endpoint`."""
    needs_keys: bool
    """True if a part signs with the keys of the issuer, so that other parties need them."""
