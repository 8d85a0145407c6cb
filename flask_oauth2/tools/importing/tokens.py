"""Import of tokens: from rows of another library to tokens of the provider, which users can see and revoke."""

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
from .base import ForeignToken, Row, Source, Unreadable
from .clients import Clients
from .rows import Rows, SourceRow
from .run import Finding, Options, Report

KEY_LENGTH = len(values.text(values.key("")))
"""The length of a token digest as text."""

_TOKENS = ("access_token", "refresh_token")

_KEY = re.compile(r"[A-Za-z0-9_-]+\Z")


class Tokens:
    """The tokens that one run imports.

    Raise :exc:`ConfigurationError` for a store that cannot look up tokens by digest, and for columns that are too short
    for digests.
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
            raise ConfigurationError(
                "the store does not implement find_known(keys), which an import needs: use a store that does"
            )
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
        self._would_know: set[bytes] = set()

    def import_batch(self, batch: list[SourceRow]) -> None:
        """Save a batch in one step, then replace the tokens in the library's table if that is requested."""
        count = self._report.tokens
        imported: list[Token] = []
        changes: list[Change] = []
        keys = {key for read in batch for name in _TOKENS for key in _keys(read.row.get(name))}
        known = self._would_know | self._store.find_known(keys)
        for read in batch:
            if known.isdisjoint(_keys(read.row.get("access_token"))):
                try:
                    token = self._read(read.row, known)
                except ValueError as error:
                    count.left += 1
                    self._report.left.append(Finding(self.rows.name, read.identity, str(error)))
                    continue
                if token is None:
                    count.ended += 1
                    continue
                count.taken += 1
                imported.append(token)
                known.update(_keys_of(token))
            else:
                count.already_there += 1
            if self._options.in_place:
                changes.extend(self.rows.change(read, _find_replacements(read.row, known)))
        if self._options.dry_run:
            self._would_know.update(*map(_keys_of, imported))
            self._report.rewritten += len(changes)
            return
        if imported:  # not with the application's setters, which may delete existing tokens
            self._store.issue(None, self._add_consents(imported), self._now)
        if changes:
            self._report.rewritten += self.rows.rewrite(changes)

    def _read(self, row: Row, known: set[bytes]) -> Token | None:
        """Return the token of a row, or None if it has expired. Raise :exc:`ValueError` if it cannot be imported."""
        found = self._source.read_token(row)
        if not found.is_live(self._now):
            return None
        if any(_is_key(value, self._now) for value in (found.access, found.refresh)):
            return None  # a key grants no access; the store has purged the token that had it
        self._check(found)
        refresh_key = None if found.refresh is None else values.key(found.refresh)
        if refresh_key in known:  # another row has the same refresh token
            refresh_key = None
        expires_at = self._limit(found)
        if refresh_key is None and expires_at <= self._now:
            return None
        if expires_at != found.access_ends_at:
            self._report.shortened += 1
            self._report.final += refresh_key is None
        return self._build(found, expires_at, refresh_key)

    def _check(self, found: ForeignToken) -> None:
        """Raise :exc:`Unreadable` for a token that this provider cannot issue or find again."""
        if found.access == found.refresh:
            raise Unreadable("its access_token and its refresh_token are the same")
        prefixes = self._server.settings.token_prefixes
        for kind, value in (("access_token", found.access), ("refresh_token", found.refresh)):
            if value is not None and values.find_key(value, prefixes[kind]) is None:
                raise Unreadable(
                    f"its {kind} begins with {prefixes[kind]}_ like a token of this provider: choose another prefix in "
                    "OAUTH2_TOKEN_PREFIXES"
                )
        if not self._clients.has(found.client_id):
            raise Unreadable(f"its client {found.client_id!r} does not exist in this provider")
        if (found.type.lower() or "bearer") not in self._server.capabilities.token_types:
            raise Unreadable(f"this provider does not support its token type {found.type!r}")

    def _limit(self, found: ForeignToken) -> int:
        """Return when the access token expires: not later than a token that the provider issues now."""
        longest = self._now + self._server.longest_lifetime
        return longest if found.access_ends_at is None else min(found.access_ends_at, longest)

    def _build(self, found: ForeignToken, expires_at: int, refresh_key: bytes | None) -> Token:
        server, now = self._server, self._now
        authorization = Authorization(
            id=values.new_authorization_id(max(server.clock(), server.last_revocation.first_moment)),
            client_id=found.client_id,
            user_id=None if found.user_id is None else identify(found.user_id),
            scope=scopes.parse_option(found.scope),
        )
        return Token(
            access=AccessToken(
                token_hash=values.key(found.access),
                authorization_id=authorization.id,
                client_id=authorization.client_id,
                user_id=authorization.user_id,
                scope=authorization.scope,
                type=server.capabilities.token_types[found.type.lower() or "bearer"].name,
                issued_at=now,
                expires_at=expires_at,
            ),
            authorization=authorization,
            refresh_token_hash=refresh_key,
            refresh_expires_at=None if refresh_key is None else now + server.settings.refresh_token_lifetime,
        )

    def _add_consents(self, tokens: list[Token]) -> Iterable[Token]:
        """Return the tokens with the IDs of their users' consents, which are saved first.

        A user who withdraws the consent during the import revokes the tokens too. If the store has no consents, the
        tokens have none.
        """
        consents = self._server.consents
        if consents is None:
            return tokens
        wanted: dict[tuple[str, str], Scope] = {}
        for owner in (token.authorization for token in tokens):
            if owner.user_id is not None:
                pair = owner.user_id, owner.client_id
                wanted[pair] = (*wanted.get(pair, ()), *owner.scope)
        ids = {pair: self._save_consent(consents, *pair, scope) for pair, scope in wanted.items()}
        return [_add_consent(token, ids) for token in tokens]

    def _save_consent(self, consents: ConsentStore, user_id: str, client_id: str, scope: Scope) -> str:
        """Save a consent to at least ``scope`` and return its ID. An existing consent is extended."""
        while True:
            before = consents.get_consent(user_id, client_id)
            consent = widened(before, user_id, client_id, scope, self._now)
            if consents.set_consent(consent, before):
                return consent.id


def _add_consent(token: Token, ids: dict[tuple[str, str], str]) -> Token:
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
    yield token.access.token_hash
    if token.refresh_token_hash is not None:
        yield token.refresh_token_hash


def _keys(value: object) -> Iterator[bytes]:
    """Yield the key of a value, and the key that the value is the text of, if it is one."""
    if text := _text(value):
        yield values.key(text)
        if (key := _read_key(text)) is not None:
            yield key


def _text(value: object) -> str:
    return "" if value is None else str(value).strip()


def _read_key(text: str) -> bytes | None:
    """Decode a key that :func:`.values.text` encoded. Return None for other text."""
    if len(text) != KEY_LENGTH or not _KEY.match(text):
        return None
    key = values.from_text(text)
    return key if values.text(key) == text else None


def _is_key(text: str | None, now: int) -> bool:
    """Return whether a text is the key of a token that was imported or generated before ``now``."""
    key = None if text is None else _read_key(text)
    return key is not None and key[: len(values.NO_TIMESTAMP)] <= values.timestamp(now + 1)


def _find_replacements(row: Row, known: Container[bytes]) -> dict[str, str]:
    """Return the keys that replace the tokens of a row. A value that is a key already stays."""
    found = {name: text for name in _TOKENS if (text := _text(row.get(name)))}
    return {name: values.text(values.key(text)) for name, text in found.items() if _read_key(text) not in known}
