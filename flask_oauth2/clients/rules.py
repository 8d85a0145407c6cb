"""Rules for every client, however it is registered, :rfc:`7591#section-2`.

The checks of single members come first, in the order of the table in :mod:`.metadata`, so that the first error is the
nearest to its cause. The rules here concern several members. A rule raises :exc:`.InvalidMetadata`.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from ..http import urls
from ..records import Client
from ..server import AuthorizationServer
from . import metadata
from .validators import GIVES_NO_REFRESH_TOKEN as GIVES_NO_REFRESH_TOKEN
from .validators import LONGEST_ID, has_signing_key, is_vschar
from .validators import InvalidMetadata as InvalidMetadata

if TYPE_CHECKING:
    from .authentication.base import ClientAuthMethod

SENT_SECRET_METHODS = frozenset({"client_secret_basic", "client_secret_post"})
"""The methods of clients that send their secret, :rfc:`6749#section-2.3.1`."""

Rule = Callable[[Client, AuthorizationServer], None]


def check(client: Client, server: AuthorizationServer) -> None:
    """Raise :exc:`.InvalidMetadata` for the first rule that the client breaks."""
    check_client_id(client.client_id)
    if client.auth_method in SENT_SECRET_METHODS and set(client.client_id) & set(":+%"):
        raise InvalidMetadata("client_id", "must not contain : or + or %, which clients encode differently with Basic")
    check_all_but_id(client, server)


def check_all_but_id(client: Client, server: AuthorizationServer) -> None:
    """Check a client whose ID is valid already: the ID of a metadata document is its URL."""
    for rule in rules():
        rule(client, server)


def rules() -> Iterator[Rule]:
    """Yield the rules in their order."""
    for member in metadata.MEMBERS:
        yield member.verify
    yield from (_consistency, _public, _secret, _keys, _known)


def check_client_id(client_id: str) -> None:
    """Raise :exc:`.InvalidMetadata` unless the ID is VSCHAR, :rfc:`6749#appendix-A.1`, and not empty.

    A URL is the ID of the client whose metadata document it leads to, draft-ietf-oauth-client-id-metadata-document
    section 6.9.
    """
    if urls.is_https(client_id):
        raise InvalidMetadata("client_id", "must not begin with https://, like that of a metadata document")
    if not 1 <= len(client_id) <= LONGEST_ID:
        raise InvalidMetadata("client_id", f"must have 1 to {LONGEST_ID} characters")
    if not is_vschar(client_id):
        raise InvalidMetadata("client_id", "must be printable ASCII characters only")


def new_client_id() -> str:
    """Return a new client_id, which is not secret, :rfc:`6749#section-2.2`. Of letters and digits, it is no option."""
    return secrets.token_hex(12)


def needs_secret(client: Client, server: AuthorizationServer) -> bool:
    """Return whether the client authentication method of a client needs a secret."""
    return any(
        method.name == client.auth_method and getattr(method, "needs_secret", False)
        for method in server.capabilities.auth_methods
    )


def key_methods(server: AuthorizationServer) -> dict[str, ClientAuthMethod]:
    """Return the client authentication methods that verify signatures with public keys of the client."""
    return {method.name: method for method in server.capabilities.auth_methods if getattr(method, "needs_keys", False)}


def registrable_methods(server: AuthorizationServer) -> list[str]:
    """Return the client authentication methods that dynamic registration offers, ``none`` included."""
    methods = server.capabilities.auth_methods
    return ["none", *(method.name for method in methods if getattr(method, "is_registrable", True))]


def default_response_types(grant_types: tuple[str, ...], server: AuthorizationServer) -> tuple[str, ...]:
    """Return the first response type of each grant that begins at the authorization endpoint, section 2.1."""
    first: dict[str, str] = {}
    for response_type in server.capabilities.response_types.values():
        first.setdefault(response_type.grant_type, response_type.name)
    return tuple(first[grant] for grant in grant_types if grant in first)


def _consistency(client: Client, server: AuthorizationServer) -> None:
    """Keep the table of :rfc:`7591#section-2.1`: ``code`` with ``authorization_code``, ``token`` with ``implicit``."""
    registered = {name for text in client.response_types for name in text.split(" ")}
    for response_type in server.capabilities.response_types.values():
        if response_type.name in registered and response_type.grant_type not in client.grant_types:
            raise InvalidMetadata(
                "response_types",
                f"{response_type.name!r} needs {response_type.grant_type!r} among the grant types. "
                "Add the grant type or remove the response type",
            )
    for grant_type in client.grant_types:
        names = [known.name for known in server.capabilities.response_types.values() if known.grant_type == grant_type]
        if names and not registered.intersection(names):
            raise InvalidMetadata(
                "grant_types",
                f"{grant_type!r} needs {' or '.join(names)} among the response types. "
                "Add the response type or remove the grant type",
            )


def _public(client: Client, server: AuthorizationServer) -> None:
    """Reject what needs credentials that prove the client, :rfc:`6749#section-2.1`, :rfc:`8252#section-8.5`."""
    if client.is_confidential:
        return
    hint = "Give it an auth method" if client.is_public else "The secret of a native application is in every copy of it"
    if "client_credentials" in client.grant_types:
        # "MUST only be used by confidential clients", :rfc:`6749#section-4.4`
        raise InvalidMetadata("grant_types", f"client_credentials is for confidential clients. {hint}")
    if client.pkce_required is False:
        # "Public clients MUST use PKCE", :rfc:`9700#section-2.1.1`
        raise InvalidMetadata("pkce_required", "public and native clients always use PKCE. Leave it to the settings")
    if client.resource_server:
        # the endpoint "MUST also require some form of authorization", :rfc:`7662#section-2.1`
        raise InvalidMetadata("resource_server", f"a client that introspects tokens must authenticate. {hint}")


def _secret(client: Client, server: AuthorizationServer) -> None:
    """Require a secret exactly of the clients whose method needs one, :rfc:`6749#section-2.3.1`."""
    if client.is_public and client.secret is not None:
        raise InvalidMetadata("client_secret", "a public client has no secret. Remove it or give it an auth method")
    if needs_secret(client, server) and not client.secret:
        raise InvalidMetadata("client_secret", f"is missing. {client.auth_method} needs one")


def _keys(client: Client, server: AuthorizationServer) -> None:
    """Require public keys of the clients whose method verifies a signature, :rfc:`7591#section-2`."""
    jwks, jwks_uri = client.metadata.get("jwks"), client.metadata.get("jwks_uri")
    if jwks and jwks_uri:
        # "MUST NOT both be present in the same request or response", section 2
        raise InvalidMetadata("jwks", "excludes jwks_uri. Keep one of the two")
    method = key_methods(server).get(client.auth_method)
    if method is None or jwks_uri:
        return
    if not jwks:
        raise InvalidMetadata("jwks", f"is missing. {method.name} needs jwks or jwks_uri")
    registered = client.metadata.get("token_endpoint_auth_signing_alg")
    algorithms = (registered,) if registered else method.signing_algorithms
    if algorithms and not has_signing_key(jwks, algorithms):
        raise InvalidMetadata("jwks", f"contains no public key for signatures with {', '.join(algorithms)}")


def _known(client: Client, server: AuthorizationServer) -> None:
    """Reject metadata that the table does not know."""
    known = [member.name for member in metadata.json_members()]
    for name in client.metadata:
        if name not in known:
            raise InvalidMetadata(name, f"is not a known member. Known members: {', '.join(known)}")
