"""Checks of single values of client metadata.

A check of a member raises :exc:`ValueError` with the reason; :mod:`.metadata` names the check of each member.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping
from ipaddress import ip_address
from typing import Any

from .. import scopes
from ..http import redirects, urls
from ..records import Client
from ..server import AuthorizationServer

LONGEST_ID = 255
"""Characters of a client_id or a line. Stores save them in columns of this length."""

LONGEST_NAME = 100
"""Characters of a name. Pages show it in one line."""

APPLICATION_TYPES = ("web", "native")

GIVES_NO_REFRESH_TOKEN = frozenset({"client_credentials", "implicit", "refresh_token"})
"""Grants without a refresh token, :rfc:`6749#section-4.4.3` and 4.2.2; ``refresh_token`` itself needs another grant."""

is_vschar = re.compile(r"[\x20-\x7e]*").fullmatch
"""Match a client_id or a client secret: ``*VSCHAR``, :rfc:`6749#appendix-A`.

Other characters make values equal that are not: HMAC pads its key with NULs, and a database may ignore accents.
"""

_INVISIBLE = re.compile("[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\uffa0]")
"""Characters that are printable and show nothing."""

_MARKS = "[\u0300-\u036f\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff]"
"""Combining marks."""

_STACKED_MARKS = re.compile(f"{_MARKS}{{4}}")
"""More marks over one letter than any language has."""

_SURPLUS_MARKS = re.compile(f"({_MARKS}{{3}}){_MARKS}+")

_PAGE = re.compile(r"[A-Za-z0-9\-._~:/?#\[\]@!$&'()*+,;=%]+\Z")


class InvalidMetadata(ValueError):
    """Client metadata that is not valid.

    :param field: the name of the member in :rfc:`7591#section-2`, or of the attribute of the client.
    :param reason: what is wrong and what is expected; never a secret.
    """

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(f"{field}: {reason}")
        self.field = field
        self.reason = reason


def clean_name(text: str) -> str:
    """Return a name that a client gave itself in the form that pages can show.

    Characters that are not printable or not visible are removed, joiners among them. A name that is too long is cut.
    """
    decomposed = unicodedata.normalize("NFD", text[: 10 * LONGEST_NAME])
    text = unicodedata.normalize("NFC", _SURPLUS_MARKS.sub(r"\1", decomposed))
    shown = (letter if letter.isprintable() else " " * letter.isspace() for letter in _INVISIBLE.sub("", text))
    text = " ".join("".join(shown).split())
    return text if len(text) <= LONGEST_NAME else f"{text[: LONGEST_NAME - 1].rstrip()}…"


def is_visible(name: str) -> bool:
    """Return whether users see all of a name: no invisible character, no letter under a stack of marks."""
    return not (_INVISIBLE.search(name) or _STACKED_MARKS.search(unicodedata.normalize("NFD", name)))


def is_line(value: object) -> bool:
    """Return whether the value is one printable line that fits into a column."""
    return isinstance(value, str) and 1 <= len(value) <= LONGEST_ID and value.isprintable()


def is_page(value: object) -> bool:
    """Return whether the value is the URL of a page or an image that pages may show to users."""
    if not isinstance(value, str) or not _PAGE.match(value) or urls.find_host_fault(value) is not None:
        return False
    return urls.is_https(value) or urls.is_loopback(value)


def check_name(value: str, client: Client, server: AuthorizationServer) -> None:
    """Verify that no character of a name hides or reorders text. Users decide by it, :rfc:`7591#section-5`."""
    if len(value) > LONGEST_NAME:
        raise ValueError(f"has {len(value)} characters. Use at most {LONGEST_NAME}")
    if not value.isprintable() or value != value.strip():
        raise ValueError("must be printable, without control characters or surrounding spaces")
    if not is_visible(value):
        raise ValueError("must consist of characters that users see")


def check_application_type(value: str, client: Client, server: AuthorizationServer) -> None:
    """:rfc:`8252#section-8.4`: "Authorization servers MUST record the client type in the client registration"."""
    if value not in APPLICATION_TYPES:
        raise ValueError(f"must be {' or '.join(APPLICATION_TYPES)}")


def check_auth_method(value: str, client: Client, server: AuthorizationServer) -> None:
    """:rfc:`7591#section-2`: a method that the server offers."""
    known = ["none", *(method.name for method in server.capabilities.auth_methods)]
    if value not in known:
        raise ValueError(f"{value!r} is not a known method. Known methods: {', '.join(known)}")
    if value == "tls_client_auth":
        from ..keys.certificates import SUBJECT_MEMBERS

        # "A client using the "tls_client_auth" authentication method MUST use exactly one of" them, RFC 8705 2.1.2
        if len([name for name in SUBJECT_MEMBERS if client.metadata.get(name)]) != 1:
            raise ValueError(f"tls_client_auth needs exactly one of {', '.join(SUBJECT_MEMBERS)}")


def check_redirect_uris(value: list[str], client: Client, server: AuthorizationServer) -> None:
    """Check each as :func:`flask_oauth2.http.redirects.check_registration` does."""
    for uri in value:
        try:
            redirects.check_registration(uri)
        except ValueError as error:
            raise ValueError(f"{uri!r} {error}") from None


def check_grant_types(value: list[str], client: Client, server: AuthorizationServer) -> None:
    """:rfc:`7591#section-2`: grant types that the server offers, at least one unless the client only introspects."""
    offered = server.capabilities.grant_types
    for name in value:
        if name not in offered:
            raise ValueError(f"{name!r} is not offered. Offered: {', '.join(offered)}. Add it to OAUTH2_GRANT_TYPES")
    if not value and not client.resource_server:
        raise ValueError(f"is empty. Name at least one of {', '.join(offered)}")
    if "refresh_token" in value and GIVES_NO_REFRESH_TOKEN.issuperset(value):
        # :rfc:`6749#section-6`: a refresh token is issued together with an access token of another grant
        raise ValueError("refresh_token needs another grant that issues refresh tokens, such as authorization_code")


def check_response_types(value: list[str], client: Client, server: AuthorizationServer) -> None:
    """:rfc:`7591#section-2`: response types that the server offers, their names in any order."""
    offered = server.capabilities.response_type_sets
    for text in value:
        if not any(sorted(text.split(" ")) == sorted(known) for known in offered):
            hint = f"Offered: {', '.join(map(' '.join, offered))}" if offered else "Remove it"
            raise ValueError(f"{text!r} is not offered. {hint}")
    if value and not client.redirect_uris:
        # "authorization servers MUST require [it]", :rfc:`7591#section-5`, :rfc:`6749#section-3.1.2.2`
        raise InvalidMetadata(
            "redirect_uris", "is empty. A client that uses the authorization endpoint registers at least one"
        )


def check_scope(value: str, client: Client, server: AuthorizationServer) -> None:
    """Scope values of the grammar of :rfc:`6749#section-3.3`, and of ``OAUTH2_SCOPES`` if it is set."""
    scopes.parse_option(client.scope)
    known = server.settings.scopes
    unknown = [name for name in client.scope if known and name not in known]
    if unknown:
        raise ValueError(
            f"unknown scope {' '.join(unknown)!r}. Known scopes: {', '.join(known)}. Add it to OAUTH2_SCOPES or choose "
            "one of these"
        )


def check_jwks(value: dict[str, Any], client: Client, server: AuthorizationServer) -> None:
    """Check a JWK set of public keys, :rfc:`7591#section-2`: a private key in it is disclosed."""
    from ..keys.jwk import MAX_KEYS, has_private_members

    keys = value.get("keys")
    if not isinstance(keys, list) or len(keys) > MAX_KEYS or not all(isinstance(key, dict) for key in keys):
        raise ValueError(f"must be a JWK set: an object with a list keys of at most {MAX_KEYS} objects")
    if any(map(has_private_members, keys)):
        raise ValueError("contains a private or symmetric key. Register the public key only, and replace this key")


def check_jwks_uri(value: str, client: Client, server: AuthorizationServer) -> None:
    """Check a URL from which the server may fetch keys. http is for the hosts that the settings allow."""
    from ..keys.encoding import JOSEError
    from ..keys.remote import check_url

    try:
        check_url(value, may_be_own=True)
    except JOSEError:
        raise ValueError("must be an https URL without user name and fragment") from None


def check_signing_algorithm(value: str, client: Client, server: AuthorizationServer) -> None:
    """Check that the client's authentication method has the algorithm, OpenID Connect Registration section 2."""
    for method in server.capabilities.auth_methods:
        known = getattr(method, "signing_algorithms", ())
        if method.name == client.auth_method and known and value not in known:
            raise ValueError(f"{value!r} is not offered. Offered: {', '.join(known)}")


def has_signing_key(jwks: Mapping[str, Any], algorithms: Iterable[str]) -> bool:
    """Return whether a JWK set is valid and contains a usable public key for one of the signature algorithms."""
    from ..keys.algorithms import SIGNATURES
    from ..keys.encoding import JOSEError
    from ..keys.remote import read_inline

    known = [SIGNATURES[name] for name in algorithms]
    try:
        keys = read_inline(jwks).keys
    except JOSEError:
        return False
    return any(key.fits(algorithm, "sig") for key in keys for algorithm in known)


def check_details_types(value: list[str], client: Client, server: AuthorizationServer) -> None:
    """Check that the server has these types of authorization details, :rfc:`9396#section-10`."""
    known = server.capabilities.details_types
    unknown = [name for name in value if name not in known]
    if unknown:
        raise ValueError(
            f"has unknown types: {' '.join(unknown)}. Known types: {', '.join(known) or 'none'}. Register a type with "
            "@provider.authorization_details()"
        )


def check_token_format(value: str, client: Client, server: AuthorizationServer) -> None:
    """Check that the server has the format."""
    if value not in server.capabilities.formats:
        if value == "jwt":
            raise ValueError("'jwt' needs signing keys, which other parties know. Set OAUTH2_SIGNING_ALGORITHMS")
        known = ", ".join(server.capabilities.formats)
        raise ValueError(f"{value!r} is not a known format. Known formats: {known}")


def check_dpop(value: bool, client: Client, server: AuthorizationServer) -> None:
    """Check that the server can bind the tokens of a client that needs it."""
    if value and server.settings.dpop == "off":
        raise ValueError("this server issues no tokens that are bound by DPoP. Set OAUTH2_DPOP to 'optional'")


def check_bound_to_certificate(value: bool, client: Client, server: AuthorizationServer) -> None:
    """Check that the server can bind the tokens of a client that needs it."""
    if value and not server.settings.mutual_tls:
        raise ValueError("this server issues no tokens that are bound to certificates. Set OAUTH2_MUTUAL_TLS to True")


def check_distinguished_name(value: str, client: Client, server: AuthorizationServer) -> None:
    """Check a subject of a certificate, such as ``CN=client,O=Example``."""
    from ..keys import certificates

    try:
        certificates.check_distinguished_name(value)
    except ValueError:
        raise ValueError("must be a distinguished name of RFC 4514, such as CN=client,O=Example,C=DE") from None


def check_ip_address(value: str, client: Client, server: AuthorizationServer) -> None:
    """Check an IP address in text form."""
    try:
        ip_address(value)
    except ValueError:
        raise ValueError("must be an IPv4 or IPv6 address") from None
