"""What a client may be, :rfc:`7591#section-2`: one list of rules for every way in which a client is registered.

A rule is a function that raises :exc:`InvalidMetadata`. What several fields say together comes after what each says
alone, so that the first error is the nearest to its cause.
"""

from __future__ import annotations

import re
import secrets
import unicodedata
from collections.abc import Callable

from .. import scopes, values
from ..http import redirects, urls
from ..records import Client
from ..server import AuthorizationServer
from ..settings import Settings
from .secret import ClientSecretBasic

LONGEST_ID = 255
"""Characters of a client_id, which stores keep in a column of that length."""

LONGEST_NAME = 100
"""Characters of a name, which pages show in one line."""

SHORTEST_SECRET = 16
"""Characters of a secret that a person chose, :rfc:`6749#section-10.10`."""

LONGEST_SECRET = 255
"""A longer one would only make the hash of it slow."""

PAGES = ("client_uri", "logo_uri", "policy_uri", "tos_uri")
"""The metadata that people may follow or see."""

SOFTWARE = ("software_id", "software_version")
"""The metadata that says which software it is, the same for all who run it."""

APPLICATION_TYPES = ("web", "native")

SECRET_METHODS = ClientSecretBasic.accepts
"""The methods that need a secret."""

_UNSEEN = re.compile("[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\uffa0]")
"""Characters that are printable and show nothing."""

_PILED = re.compile("[\u0300-\u036f\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff]{4}")
"""More marks over one letter than any language has."""

_PILED_UP = re.compile(f"({_PILED.pattern.removesuffix('{4}')}{{3}}){_PILED.pattern.removesuffix('{4}')}+")

_VSCHAR = re.compile(r"[\x20-\x7e]+\Z")
_PAGE = re.compile(r"[A-Za-z0-9\-._~:/?#\[\]@!$&'()*+,;=%]+\Z")

GIVES_NO_REFRESH_TOKEN = frozenset({"client_credentials", "implicit", "refresh_token"})
""":rfc:`6749#section-4.4.3`, :rfc:`6749#section-4.2.2`; a refresh token does not begin with itself."""


class InvalidMetadata(ValueError):
    """A client that may not be.

    :param field: what is wrong, by its name in :rfc:`7591#section-2` where it has one there.
    :param reason: why, and what would be right; never a secret.
    """

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(f"{field}: {reason}")
        self.field = field
        self.reason = reason


def clean_name(text: str) -> str:
    """Return a name that a client gave itself in the form that pages can show.

    Characters that are not printable or not visible are removed, joiners among them; a name that is too long is cut.
    """
    text = unicodedata.normalize("NFC", _PILED_UP.sub(r"\1", unicodedata.normalize("NFD", text[: 10 * LONGEST_NAME])))
    shown = (letter if letter.isprintable() else " " * letter.isspace() for letter in _UNSEEN.sub("", text))
    text = " ".join("".join(shown).split())
    return text if len(text) <= LONGEST_NAME else f"{text[: LONGEST_NAME - 1].rstrip()}…"


def is_line(value: object) -> bool:
    """Return whether the value is one printable line that fits into a column."""
    return isinstance(value, str) and 1 <= len(value) <= LONGEST_ID and value.isprintable()


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
    if not _VSCHAR.match(client_id):
        raise InvalidMetadata("client_id", "may hold printable ASCII characters only")


def check_secret(secret: str) -> None:
    """A secret that a person chose: VSCHAR (:rfc:`6749#appendix-A.2`), and hard to guess (section 10.10)."""
    if not SHORTEST_SECRET <= len(secret) <= LONGEST_SECRET:
        raise InvalidMetadata(
            "client_secret",
            f"has {len(secret)} characters: take {SHORTEST_SECRET} to {LONGEST_SECRET}, or let one be made",
        )
    if not _VSCHAR.match(secret):
        raise InvalidMetadata("client_secret", "may hold printable ASCII characters only")
    if "+" in secret or "%" in secret:
        # many clients leave out the form encoding of section 2.3.1, and would send another secret than this
        raise InvalidMetadata("client_secret", "may not hold + or %, which clients send in different ways by Basic")


def new_client_id() -> str:
    """A new identifier: not secret (:rfc:`6749#section-2.2`), and of letters and digits, so that it is no option."""
    return secrets.token_hex(12)


def new_secret(settings: Settings, now: float) -> str:
    """A new secret of full entropy, :rfc:`6749#section-10.10`."""
    return values.new(settings.prefixes["client_secret"], values.timestamp(now))


def default_response_types(grant_types: tuple[str, ...], server: AuthorizationServer) -> tuple[str, ...]:
    """For each grant that begins at the authorization endpoint its first response type, :rfc:`7591#section-2.1`."""
    first: dict[str, str] = {}
    for response_type in server.capabilities.response_types.values():
        first.setdefault(response_type.grant_type, response_type.name)
    return tuple(first[grant] for grant in grant_types if grant in first)


def _client_id(client: Client, server: AuthorizationServer) -> None:
    check_client_id(client.client_id)
    if client.auth_method in SECRET_METHODS and set(client.client_id) & set(":+%"):
        raise InvalidMetadata("client_id", "may not hold : or + or %, which clients send in different ways by Basic")


def _name(client: Client, server: AuthorizationServer) -> None:
    """People decide by it (:rfc:`7591#section-5`), so nothing in it may hide or reorder what they read."""
    name = client.name
    if len(name) > LONGEST_NAME:
        raise InvalidMetadata("client_name", f"has {len(name)} characters: take at most {LONGEST_NAME}")
    if not name.isprintable() or name != name.strip():
        raise InvalidMetadata("client_name", "must be printable, without control characters or spaces around it")
    if _UNSEEN.search(name) or _PILED.search(unicodedata.normalize("NFD", name)):
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
    """Each as :func:`flask_oauth2.http.redirects.check_registration` says."""
    for uri in client.redirect_uris:
        try:
            redirects.check_registration(uri)
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
    if client.auth_method in SECRET_METHODS and not client.secret:
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


def is_page(value: object) -> bool:
    """Whether it is the URL of a page or an image that people may be shown."""
    if not isinstance(value, str) or not _PAGE.match(value) or urls.find_host_fault(value) is not None:
        return False
    return urls.is_https(value) or urls.is_loopback(value)


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
