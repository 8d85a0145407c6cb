"""The ``authorization_details`` parameter, :rfc:`9396`: permissions that a scope cannot express.

A request may have both. The user allows them together, section 3.1.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ..authorization_details import AuthorizationDetailsType, Detail, write
from ..errors import AccessDenied, InvalidAuthorizationDetails, update_client
from ..http.json import check_limits, check_unicode, parse_array
from ..http.messages import Params
from ..records import Client, Consent
from ..server import AuthorizationServer
from .request import AuthorizationRequest

LONGEST = 10_000
"""The maximum number of characters."""

MOST = 20
"""The maximum number of details in a request. The server saves them with each code and token."""

DEEPEST = 10
"""The maximum number of nested arrays and objects."""

MOST_VALUES = 500
"""The maximum number of values in a request, at all levels together."""

NAME = "authorization_details"


def check(draft: AuthorizationRequest, server: AuthorizationServer) -> AuthorizationRequest:
    """Set the details, see :func:`read`."""
    if NAME not in draft.params.values:
        return draft
    return draft._replace(authorization_details=read(draft.params, draft.client, server))


def read(params: Params, client: Client, server: AuthorizationServer) -> tuple[Detail, ...]:
    """Return the requested details. Raise :exc:`InvalidAuthorizationDetails` unless all are valid, section 5."""
    text = params.get(NAME)
    if text is None:
        return ()
    if len(text) > LONGEST:
        raise _invalid("authorization_details are too long", f"at most {LONGEST} characters", len(text))
    try:
        details = parse_array(text.encode())
    except ValueError as error:
        raise _invalid("authorization_details must be a JSON array", "an array of objects", str(error)) from None
    if not 1 <= len(details) <= MOST:
        raise _invalid("authorization_details has too few or too many elements", f"1 to {MOST}", len(details))
    if any(not isinstance(detail, dict) or not isinstance(detail.get("type"), str) for detail in details):
        raise _invalid("each element of authorization_details must be an object with a type", "a string as type")
    try:
        check_limits(details, DEEPEST, MOST_VALUES)
        check_unicode(details, text.encode())
    except ValueError as error:
        raise _invalid(f"authorization_details {error}", f"at most {DEEPEST} levels and {MOST_VALUES} values") from None
    for detail in details:
        find_type(server, client, detail).check(detail, client)
    return tuple(details)


def find_type(server: AuthorizationServer, client: Client, detail: Detail) -> AuthorizationDetailsType:
    """Return the type of a detail. Raise :exc:`InvalidAuthorizationDetails` if the client may not use it."""
    types, registered = server.capabilities.details_types, client.metadata.get("authorization_details_types")
    found: AuthorizationDetailsType | None = types.get(detail["type"])
    if found is None:
        raise _invalid("authorization_details have an unknown type", f"one of {', '.join(types) or 'no types'}")
    if registered and found.name not in registered:
        options = " ".join(f"--authorization-details-type {name}" for name in (*registered, found.name))
        raise InvalidAuthorizationDetails(
            f"the client is not registered for authorization_details of the type {found.name}",
            expected=f"one of {', '.join(registered)}",
            hint=f"register the client for it: {update_client(client.client_id, options)}",
        )
    return found


def describe(
    server: AuthorizationServer, client: Client, details: Iterable[Detail], consent: Consent | None
) -> list[tuple[str, bool]]:
    """Return the text of the consent page for each detail, and whether an earlier consent does not cover it."""
    return [
        (
            find_type(server, client, detail).check(detail, client),
            consent is None or not are_remembered(server, client, consent, [detail]),
        )
        for detail in details
    ]


def describe_earlier(server: AuthorizationServer, client: Client | None, consent: Consent) -> list[str]:
    """Return the text for each detail of an earlier consent whose type is still known."""
    shown, types = client or Client(client_id=consent.client_id), server.capabilities.details_types
    known = [detail for detail in consent.authorization_details if detail["type"] in types]
    return [types[detail["type"]].describe_earlier(detail, shown) for detail in known]


def grant(
    server: AuthorizationServer, client: Client, details: Sequence[Detail], user_id: str | None
) -> tuple[Detail, ...]:
    """Return the details that are granted. Raise :exc:`AccessDenied` if there were some and none is left."""
    found = (find_type(server, client, detail).grant(detail, user_id) for detail in details)
    granted = tuple(detail for detail in found if detail is not None)
    if details and not granted:
        raise AccessDenied("none of the requested authorization_details was granted", rule="rfc9396 7.1")
    return granted


def grant_without_user(
    server: AuthorizationServer, params: Params, client: Client, user_id: str | None
) -> tuple[Detail, ...]:
    """Return the details of a token request for which the server shows no consent page, section 6.

    Raise :exc:`InvalidAuthorizationDetails` unless the operator has registered the client for their types.
    """
    details = read(params, client, server)
    if details and (client.is_unverified or not client.metadata.get("authorization_details_types")):
        raise InvalidAuthorizationDetails(
            "the client is not registered for authorization_details without the consent of a user",
            rule="rfc9396 6",
            expected="a client that the operator has registered for these types",
            hint="register it: "
            + update_client(client.client_id, f"--authorization-details-type {details[0]['type']}"),
        )
    return grant(server, client, details, user_id)


def choose(
    server: AuthorizationServer, params: Params, client: Client, granted: tuple[Detail, ...], audience: tuple[str, ...]
) -> tuple[Detail, ...]:
    """Return the details of an access token: those that the token request asks for, or all that were granted.

    Only details for the ``audience`` are part of the token, section 9.1. Raise :exc:`InvalidAuthorizationDetails` if
    the request asks for more than was granted, section 6.
    """
    requested = read(params, client, server)
    details = tuple(_narrow(server, client, granted, detail) for detail in requested) or granted
    return tuple(detail for detail in details if _is_for(detail, audience))


def are_remembered(server: AuthorizationServer, client: Client, consent: Consent, details: Iterable[Detail]) -> bool:
    """Return whether the user has consented to all of these details before."""
    for detail in details:
        kind = find_type(server, client, detail)
        if not kind.is_remembered or not any(
            kind.narrow(dict(allowed), detail) for allowed in consent.authorization_details
        ):
            return False
    return True


def to_remember(server: AuthorizationServer, details: Iterable[Detail]) -> tuple[Detail, ...]:
    """Return the details that a consent saves."""
    types = server.capabilities.details_types
    return tuple(detail for detail in details if types[detail["type"]].is_remembered)


def write_each(details: Iterable[Detail]) -> tuple[str, ...]:
    """Return each detail as text that is equal for equal details."""
    return tuple(map(write, details))


def _narrow(server: AuthorizationServer, client: Client, granted: tuple[Detail, ...], requested: Detail) -> Detail:
    kind = find_type(server, client, requested)
    for detail in granted:
        narrowed = kind.narrow(detail, requested)
        if narrowed is not None:
            return narrowed
    raise InvalidAuthorizationDetails(
        "the grant does not permit these authorization_details",
        rule="rfc9396 6",
        expected="at most what was granted",
        hint="let the client request no more than the authorization_details of its token response",
    )


def _is_for(detail: Detail, audience: tuple[str, ...]) -> bool:
    """Return whether a detail is for a protected resource: ``locations`` may name it, or a part of it."""
    locations = detail.get("locations")
    if not audience or not isinstance(locations, list):
        return True
    return any(_is_below(one, other) or _is_below(other, one) for one in audience for other in map(str, locations))


def _is_below(url: str, other: str) -> bool:
    return f"{url.rstrip('/')}/".startswith(f"{other.rstrip('/')}/")


def _invalid(fault: str, expected: str, received: object = None) -> InvalidAuthorizationDetails:
    return InvalidAuthorizationDetails(fault, expected=expected, received=received)
