"""Client metadata, :rfc:`7591#section-2`: one table with a row for each member.

Dynamic registration, metadata documents, developer pages, the command line, the import of other libraries' tables, an
application's own client objects and the reference documentation read this table. A new member is one row and, if it
needs one, a check in ``validators.py``.

A member without an attribute is saved in ``Client.metadata``, which every store saves as one JSON object. A member with
an attribute has a column of its own, and needs a field of :class:`~flask_oauth2.records.Client` and a migration.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from enum import Enum
from typing import Any, Literal

from ..records import Client
from ..server import AuthorizationServer
from . import validators
from .validators import InvalidMetadata
from .value_types import (
    APPLICATION_TYPE,
    CHOICE,
    DENIED,
    FLAG,
    GRANT_TYPES,
    JWKS,
    LINE,
    LINES,
    NAME,
    SCOPE,
    TEXT,
    TEXTS,
    TIME,
    URL,
    Text,
)


class Party(Enum):
    """A party that sets members of a client."""

    REGISTRATION = "dynamic registration"
    DOCUMENT = "metadata document"
    DEVELOPER = "developer pages"
    OPERATOR = "command line"


_SOFTWARE = frozenset({Party.REGISTRATION})
_ALL = frozenset(Party)
_OPERATOR = frozenset({Party.OPERATOR})
_PAGE = frozenset({Party.REGISTRATION, Party.DEVELOPER, Party.OPERATOR})


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """A row of the table."""

    name: str
    """The name in :rfc:`7591#section-2`, or the name that the command line prints."""
    type: Text
    description: str
    """One sentence for the reference documentation and the help of the command line."""
    set_by: frozenset[Party] = frozenset()
    """The parties that may set the member. Others have it ignored."""
    attribute: str = ""
    """The attribute of the client. Empty: the member is a key of its ``metadata``."""
    default: Any = None
    """The value that registration assumes for an absent member."""
    check: Callable[[Any, Client, AuthorizationServer], None] | None = None
    """Raises :exc:`ValueError` with a reason for a value that is not valid. The type has been checked before."""
    drops_invalid: bool = False
    """Registration and metadata documents ignore a value that is not valid. Otherwise it rejects the client."""
    is_own_page: bool = False
    """The member is a page or an image for users. If the client registered itself, it is on the client's host."""
    option: str = ""
    """The option of the command line, if not ``--`` and the name with hyphens."""
    metavar: str | None = None
    """The placeholder in the help of the option, if not the one of the type."""
    is_clearable: bool = True
    """``client update --clear`` may empty the member."""
    column: Literal["", "always", "if set"] = ""
    """When ``client list`` shows the member."""
    label: str = ""
    """The label on developer pages, in English."""
    in_response: bool = True
    """The client information response contains the member, :rfc:`7591#section-3.2.1`."""
    in_response_if_empty: bool = True

    @property
    def option_name(self) -> str:
        """The option of the command line, with its negative form."""
        if self.option:
            return self.option
        name = self.name.replace("_", "-")
        return f"--{name}/--no-{name}" if self.type.is_flag else f"--{name}"

    def read(self, client: Client) -> Any:
        """Return the value of a client in the form of JSON, or None if it has none."""
        if not self.attribute:
            return client.metadata.get(self.name)
        return self.type.from_attribute(getattr(client, self.attribute))

    def parse(self, value: Any, *, is_bounded: bool = True) -> Any:
        """Return a value that a client sends for itself, or the default if it sends none.

        Raises :exc:`.InvalidMetadata` for a value of another type, unless the member drops it.
        """
        # null is the same as a member that is left out, :rfc:`7592#section-2.2`; some clients send empty texts
        if value is None or (value == "" and not self.attribute):
            return self.default
        if self.drops_invalid:
            return self.type.salvage(value, is_bounded=is_bounded)
        try:
            return self.type.parse(value, is_bounded=is_bounded)
        except ValueError as error:
            raise InvalidMetadata(self.name, str(error)) from None

    def verify(self, client: Client, server: AuthorizationServer) -> None:
        """Raise :exc:`.InvalidMetadata` unless the value of the client is valid."""
        value = self.read(client)
        is_saved = not self.attribute and self.name in client.metadata
        try:
            if is_saved:
                self.type.parse(value, is_bounded=False)
            if self.check is not None and value is not None:
                self.check(value, client, server)
        except InvalidMetadata:
            raise
        except ValueError as error:
            raise InvalidMetadata(self.name, str(error)) from None


MEMBERS: tuple[Member, ...] = (
    Member(
        name="client_id",
        type=TEXT,
        attribute="client_id",
        description="Client identifier, unique at this server.",
        column="always",
    ),
    Member(
        name="client_id_issued_at",
        type=TIME,
        attribute="created_at",
        description="Time of the registration.",
    ),
    Member(
        name="client_name",
        type=NAME,
        attribute="name",
        description="Name that users see.",
        set_by=_ALL,
        check=validators.check_name,
        option="--name",
        is_clearable=False,
        column="always",
        label="Name",
        in_response_if_empty=False,
    ),
    Member(
        name="application_type",
        type=APPLICATION_TYPE,
        attribute="application_type",
        description="Kind of application: native or web. Default: web.",
        set_by=frozenset({Party.REGISTRATION, Party.OPERATOR}),
        default="web",
        check=validators.check_application_type,
        option="--native/--web",
        is_clearable=False,
    ),
    Member(
        name="token_endpoint_auth_method",
        type=TEXT,
        attribute="auth_method",
        description="Client authentication method: client_secret_basic (default), client_secret_post, private_key_jwt, "
        "none, or the name of a registered method.",
        set_by=frozenset({Party.REGISTRATION, Party.DOCUMENT, Party.OPERATOR}),
        default="client_secret_basic",
        check=validators.check_auth_method,
        option="--auth-method",
        is_clearable=False,
        column="always",
    ),
    Member(
        name="token_endpoint_auth_signing_alg",
        type=TEXT,
        description="Algorithm of client assertions, such as ES256. Default: any that the server offers.",
        set_by=frozenset({Party.REGISTRATION, Party.DOCUMENT, Party.OPERATOR}),
        check=validators.check_signing_algorithm,
    ),
    Member(
        name="jwks",
        type=JWKS,
        description="JWK set with the public keys of the client: a file in JSON.",
        set_by=_ALL,
        check=validators.check_jwks,
        label="Public keys (JWK set)",
    ),
    Member(
        name="jwks_uri",
        type=URL,
        description="URL of the JWK set with the public keys of the client.",
        set_by=_ALL,
        check=validators.check_jwks_uri,
        label="URL of the public keys",
    ),
    Member(
        name="redirect_uris",
        type=TEXTS,
        attribute="redirect_uris",
        description="Complete redirect URIs; repeatable.",
        set_by=_ALL,
        check=validators.check_redirect_uris,
        option="--redirect-uri",
        metavar="URI",
        label="Redirect URIs",
    ),
    Member(
        name="grant_types",
        type=GRANT_TYPES,
        attribute="grant_types",
        description="Grant types, such as device_code; repeatable.",
        set_by=frozenset({Party.REGISTRATION, Party.DOCUMENT, Party.OPERATOR}),
        check=validators.check_grant_types,
        option="--grant-type",
        is_clearable=False,
        column="always",
    ),
    Member(
        name="response_types",
        type=TEXTS,
        attribute="response_types",
        description="Response types; repeatable. Default: those of the grant types.",
        set_by=frozenset({Party.REGISTRATION, Party.DOCUMENT, Party.OPERATOR}),
        check=validators.check_response_types,
        option="--response-type",
        is_clearable=False,
    ),
    Member(
        name="require_pushed_authorization_requests",
        type=FLAG,
        description="Accept only authorization requests that the client pushes. Default: as "
        "OAUTH2_REQUIRE_PUSHED_AUTHORIZATION_REQUESTS says.",
        set_by=frozenset({Party.REGISTRATION, Party.DOCUMENT, Party.OPERATOR}),
        option="--require-par/--no-require-par",
    ),
    Member(
        name="scope",
        type=SCOPE,
        attribute="scope",
        description='Scope that the client may request: "a b", or repeated.',
        set_by=_PAGE,
        check=validators.check_scope,
        column="always",
        label="Permissions",
    ),
    Member(
        name="client_uri",
        type=URL,
        description="Home page of the client, a link for users.",
        set_by=_ALL,
        drops_invalid=True,
        is_own_page=True,
        label="Home page",
    ),
    Member(
        name="logo_uri",
        type=URL,
        description="Logo of the client, shown to users.",
        set_by=_PAGE,
        drops_invalid=True,
        is_own_page=True,
        label="Logo",
    ),
    Member(
        name="policy_uri",
        type=URL,
        description="Privacy policy of the client, a link for users.",
        set_by=_ALL,
        drops_invalid=True,
        is_own_page=True,
        label="Privacy policy",
    ),
    Member(
        name="tos_uri",
        type=URL,
        description="Terms of service of the client, a link for users.",
        set_by=_ALL,
        drops_invalid=True,
        is_own_page=True,
        label="Terms of service",
    ),
    Member(
        name="contacts",
        type=LINES,
        description="Addresses of the people responsible for the client.",
        set_by=_SOFTWARE,
        drops_invalid=True,
    ),
    Member(
        name="software_id",
        type=LINE,
        description="Identifier of the software, the same in every copy.",
        set_by=_SOFTWARE,
        drops_invalid=True,
    ),
    Member(
        name="software_version",
        type=LINE,
        description="Version of the software.",
        set_by=_SOFTWARE,
        drops_invalid=True,
    ),
    Member(
        name="authorization_details_types",
        type=TEXTS,
        description="Types of authorization details that the client may request; repeatable. Default: all, with the "
        "consent of the user.",
        set_by=frozenset({Party.REGISTRATION, Party.DOCUMENT, Party.OPERATOR}),
        check=validators.check_details_types,
        option="--authorization-details-type",
        metavar="TYPE",
    ),
    Member(
        name="token_format",
        type=CHOICE,
        attribute="token_format",
        description="Format of access tokens: opaque, signed or jwt. Overrides OAUTH2_ACCESS_TOKEN_FORMAT.",
        set_by=_OPERATOR,
        check=validators.check_token_format,
        in_response=False,
    ),
    Member(
        name="pkce_required",
        type=FLAG,
        attribute="pkce_required",
        description="Require PKCE. Overrides OAUTH2_PKCE_REQUIRED.",
        set_by=_OPERATOR,
        option="--pkce/--no-pkce",
        in_response=False,
    ),
    Member(
        name="dpop_bound_access_tokens",
        type=FLAG,
        description="Issue access tokens only for requests with a DPoP proof, RFC 9449.",
        set_by=frozenset({Party.REGISTRATION, Party.DOCUMENT, Party.OPERATOR}),
        check=validators.check_dpop,
    ),
    Member(
        name="tls_client_certificate_bound_access_tokens",
        type=FLAG,
        description="Issue access tokens that are bound to the TLS client certificate, RFC 8705.",
        set_by=frozenset({Party.REGISTRATION, Party.DOCUMENT, Party.OPERATOR}),
        check=validators.check_bound_to_certificate,
    ),
    Member(
        name="tls_client_auth_subject_dn",
        type=LINE,
        description="Subject of the client certificate, RFC 4514, for tls_client_auth.",
        set_by=frozenset({Party.REGISTRATION, Party.OPERATOR}),
        check=validators.check_distinguished_name,
    ),
    Member(
        name="tls_client_auth_san_dns",
        type=LINE,
        description="DNS name in the client certificate, for tls_client_auth.",
        set_by=frozenset({Party.REGISTRATION, Party.OPERATOR}),
    ),
    Member(
        name="tls_client_auth_san_uri",
        type=LINE,
        description="URI in the client certificate, for tls_client_auth.",
        set_by=frozenset({Party.REGISTRATION, Party.OPERATOR}),
    ),
    Member(
        name="tls_client_auth_san_ip",
        type=LINE,
        description="IP address in the client certificate, for tls_client_auth.",
        set_by=frozenset({Party.REGISTRATION, Party.OPERATOR}),
        check=validators.check_ip_address,
    ),
    Member(
        name="tls_client_auth_san_email",
        type=LINE,
        description="Email address in the client certificate, for tls_client_auth.",
        set_by=frozenset({Party.REGISTRATION, Party.OPERATOR}),
    ),
    Member(
        name="resource_server",
        type=FLAG,
        attribute="resource_server",
        description="Allow the client to introspect the tokens of other clients.",
        set_by=_OPERATOR,
        is_clearable=False,
        in_response=False,
    ),
    Member(
        name="registered_by",
        type=TEXT,
        attribute="registered_by",
        description="How the client was registered: open, token, developer or document; empty by the operator.",
        column="if set",
        in_response=False,
    ),
    Member(
        name="expires_at",
        type=TIME,
        attribute="expires_at",
        description="Time at which an unused client is deleted.",
        column="if set",
        in_response=False,
    ),
    Member(
        name="denied",
        type=DENIED,
        attribute="denied",
        description="Scope values and grant types that the operator has denied to the client.",
        in_response=False,
    ),
)
"""In the order in which clients are checked and shown."""


def settable_by(party: Party) -> list[Member]:
    """Return the members that a party may set."""
    return [member for member in MEMBERS if party in member.set_by]


def json_members() -> list[Member]:
    """Return the members that are saved in ``Client.metadata``."""
    return [member for member in MEMBERS if not member.attribute]


def page_names() -> list[str]:
    """Return the names of the members that are pages or images of the client."""
    return [member.name for member in MEMBERS if member.is_own_page]


def assign(client: Client, members: Iterable[Member], values: Mapping[str, Any]) -> Client:
    """Return the client with these values of members in the form of JSON.

    A member without a value is emptied: "Omitted fields MUST be treated as null or empty values by the server,
    indicating the client's request to delete them", :rfc:`7592#section-2.2`.
    """
    attributes: dict[str, Any] = {}
    saved: dict[str, Any] = dict(client.metadata)
    for member in members:
        value = values.get(member.name)
        if member.attribute:
            attributes[member.attribute] = member.type.to_attribute(value)
        else:
            saved.pop(member.name, None)
            if value is not None:
                saved[member.name] = value
    return replace(client, **attributes, metadata=saved)


def describe(client: Client) -> dict[str, Any]:
    """Return every value of a client that the client may know, :rfc:`7591#section-3.2.1`."""
    values = {
        member.name: (member, member.read(client)) for member in MEMBERS if member.attribute and member.in_response
    }
    shown = {name: value for name, (member, value) in values.items() if value or member.in_response_if_empty}
    return {**shown, **client.metadata}


def describe_all(client: Client) -> dict[str, Any]:
    """Return every value of a client, for the operator. The hash of the secret is not among them."""
    return {**describe(client), **{member.name: member.read(client) for member in MEMBERS if member.attribute}}


def reference_rows() -> list[tuple[str, str, str, str, str]]:
    """Return the rows of the reference documentation: name, type, description, parties that set it, option."""
    rows = []
    for member in MEMBERS:
        parties = ", ".join(party.value for party in Party if party in member.set_by) or "the server"
        option = f"``{member.option_name}``" if Party.OPERATOR in member.set_by else ""
        rows.append((f"``{member.name}``", member.type.name, member.description, parties, option))
    return rows
