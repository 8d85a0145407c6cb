"""Capabilities of an authorization server: the built-in parts and the parts that the application registered, by name.

Modules of every layer read this record. Its fields are untyped so that it imports no module of a higher layer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Capabilities:
    """Parts by name. :mod:`flask_oauth2.assembly.capabilities` collects them."""

    grants: Mapping[str, Any]
    """The grants of the token endpoint: :class:`~.grants.base.GrantType` by grant type."""
    grant_types: Sequence[str]
    """All grant types, including ``implicit``."""
    response_types: Mapping[str, Any]
    """:class:`~.grants.base.ResponseType` by name, in the order in which a request with several of them runs them."""
    response_type_sets: Sequence[tuple[str, ...]]
    """The combinations of response types that a request may name."""
    token_types: Mapping[str, Any]
    """:class:`~.tokens.types.TokenType` by HTTP authentication scheme, in lower case."""
    formats: Mapping[str, Any]
    """All token formats: :class:`~.tokens.formats.base.TokenFormat` by name."""
    reference_formats: Mapping[str, Any]
    """The formats whose values refer to a row in the store."""
    self_contained_formats: Mapping[str, Any]
    """The formats whose values contain all facts about the token."""
    bindings: Sequence[Any]
    """:class:`~.tokens.bindings.base.Binding`, in the order in which they look for a proof of possession."""
    answer_members: Sequence[Any]
    """The functions that add members to a token response, :mod:`.tokens.answers`."""
    auth_methods: Sequence[Any]
    """Client authentication methods without ``none``: :class:`~.clients.authentication.base.ClientAuthMethod`."""
    auth_schemes: Sequence[str]
    """The HTTP authentication schemes of these methods, in lower case."""
    details_types: Mapping[str, Any]
    """:class:`~.authorization_details.AuthorizationDetailsType` by name."""
    endpoints: Mapping[str, Any]
    """:class:`~.endpoints.base.Endpoint` by name."""
    needs_keys: bool
    """True if a part signs with the keys of the issuer, so that other parties need them."""
