"""From a row of another library to a token of ours, which its user can see and end."""

from __future__ import annotations

import re
from collections.abc import Container, Iterable, Iterator
from dataclasses import replace

from ... import scopes, values
from ...errors import ConfigurationError
from ...records import AccessToken, Authorization, Token, identify
from ...scopes import Scope
from ...server import AuthorizationServer
from ...stores.base import ConsentStore, widened
from ...stores.sqlalchemy.foreign_tables import Change
from .base import Row, Source, Unreadable
from .clients import Clients
from .rows import Read, Rows
from .run import Finding, Options, Report

KEY_LENGTH = len(values.text(values.key("")))
"""Characters of a key as text."""

_TOKENS = ("access_token", "refresh_token")

_KEY = re.compile(r"[A-Za-z0-9_-]+\Z")


class Tokens:
    """The tokens that a run takes over.

    Raises :exc:`ConfigurationError` for a store that does not know which it has, and for columns that cannot hold keys
    where they are to.
    """

    def __init__(
        self,
        server: AuthorizationServer,
        source: Source,
        rows: Rows,
        options: Options,
        report: Report,
        clients: Clients,
    ) -> None:
        store = server.stores.imports
        if store is None:
            raise ConfigurationError("this store cannot tell which tokens it has: it needs find_known(keys)")
        if options.in_place:
            for name in _TOKENS:
                rows.check_length(name, KEY_LENGTH)
        self.rows = rows
        self._server = server
        self._store = store
        self._source = source
        self._options = options
        self._report = report
        self._clients = clients
        self._now = int(server.clock())
        self._pretended: set[bytes] = set()

    def take(self, batch: list[Read]) -> None:
        """File a batch in one step; then put our keys in place of the tokens, where that is wanted."""
        count = self._report.tokens
        filed: list[Token] = []
        changes: list[Change] = []
        asked = {key for read in batch for name in _TOKENS for key in _keys(read.row.get(name))}
        known = self._pretended | self._store.find_known(asked)
        for read in batch:
            if known.isdisjoint(_keys(read.row.get("access_token"))):
                try:
                    token = self._make(read.row, known)
                except ValueError as error:
                    count.left += 1
                    self._report.left.append(Finding(self.rows.name, read.identity, str(error)))
                    continue
                if token is None:
                    count.ended += 1
                    continue
                count.taken += 1
                filed.append(token)
                known.update(_keys_of(token))
            else:
                count.already_there += 1
            if self._options.in_place:
                changes.extend(self.rows.change(read, _our_keys(read.row, known)))
        if self._options.dry_run:
            self._pretended.update(*map(_keys_of, filed))
            self._report.rewritten += len(changes)
            return
        if filed:  # not by the application's setters, which may take away what was there before
            self._store.issue(None, self._rest_on_consents(filed), self._now)
        if changes:
            self._report.rewritten += self.rows.rewrite(changes)

    def _make(self, row: Row, known: set[bytes]) -> Token | None:
        """The token of a row, None where it has ended. Raises :exc:`ValueError` for one that cannot be taken."""
        found = self._source.read_token(row)
        server, now = self._server, self._now
        if not found.is_live(now):
            return None
        if any(_is_key(value, now) for value in (found.access, found.refresh)):
            return None  # a key must never open anything; the store has forgotten what was filed under it
        if found.access == found.refresh:
            raise Unreadable("its access_token and its refresh_token are the same")
        prefixes = server.settings.prefixes
        for kind, value in (("access_token", found.access), ("refresh_token", found.refresh)):
            if value is not None and values.find_key(value, prefixes[kind]) is None:
                raise Unreadable(
                    f"its {kind} begins with {prefixes[kind]}_ as those made here do: choose another by OAUTH2_PREFIXES"
                )
        if not self._clients.has(found.client_id):
            raise Unreadable(f"its client {found.client_id!r} is not here")
        token_type = server.capabilities.token_types.get(found.type.lower() or "bearer")
        if token_type is None:
            raise Unreadable(f"its type {found.type!r} is not offered here")
        longest = now + server.longest_lifetime
        ends_at = longest if found.access_ends_at is None else min(found.access_ends_at, longest)
        authorization = Authorization(
            id=values.new_authorization_id(max(server.clock(), server.last_revocation.first_moment)),
            client_id=found.client_id,
            user_id=None if found.user_id is None else identify(found.user_id),
            scope=scopes.parse_option(found.scope),
        )
        refresh_key = None if found.refresh is None else values.key(found.refresh)
        if refresh_key in known:  # another row has the same, and keeps it
            refresh_key = None
            if ends_at <= now:
                return None
        if ends_at != found.access_ends_at:
            self._report.shortened += 1
            self._report.final += refresh_key is None
        return Token(
            access=AccessToken(
                key=values.key(found.access),
                authorization_id=authorization.id,
                client_id=authorization.client_id,
                user_id=authorization.user_id,
                scope=authorization.scope,
                type=token_type.name,
                issued_at=now,
                expires_at=ends_at,
            ),
            authorization=authorization,
            refresh_key=refresh_key,
            refresh_expires_at=None if refresh_key is None else now + server.settings.refresh_token_lifetime,
        )

    def _rest_on_consents(self, tokens: list[Token]) -> Iterable[Token]:
        """The tokens, each with the id of what its user lets its client have, which is filed first.

        Whoever ends that consent meanwhile ends them too. Where no consent is remembered, they rest on none.
        """
        consents = self._server.consents
        if consents is None:
            return tokens
        wanted: dict[tuple[str, str], Scope] = {}
        for owner in (token.authorization for token in tokens):
            if owner.user_id is not None:
                pair = owner.user_id, owner.client_id
                wanted[pair] = (*wanted.get(pair, ()), *owner.scope)
        ids = {pair: self._file_consent(consents, *pair, scope) for pair, scope in wanted.items()}
        return [_rest_on(token, ids) for token in tokens]

    def _file_consent(self, consents: ConsentStore, user_id: str, client_id: str, scope: Scope) -> str:
        """The id of a consent to at least that: the one that is there, made wider, or a new one."""
        while True:
            before = consents.get_consent(user_id, client_id)
            consent = widened(before, user_id, client_id, scope, self._now)
            if consents.set_consent(consent, before):
                return consent.id


def _rest_on(token: Token, ids: dict[tuple[str, str], str]) -> Token:
    owner = token.authorization
    if owner.user_id is None:
        return token
    consent_id = ids[owner.user_id, owner.client_id]
    return replace(
        token,
        access=replace(token.access, consent_id=consent_id),
        authorization=replace(owner, consent_id=consent_id),
    )


def _keys_of(token: Token) -> Iterator[bytes]:
    yield token.access.key
    if token.refresh_key is not None:
        yield token.refresh_key


def _keys(value: object) -> Iterator[bytes]:
    """The key of a value, and the one that it is the text of, if it is one."""
    if text := _text(value):
        yield values.key(text)
        if (key := _read_key(text)) is not None:
            yield key


def _text(value: object) -> str:
    return "" if value is None else str(value).strip()


def _read_key(text: str) -> bytes | None:
    """The key that :func:`.values.text` wrote."""
    if len(text) != KEY_LENGTH or not _KEY.match(text):
        return None
    key = values.from_text(text)
    return key if values.text(key) == text else None


def _is_key(text: str | None, now: int) -> bool:
    """Whether it is the key, as text, of a token that came from a library or was made here until now."""
    key = None if text is None else _read_key(text)
    return key is not None and key[: len(values.NO_TIMESTAMP)] <= values.timestamp(now + 1)


def _our_keys(row: Row, known: Container[bytes]) -> dict[str, str]:
    """What is to be put in place of the tokens of a row; a key of ours stays."""
    found = {name: text for name in _TOKENS if (text := _text(row.get(name)))}
    return {name: values.text(values.key(text)) for name, text in found.items() if _read_key(text) not in known}
