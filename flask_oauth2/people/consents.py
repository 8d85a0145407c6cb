"""Consents and the authorizations that rest on them.

A user's new permission adds to what the user allowed the client before, even if another request writes the same consent
at the same time.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

from .. import revocation, signals, values
from ..context import EMPTY, Context
from ..errors import TemporarilyUnavailable
from ..records import Authorization, Consent
from ..scopes import Scope
from ..server import AuthorizationServer
from ..stores.base import ConsentStore, widened

_TRIES = 5
"""How often a consent is saved that other requests change at the same time."""

Made = TypeVar("Made")


class Permission(NamedTuple):
    """The scope that a user allows a client at protected resources."""

    user_id: str
    client_id: str
    scope: Scope
    resource: tuple[str, ...]
    auth_time: int | None
    """The time when the user was authenticated. 0 for a session that a cookie has restored."""
    acr: str | None
    details: tuple[dict[str, Any], ...] = ()
    """The authorization details that are granted, :rfc:`9396`."""
    remembered_details: tuple[dict[str, Any], ...] = ()
    """The authorization details that the consent saves."""

    @property
    def context(self) -> Context:
        """The context of the authorization."""
        if not (self.resource or self.auth_time or self.acr or self.details):
            return EMPTY
        return Context(
            resource=self.resource,
            auth_time=self.auth_time or None,
            acr=self.acr or None,
            authorization_details=self.details,
        )


def authorize(
    server: AuthorizationServer,
    permission: Permission,
    consent: Consent | None,
    make: Callable[[Authorization], Made],
    now: float,
    *,
    is_new: bool = True,
) -> Made:
    """Return what ``make`` returns for the new authorization, once the consent that it rests on is saved.

    ``make`` runs before that, so that nothing can fail afterwards, and again if another request has changed the consent
    or withdrawn it meanwhile. Raise :exc:`TemporarilyUnavailable` if that happens too often.

    :param consent: the consent of that user and client that the store has.
    :param is_new: whether the user has just given the permission. If not, it rests on ``consent``.
    """
    context = permission.context
    consents = server.consents if is_new else None
    moment = max(now, server.last_revocation.first_moment)  # later than each revocation of the user
    for _ in range(_TRIES):
        basis = consent
        if consents is not None:
            basis = widened(
                consent,
                permission.user_id,
                permission.client_id,
                permission.scope,
                moment,
                permission.resource,
                permission.remembered_details,
            )
        authorization = Authorization(
            id=values.new_authorization_id(moment),
            client_id=permission.client_id,
            user_id=permission.user_id,
            scope=permission.scope,
            consent_id=basis.id if basis else None,
            context=context,
        )
        made = make(authorization)
        if consents is None or basis is None or consents.set_consent(basis, consent):
            return made
        consent = consents.get_consent(permission.user_id, permission.client_id)
    raise TemporarilyUnavailable("concurrent requests change this consent too often", retry_after=1)


def revoke_consent(server: AuthorizationServer, consents: ConsentStore, user_id: str, client_id: str) -> bool:
    """Delete a consent and revoke everything that rests on it. Return whether it existed."""
    consent = consents.get_consent(user_id, client_id)
    if consent is None or not consents.delete_consent(
        user_id, client_id, revocation.expires_at(server, server.clock())
    ):
        return False
    revocation.publish(server, consent.id)
    server.events.emit(signals.consent_withdrawn, client_id=client_id, user_id=user_id)
    return True


_DAY = 86400


def record_use(server: AuthorizationServer, authorization: Authorization, before: int, now: float) -> None:
    """Record that a client received something for a consent: the first time of each day (UTC), which users can see."""
    is_first = authorization.consent_id is not None and before // _DAY != int(now) // _DAY
    if is_first and authorization.user_id and server.consents is not None:
        server.consents.use_consent(authorization.user_id, authorization.client_id, int(now))
