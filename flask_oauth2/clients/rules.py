"""What a client may be, :rfc:`7591#section-2`: one list of rules for every way in which a client is registered.

A rule is a function that raises :exc:`InvalidMetadata`. What several fields say together comes after what each says
alone, so that the first error is the nearest to its cause.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable

from .. import scopes, uris, urls
from ..records import Client
from ..server import AuthorizationServer
from .validators import LONGEST_ID, LONGEST_NAME, is_line, is_page, is_visible, is_vschar
from .validators import InvalidMetadata as InvalidMetadata

PAGES = ("client_uri", "logo_uri", "policy_uri", "tos_uri")
"""The metadata that people may follow or see."""

SOFTWARE = ("software_id", "software_version")
"""The metadata that says which software it is, the same for all who run it."""

SENT_SECRET_METHODS = frozenset({"client_secret_basic", "client_secret_post"})
"""The methods of clients that send their secret, :rfc:`6749#section-2.3.1`."""

APPLICATION_TYPES = ("web", "native")

GIVES_NO_REFRESH_TOKEN = frozenset({"client_credentials", "implicit", "refresh_token"})
""":rfc:`6749#section-4.4.3`, :rfc:`6749#section-4.2.2`; a refresh token does not begin with itself."""


def check(client: Client, server: AuthorizationServer) -> None:
    """Raise :exc:`InvalidMetadata` for the first rule that the client breaks."""
    _client_id(client, server)
    check_all_but_id(client, server)


def check_all_but_id(client: Client, server: AuthorizationServer) -> None:
    """The same for a client that is registered nowhere, and has its id from where its metadata is."""
    for rule in RULES:
        rule(client, server)


def check_client_id(client_id: str) -> None:
    """VSCHAR, :rfc:`6749#appendix-A.1`; at least one, as parameters without a value are absent.

    A URL is the id of the client whose metadata is there, draft-ietf-oauth-client-id-metadata-document section 6.9.
    """
    if urls.is_https(client_id):
        raise InvalidMetadata("client_id", "may not begin with https://, like that of a metadata document")
    if not 1 <= len(client_id) <= LONGEST_ID:
        raise InvalidMetadata("client_id", f"must have 1 to {LONGEST_ID} characters")
    if not is_vschar(client_id):
        raise InvalidMetadata("client_id", "may hold printable ASCII characters only")


def new_client_id() -> str:
    """A new identifier: not secret (:rfc:`6749#section-2.2`), and of letters and digits, so that it is no option."""
    return secrets.token_hex(12)


def needs_secret(client: Client, server: AuthorizationServer) -> bool:
    """Return whether the client authentication method of a client needs a secret."""
    return any(
        method.name == client.auth_method and getattr(method, "needs_secret", False)
        for method in server.capabilities.auth_methods
    )


def registrable_methods(server: AuthorizationServer) -> list[str]:
    """Return the client authentication methods that dynamic registration offers, ``none`` included."""
    methods = server.capabilities.auth_methods
    return ["none", *(method.name for method in methods if getattr(method, "is_registrable", True))]


def default_response_types(grant_types: tuple[str, ...], server: AuthorizationServer) -> tuple[str, ...]:
    """For each grant that begins at the authorization endpoint its first response type, :rfc:`7591#section-2.1`."""
    first: dict[str, str] = {}
    for response_type in server.capabilities.response_types.values():
        first.setdefault(response_type.grant_type, response_type.name)
    return tuple(first[grant] for grant in grant_types if grant in first)


def _client_id(client: Client, server: AuthorizationServer) -> None:
    check_client_id(client.client_id)
    if client.auth_method in SENT_SECRET_METHODS and set(client.client_id) & set(":+%"):
        raise InvalidMetadata("client_id", "may not hold : or + or %, which clients send in different ways by Basic")


def _name(client: Client, server: AuthorizationServer) -> None:
    """People decide by it (:rfc:`7591#section-5`), so nothing in it may hide or reorder what they read."""
    name = client.name
    if len(name) > LONGEST_NAME:
        raise InvalidMetadata("client_name", f"has {len(name)} characters: take at most {LONGEST_NAME}")
    if not name.isprintable() or name != name.strip():
        raise InvalidMetadata("client_name", "must be printable, without control characters or spaces around it")
    if not is_visible(name):
        raise InvalidMetadata("client_name", "must be of characters that people see")


def _application_type(client: Client, server: AuthorizationServer) -> None:
    """:rfc:`8252#section-8.4`: the kind of the client is recorded."""
    if client.application_type not in APPLICATION_TYPES:
        raise InvalidMetadata("application_type", f"must be {' or '.join(APPLICATION_TYPES)}")


def _auth_method(client: Client, server: AuthorizationServer) -> None:
    """:rfc:`7591#section-2`: a method that is offered."""
    known = ["none", *(method.name for method in server.capabilities.auth_methods)]
    if client.auth_method not in known:
        raise InvalidMetadata("token_endpoint_auth_method", f"{client.auth_method!r} is none of {', '.join(known)}")


def _redirect_uris(client: Client, server: AuthorizationServer) -> None:
    """Each as :func:`flask_oauth2.uris.check_registration` says."""
    for uri in client.redirect_uris:
        try:
            uris.check_registration(uri)
        except ValueError as error:
            raise InvalidMetadata("redirect_uris", f"{uri!r} {error}") from None


def _grant_types(client: Client, server: AuthorizationServer) -> None:
    """:rfc:`7591#section-2`: grants that are offered, and at least one unless the client only introspects."""
    offered = server.capabilities.grant_types
    for name in client.grant_types:
        if name not in offered:
            raise InvalidMetadata(
                "grant_types", f"{name!r} is not offered here: name one of {', '.join(offered)}, or offer it"
            )
    if not client.grant_types and not client.resource_server:
        raise InvalidMetadata("grant_types", f"is empty: name at least one of {', '.join(offered)}")
    if "refresh_token" in client.grant_types and GIVES_NO_REFRESH_TOKEN.issuperset(client.grant_types):
        # :rfc:`6749#section-6`: a refresh token is issued together with an access token of another grant
        raise InvalidMetadata(
            "grant_types", "refresh_token needs another grant that gives refresh tokens, such as authorization_code"
        )


def _response_types(client: Client, server: AuthorizationServer) -> None:
    """:rfc:`7591#section-2`: response types that are offered, their words in any order."""
    offered = server.capabilities.response_type_sets
    for text in client.response_types:
        words = text.split(" ")
        if not any(sorted(words) == sorted(known) for known in offered):
            cure = f"name one of {', '.join(map(' '.join, offered))}" if offered else "take it away"
            raise InvalidMetadata("response_types", f"{text!r} is not offered here: {cure}")
    if client.response_types and not client.redirect_uris:
        # "authorization servers MUST require [it]", :rfc:`7591#section-5`, :rfc:`6749#section-3.1.2.2`
        raise InvalidMetadata(
            "redirect_uris", "is empty: whoever uses the authorization endpoint registers at least one"
        )


def _consistency(client: Client, server: AuthorizationServer) -> None:
    """The table of :rfc:`7591#section-2.1`: ``code`` goes with ``authorization_code``, ``token`` with ``implicit``."""
    registered = {word for text in client.response_types for word in text.split(" ")}
    for response_type in server.capabilities.response_types.values():
        if response_type.name in registered and response_type.grant_type not in client.grant_types:
            raise InvalidMetadata(
                "response_types",
                f"{response_type.name!r} needs {response_type.grant_type!r} among the grant types: "
                "add the grant type or take the response type away",
            )
    for grant_type in client.grant_types:
        names = [known.name for known in server.capabilities.response_types.values() if known.grant_type == grant_type]
        if names and not registered.intersection(names):
            raise InvalidMetadata(
                "grant_types",
                f"{grant_type!r} needs {' or '.join(names)} among the response types: "
                "add the response type or take the grant type away",
            )


def _scope(client: Client, server: AuthorizationServer) -> None:
    """Words by their grammar, :rfc:`6749#section-3.3`, that the application knows, where it says what it knows."""
    try:
        scopes.parse_option(client.scope)
    except ValueError as error:
        raise InvalidMetadata("scope", str(error)) from None
    known = server.settings.scopes
    beyond = [word for word in client.scope if known and word not in known]
    if beyond:
        raise InvalidMetadata(
            "scope", f"{' '.join(beyond)} is not in OAUTH2_SCOPES: take of {' '.join(known)}, or add it there"
        )


def _token_format(client: Client, server: AuthorizationServer) -> None:
    """A format that is there, where the client has one of its own."""
    if client.token_format is not None and client.token_format not in server.capabilities.formats:
        raise InvalidMetadata(
            "token_format", f"{client.token_format!r} is none of {', '.join(server.capabilities.formats)}"
        )


def _public(client: Client, server: AuthorizationServer) -> None:
    """What a client cannot do that proves nothing, :rfc:`6749#section-2.1`, :rfc:`8252#section-8.5`."""
    if client.is_confidential:
        return
    cure = "give it an auth method" if client.is_public else "the secret of a native application is in every copy of it"
    if "client_credentials" in client.grant_types:
        # "MUST only be used by confidential clients", :rfc:`6749#section-4.4`
        raise InvalidMetadata("grant_types", f"client_credentials is for confidential clients: {cure}")
    if client.pkce_required is False:
        # "Public clients MUST use PKCE", :rfc:`9700#section-2.1.1`
        raise InvalidMetadata("pkce_required", "a public or native client always uses PKCE: leave this to the settings")
    if client.resource_server:
        # the endpoint MUST require authorization, :rfc:`7662#section-2.1`
        raise InvalidMetadata("resource_server", f"whoever introspects tokens must authenticate: {cure}")


def _secret(client: Client, server: AuthorizationServer) -> None:
    """Who authenticates by a secret has one, and a public client has none, :rfc:`6749#section-2.3.1`."""
    if client.is_public and client.secret is not None:
        raise InvalidMetadata("client_secret", "a public client has none: take it away or give it an auth method")
    if needs_secret(client, server) and not client.secret:
        raise InvalidMetadata("client_secret", f"is missing: {client.auth_method} needs one")


def _metadata(client: Client, server: AuthorizationServer) -> None:
    """:rfc:`7591#section-2`: pages by https, which lead nowhere by script, and whom to write to."""
    for name, value in client.metadata.items():
        if name in PAGES:
            if not is_page(value):
                raise InvalidMetadata(
                    name, "must be the full URL of a page and begin with https://; http only for loopback"
                )
        elif name == "contacts":
            if not isinstance(value, list | tuple) or not all(is_line(contact) for contact in value):
                raise InvalidMetadata(name, "must be a list of addresses, each one printable line")
        elif name in SOFTWARE:
            if not is_line(value):
                raise InvalidMetadata(name, f"must be one printable line of at most {LONGEST_ID} characters")
        else:
            raise InvalidMetadata(name, f"is not kept here: known are {', '.join((*PAGES, *SOFTWARE))} and contacts")


RULES: tuple[Callable[[Client, AuthorizationServer], None], ...] = (
    _name,
    _application_type,
    _auth_method,
    _redirect_uris,
    _grant_types,
    _response_types,
    _consistency,
    _scope,
    _token_format,
    _public,
    _secret,
    _metadata,
)
"""In the order in which they are asked, after that of the id."""
