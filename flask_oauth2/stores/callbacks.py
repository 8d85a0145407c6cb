"""An application's own clients, codes and tokens, before a store that keeps what security rests on.

The callbacks are the application's view. They are called with keys (base64url text) in place of values, setters after
our commit. Family, challenge, binding and whether something was spent stay in a row of the store behind, whatever the
callbacks do. A getter that returns None ends what it was asked for; one that returns less scope or an earlier end
narrows it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from .. import values
from ..errors import ConfigurationError
from ..processes import cached
from ..records import AccessToken, Authorization, Client, Grant, Token, find, is_missing, is_user, seconds, words
from .base import Store

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
    """The ``userloader``, or what else finds users."""

    @property
    def are_given(self) -> bool:
        """Whether any of them stands before the store."""
        return any((self.clientgetter, self.grantgetter, self.grantsetter, self.tokengetter, self.tokensetter))

    @property
    def follow_tokens(self) -> bool:
        """Whether the application wants to see every token, those too that need no row."""
        return self.tokengetter is not None or self.tokensetter is not None

    def find_client(self, client_id: str) -> Any:
        """The application's own client, None where it has none."""
        found = self.clientgetter(client_id) if self.clientgetter else None
        return None if is_missing(found) else found

    def find_token(self, access_key: bytes | None = None, refresh_key: bytes | None = None) -> Any:
        """The application's own token, None where it has none."""
        key = access_key if refresh_key is None else refresh_key
        if self.tokengetter is None or key is None:
            return None
        kind = "access_token" if refresh_key is None else "refresh_token"
        found = self.tokengetter(**{kind: values.text(key)})
        return None if is_missing(found) or find(found, "revoked", f"{kind}_revoked_at") else found

    def find_grant(self, grant: Grant) -> Any:
        """The application's own code, None where it has none."""
        if self.grantgetter is None or grant.authorization is None or grant.kind != "code":
            return None
        found = self.grantgetter(client_id=grant.authorization.client_id, code=values.text(grant.key))
        return None if is_missing(found) else found

    def delete_token(self, ended: AccessToken | Token) -> None:
        """Call ``delete()`` of the application's own token, where it has such a method."""
        if isinstance(ended, Token):
            _delete(self.find_token(refresh_key=ended.refresh_key))
        else:
            _delete(self.find_token(ended.key))


class SetterRequest:
    """What a setter is told beside the code or the token: names as in flask-oauthlib."""

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
        """The client: the application's own, where it has a ``clientgetter``."""
        return self._callbacks.find_client(self.client_id) or self._store.get_client(self.client_id)

    @cached
    def user(self) -> Any:
        """The user: that of the code or token that was spent, or by the ``userloader``.

        Where a client acts for itself, its own ``user``, if it has one.
        """
        if self.user_id is None:
            return find(self.client, "user")
        user = find(self._spent, "user")
        return user if is_user(user, self.user_id) else self._callbacks.load_user(self.user_id)


class CallbackStore:
    """A :class:`~.base.Store` that asks the application first.

    :param behind: the store that keeps the rest.
    :param read_client: makes our record of the application's own client.
    :param end: ends a family.
    """

    def __init__(
        self,
        behind: Store,
        callbacks: Callbacks,
        read_client: Callable[[Any, str], Client | None],
        end: Callable[[str, float], None],
    ) -> None:
        self.behind = behind
        self._callbacks = callbacks
        self._read_client = read_client
        self._end = end

    @property
    def has_own_clients(self) -> bool:
        """Whether clients come from the ``clientgetter``, so that none can be registered in the store."""
        return self._callbacks.clientgetter is not None

    def get_client(self, client_id: str) -> Client | None:
        """By the ``clientgetter``, or from the store."""
        if self._callbacks.clientgetter is None:
            return self.behind.get_client(client_id)
        is_vschar = client_id.isascii() and client_id.isprintable()  # the grammar of :rfc:`6749#appendix-A`
        found = self._callbacks.find_client(client_id) if is_vschar else None
        return None if found is None else self._read_client(found, client_id)

    def set_client(self, client: Client) -> None:
        """Refused with a ``clientgetter``: the application keeps its clients itself."""
        self._refuse_with_clientgetter()
        self.behind.set_client(client)

    def delete_client(self, client_id: str, expires_at: int) -> bool:
        """Refused with a ``clientgetter``: its mark would outlive the client that the application still has."""
        self._refuse_with_clientgetter()
        return self.behind.delete_client(client_id, expires_at)

    def _refuse_with_clientgetter(self) -> None:
        if self._callbacks.clientgetter is not None:
            raise ConfigurationError(
                "clients come from the application's clientgetter: add, change or take them away there"
            )

    def get_grant(self, key: bytes, kind: str) -> Grant | None:
        """A spent code is not asked for: its replay ends the family, whatever the application remembers."""
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
        """By the row of the store and the ``tokengetter``."""
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
        """A spent one is not asked for, as a spent code is not."""
        token = self.behind.get_refresh(key)
        if token is None or token.used_at is not None or self._callbacks.tokengetter is None:
            return token
        found = self._callbacks.find_token(refresh_key=key)
        if found is None:
            return None
        # the row has the scope of the access token, which may be less than that of the refresh token
        lost = set(token.access.scope).difference(_narrow(token.access, found).scope)
        scope = tuple(word for word in token.authorization.scope if word not in lost)
        return replace(token, authorization=replace(token.authorization, scope=scope))

    def issue(self, spend: Grant | Token | None, filed: Iterable[Grant | Token], now: int, leeway: int = 0) -> bool:
        """Spend and file in the store; then tell the application what it may keep.

        Where one of its functions raises, the client gets nothing, so what was filed ends at once.
        """
        records = list(filed)
        spent = self._find_spent(spend)
        if not self.behind.issue(spend, records, now, leeway):
            return False
        try:
            for record in records:
                if isinstance(record, Token):
                    self._set_token(record, spent)
                elif record.authorization is not None and record.kind == "code":
                    self._set_grant(record, record.authorization)
            if isinstance(spend, Grant):
                _delete(spent)
        except BaseException:
            for owner in {record.authorization.id for record in records if record.authorization is not None}:
                self._end(owner, now)
            raise
        return True

    def revoke(self, mark: str, expires_at: int) -> None:
        """In the store."""
        self.behind.revoke(mark, expires_at)

    def revoke_user(self, user_id: str, last_id: str, expires_at: int) -> None:
        """In the store. The application's own codes and tokens rest on rows there."""
        self.behind.revoke_user(user_id, last_id, expires_at)

    def revoked(self, *marks: str, user: tuple[str, str] | None = None) -> bool:
        """In the store."""
        return self.behind.revoked(*marks, user=user)

    def count(self, key: bytes, expires_at: int, by: int = 1) -> int:
        """In the store."""
        return self.behind.count(key, expires_at, by)

    def purge(self, now: int) -> Iterator[int]:
        """In the store; what the application keeps is its own to take away."""
        return self.behind.purge(now)

    def purgeable(self, now: int) -> int:
        """In the store."""
        return self.behind.purgeable(now)

    def _find_spent(self, spend: Grant | Token | None) -> Any:
        if isinstance(spend, Grant):
            return self._callbacks.find_grant(spend)
        return None if spend is None else self._callbacks.find_token(refresh_key=spend.refresh_key)

    def _set_grant(self, grant: Grant, owner: Authorization) -> None:
        if self._callbacks.grantsetter is not None:
            request = SetterRequest(self._callbacks, self.behind, owner, None, grant)
            self._callbacks.grantsetter(owner.client_id, {"code": values.text(grant.key)}, request)

    def _set_token(self, token: Token, spent: Any) -> None:
        if self._callbacks.tokensetter is None:
            return
        access = token.access
        content = {
            "access_token": values.text(access.key),
            "token_type": access.type,
            "expires_in": access.expires_at - access.issued_at,
            "scope": " ".join(access.scope),
        }
        if token.refresh_key is not None:
            content["refresh_token"] = values.text(token.refresh_key)
        request = SetterRequest(self._callbacks, self.behind, token.authorization, spent, None)
        self._callbacks.tokensetter(content, request)


def _narrow(held: Narrowed, found: Any) -> Narrowed:
    """What is left of the scope, where the application's object says one."""
    scope = find(found, "scopes", "scope")
    if scope is None:
        return held
    return replace(held, scope=tuple(word for word in held.scope if word in words(scope)))


def _delete(found: Any) -> None:
    delete = getattr(found, "delete", None)
    if callable(delete):
        delete()
