"""Consent as it is kept: what a user allows is added to what they allowed before, whoever else writes meanwhile."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from . import revocation, signals
from .errors import TemporarilyUnavailable
from .records import Authorization, Consent
from .stores.base import ConsentStore

if TYPE_CHECKING:
    from .server import AuthorizationServer

_TRIES = 5
"""How often a consent is written that others write at the same time."""

Made = TypeVar("Made")


def keep_consent(
    consents: ConsentStore | None, before: Consent | None, make: Callable[[Consent | None], tuple[Made, Consent | None]]
) -> Made:
    """What ``make`` makes of the consent before, once the consent that it rests on is kept.

    That is done when nothing can refuse any more, and anew where somebody else has changed it or taken it back
    meanwhile. ``consents`` is None where nothing new was said.
    """
    for _ in range(_TRIES):
        made, rests_on = make(before)
        if consents is None or rests_on is None or consents.set_consent(rests_on, before):
            return made
        before = consents.get_consent(rests_on.user_id, rests_on.client_id)
    raise TemporarilyUnavailable("the consent changes all the time", retry_after=1)


def end_consent(server: AuthorizationServer, consents: ConsentStore, user_id: str, client_id: str) -> bool:
    """End what a user let a client do, with all that came of it. Whether there was anything."""
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
