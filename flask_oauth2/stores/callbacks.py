"""The callbacks of an application for its own clients, codes and tokens, before a store for security-critical data.

Callbacks receive token hashes (base64url text) instead of values. Setters run after the commit of the store. The
authorization, the challenge, the binding and the time of use always stay in a row of the store behind. A getter that
returns None makes a code or token invalid. A getter that returns less scope or an earlier expiry narrows it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from copy import copy
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from .. import values
from ..errors import ConfigurationError
from ..processes import cached
from ..records import AccessToken, Authorization, Client, Grant, Token, find, is_missing, is_user, seconds, split_values
from .base import IssuerStore, Store

Narrowed = TypeVar("Narrowed", AccessToken, Authorization)


@dataclass(slots=True)
class Callbacks:
    """The functions that an application has registered."""

    clientgetter: Callable[..., Any] | None = None
    grantgetter: Callable[..., Any] | None = None
    grantsetter: Callable[..., Any] | None = None
    tokengetter: Callable[..., Any] | None = None
    tokensetter: Callable[..., Any] | None = None
    userloader: Callable[[str], Any] | None = None
    load_user: Callable[[str], Any] = str
    """The ``userloader``, or another function that finds users."""

    @property
    def are_registered(self) -> bool:
        """Return whether any of them wraps the store."""
        return any((self.clientgetter, self.grantgetter, self.grantsetter, self.tokengetter, self.tokensetter))

    @property
    def follow_tokens(self) -> bool:
        """Return whether the application receives every token, also those that need no row."""
        return self.tokengetter is not None or self.tokensetter is not None

    def find_client(self, client_id: str) -> Any:
        """Return the client of the application, or None."""
        found = self.clientgetter(client_id) if self.clientgetter else None
        return None if is_missing(found) else found

    def find_token(self, access_key: bytes | None = None, refresh_key: bytes | None = None) -> Any:
        """Return the token of the application, or None."""
        key = access_key if refresh_key is None else refresh_key
        if self.tokengetter is None or key is None:
            return None
        kind = "access_token" if refresh_key is None else "refresh_token"
        found = self.tokengetter(**{kind: values.text(key)})
        return None if is_missing(found) or find(found, "revoked", f"{kind}_revoked_at") else found

    def find_grant(self, grant: Grant) -> Any:
        """Return the code of the application, or None."""
        if self.grantgetter is None or grant.authorization is None or grant.kind != "code":
            return None
        found = self.grantgetter(client_id=grant.authorization.client_id, code=values.text(grant.key))
        return None if is_missing(found) else found

    def delete_token(self, revoked: AccessToken | Token) -> None:
        """Call ``delete()`` of the token of the application, if it has such a method."""
        if isinstance(revoked, Token):
            _delete(self.find_token(refresh_key=revoked.refresh_token_hash))
        else:
            _delete(self.find_token(revoked.token_hash))


class SetterRequest:
    """The request that a setter receives with the code or the token. Its names are those of flask-oauthlib."""

    def __init__(
        self, callbacks: Callbacks, store: Store, owner: Authorization, spent: Any, grant: Grant | None
    ) -> None:
        self._callbacks = callbacks
        self._store = store
        self._spent = spent
        self.client_id = owner.client_id
        self.user_id = owner.user_id
        self.scopes = list(owner.scope)
        self.redirect_uri = grant and grant.redirect_uri

    @cached
    def client(self) -> Any:
        """The client of the application if it has a ``clientgetter``, or else of the store."""
        return self._callbacks.find_client(self.client_id) or self._store.get_client(self.client_id)

    @cached
    def user(self) -> Any:
        """The user of the code or token that was spent, or the one that the ``userloader`` finds.

        If the client acts for itself, its own ``user``, if it has one.
        """
        if self.user_id is None:
            return find(self.client, "user")
        user = find(self._spent, "user")
        return user if is_user(user, self.user_id) else self._callbacks.load_user(self.user_id)


class CallbackStore:
    """A :class:`~.base.Store` that calls the application first.

    :param behind: the store for everything else.
    :param read_client: converts a client of the application to a record.
    :param revoke: revokes a family in a store.
    """

    def __init__(
        self,
        behind: Store,
        callbacks: Callbacks,
        read_client: Callable[[Any, str], Client | None],
        revoke: Callable[[Store, str, float], None],
    ) -> None:
        self.behind = behind
        self._callbacks = callbacks
        self._read_client = read_client
        self._revoke = revoke

    def for_issuer(self, issuer_id: str) -> CallbackStore:
        """See :meth:`.base.IssuerStore.for_issuer`. Raises :exc:`TypeError` if the store behind has no views."""
        if not isinstance(self.behind, IssuerStore):
            raise TypeError("the store behind the callbacks is of one issuer only")
        view = copy(self)
        view.behind = self.behind.for_issuer(issuer_id)
        return view

    @property
    def has_own_clients(self) -> bool:
        """Return whether clients come from the ``clientgetter``, so that none can be registered in the store."""
        return self._callbacks.clientgetter is not None

    def get_client(self, client_id: str) -> Client | None:
        """Return the client of the ``clientgetter`` if there is one, or else of the store."""
        if self._callbacks.clientgetter is None:
            return self.behind.get_client(client_id)
        is_vschar = client_id.isascii() and client_id.isprintable()  # the grammar of :rfc:`6749#appendix-A`
        found = self._callbacks.find_client(client_id) if is_vschar else None
        return None if found is None else self._read_client(found, client_id)

    def set_client(self, client: Client) -> None:
        """Add or replace a client, unless there is a ``clientgetter``: the application stores its clients itself."""
        self._require_no_clientgetter()
        self.behind.set_client(client)

    def delete_client(self, client_id: str, expires_at: int) -> bool:
        """Delete a client, unless there is a ``clientgetter``: the application would still have the client."""
        self._require_no_clientgetter()
        return self.behind.delete_client(client_id, expires_at)

    def _require_no_clientgetter(self) -> None:
        if self._callbacks.clientgetter is not None:
            raise ConfigurationError(
                "clients come from the application's clientgetter: add, change or delete them there"
            )

    def get_grant(self, key: bytes, kind: str) -> Grant | None:
        """Return the code if the application has it too, or if it is spent: its replay revokes the family."""
        grant = self.behind.get_grant(key, kind)
        if grant is None or kind != "code" or grant.used_at is not None or self._callbacks.grantgetter is None:
            return grant
        found = self._callbacks.find_grant(grant)
        if found is None or grant.authorization is None:
            return None
        ends_at = seconds(find(found, "expires"))
        return replace(
            grant,
            authorization=_narrow(grant.authorization, found),
            expires_at=grant.expires_at if ends_at is None else min(ends_at, grant.expires_at),
        )

    def get_access(self, key: bytes) -> AccessToken | None:
        """Return the access token of the store, narrowed by that of the ``tokengetter``."""
        access = self.behind.get_access(key)
        if access is None or self._callbacks.tokengetter is None:
            return access
        found = self._callbacks.find_token(key)
        if found is None:
            return None
        ends_at = seconds(find(found, "expires"))
        narrowed = _narrow(access, found)
        return narrowed if ends_at is None or ends_at >= access.expires_at else replace(narrowed, expires_at=ends_at)

    def get_refresh(self, key: bytes) -> Token | None:
        """Return the refresh token of the store, narrowed by that of the ``tokengetter``, like :meth:`get_grant`."""
        token = self.behind.get_refresh(key)
        if token is None or token.used_at is not None or self._callbacks.tokengetter is None:
            return token
        found = self._callbacks.find_token(refresh_key=key)
        if found is None:
            return None
        # the row has the scope of the access token, which may be less than that of the refresh token
        lost = set(token.access.scope).difference(_narrow(token.access, found).scope)
        scope = tuple(value for value in token.authorization.scope if value not in lost)
        return replace(token, authorization=replace(token.authorization, scope=scope))

    def issue(
        self, spend: Grant | Token | None, records: Iterable[Grant | Token], now: int, grace_period: int = 0
    ) -> bool:
        """Spend and save in the store, then call the setters of the application.

        If a setter raises, the client receives nothing, so everything that was saved is revoked at once.
        """
        saved = list(records)
        spent = self._find_spent(spend)
        if not self.behind.issue(spend, saved, now, grace_period):
            return False
        try:
            for record in saved:
                if isinstance(record, Token):
                    self._set_token(record, spent)
                elif record.authorization is not None and record.kind == "code":
                    self._set_grant(record, record.authorization)
            if isinstance(spend, Grant):
                _delete(spent)
        except BaseException:
            for family in {record.authorization.id for record in saved if record.authorization is not None}:
                self._revoke(self.behind, family, now)
            raise
        return True

    def revoke(self, revoked_id: str, expires_at: int) -> None:
        """See :meth:`.base.Store.revoke`."""
        self.behind.revoke(revoked_id, expires_at)

    def revoke_user(self, user_id: str, last_id: str, expires_at: int) -> None:
        """See :meth:`.base.Store.revoke_user`. Codes and tokens of the application rest on rows of the store."""
        self.behind.revoke_user(user_id, last_id, expires_at)

    def revoked(self, *ids: str, user: tuple[str, str] | None = None) -> bool:
        """See :meth:`.base.Store.revoked`."""
        return self.behind.revoked(*ids, user=user)

    def count(self, key: bytes, expires_at: int, by: int = 1) -> int:
        """See :meth:`.base.Store.count`."""
        return self.behind.count(key, expires_at, by)

    def remember(self, key: bytes, expires_at: int) -> bool:
        """See :meth:`.base.Store.remember`."""
        return self.behind.remember(key, expires_at)

    def purge(self, now: int) -> Iterator[int]:
        """See :meth:`.base.Store.purge`. The application deletes its own rows itself."""
        return self.behind.purge(now)

    def purgeable(self, now: int) -> int:
        """See :meth:`.base.Store.purgeable`."""
        return self.behind.purgeable(now)

    def _find_spent(self, spend: Grant | Token | None) -> Any:
        if isinstance(spend, Grant):
            return self._callbacks.find_grant(spend)
        return None if spend is None else self._callbacks.find_token(refresh_key=spend.refresh_token_hash)

    def _set_grant(self, grant: Grant, owner: Authorization) -> None:
        if self._callbacks.grantsetter is not None:
            request = SetterRequest(self._callbacks, self.behind, owner, None, grant)
            self._callbacks.grantsetter(owner.client_id, {"code": values.text(grant.key)}, request)

    def _set_token(self, token: Token, spent: Any) -> None:
        if self._callbacks.tokensetter is None:
            return
        access = token.access
        content = {
            "access_token": values.text(access.token_hash),
            "token_type": access.type,
            "expires_in": access.expires_at - access.issued_at,
            "scope": " ".join(access.scope),
        }
        if token.refresh_token_hash is not None:
            content["refresh_token"] = values.text(token.refresh_token_hash)
        request = SetterRequest(self._callbacks, self.behind, token.authorization, spent, None)
        self._callbacks.tokensetter(content, request)


def _narrow(held: Narrowed, found: Any) -> Narrowed:
    """Remove the scope values that the object of the application lacks, if it has a scope."""
    scope = find(found, "scopes", "scope")
    if scope is None:
        return held
    return replace(held, scope=tuple(value for value in held.scope if value in split_values(scope)))


def _delete(found: Any) -> None:
    delete = getattr(found, "delete", None)
    if callable(delete):
        delete()
