"""Every statement of the store, built once and compiled once per engine."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple, cast

from sqlalchemy import (
    BindParameter,
    ClauseElement,
    Column,
    ColumnElement,
    Dialect,
    Select,
    Table,
    bindparam,
    case,
    delete,
    exists,
    false,
    func,
    insert,
    literal_column,
    null,
    select,
    tuple_,
    union_all,
    update,
)
from sqlalchemy.engine.default import DefaultDialect

from .inserts import Inserts, SpendingInserts
from .schema import COLLATIONS, Tables
from .upsert import Upsert

REVOKED_IDS = ("first", "second", "third", "fourth")
"""The parameters of the IDs whose revocation one statement looks for."""

ORIGINS = ("first", "second")
"""The parameters of the origins that one statement looks for."""

KEYS = 20
"""The number of keys that one statement of ``find_known`` looks for."""

DECISION = ("authorization_id", "consent_id", "client_id", "user_id", "scope", "context", "is_denied")
"""The columns of a grant that hold the decision of a user."""

_BATCH = "500"


class Expired(NamedTuple):
    """The statements with which ``purge`` deletes the expired rows of a table, of all issuers.

    ``total`` counts the rows. ``batch`` lists rows after a position, which begins with ``start``. The columns of a row
    are the parameters named ``columns`` of the ``deletions``. ``position`` names the column for each parameter of the
    next position.
    """

    start: Mapping[str, Any]
    total: str
    batch: str
    columns: tuple[str, ...]
    deletions: tuple[str, ...]
    position: Mapping[str, str]


def _everything(table: Table) -> dict[str, Any]:
    return {column.key: bindparam(column.name) for column in table.columns}


def _named(dialect: Dialect) -> Dialect:
    """Return the dialect with parameters that have names."""
    if dialect.name == "sqlite":
        # its driver takes parameters by name as well
        return cast("type[DefaultDialect]", type(dialect))(paramstyle="named")
    if dialect.name == "mysql":
        # a dialect that has seen no server writes the same SQL for each version
        return cast("type[DefaultDialect]", type(dialect))(paramstyle="pyformat")
    return dialect


class Statements:
    """The statements, each an attribute named after the method of the store."""

    def __init__(self, tables: Tables, dialect: Dialect) -> None:
        self._tables = tables
        self._dialect = _named(dialect)
        self._is_mysql = dialect.name in COLLATIONS
        self._key: BindParameter[bytes] = bindparam("key")
        self._spent_key: BindParameter[bytes] = bindparam("spent_key")
        """The key of a row that changes in the statement that adds another one, which may have a key too."""
        self._now: BindParameter[int] = bindparam("now")
        self._client_id: BindParameter[str] = bindparam("client_id")
        self._user_id: BindParameter[str] = bindparam("user_id")
        client = tables.client
        self._has_no_client = ~exists().where(client.c.client_id == self._key, self._is_of_issuer(client))
        self.spend_and_add = SpendingInserts() if dialect.name == "postgresql" else None
        self._build_clients()
        self._build_registration()
        self._build_origins()
        self._build_reads()
        self._build_grants()
        self._build_tokens()
        self._build_revocations()
        self._build_counters()
        self._build_consents()
        self._build_consent_changes()
        self._build_signing_keys()
        self._build_sessions()
        self._build_purge()

    def _compile(self, statement: ClauseElement) -> str:
        return str(statement.compile(dialect=self._dialect))

    def _is_of_issuer(self, table: Any) -> ColumnElement[bool]:
        is_of_issuer: ColumnElement[bool] = table.c.issuer_id == bindparam("issuer_id")
        return is_of_issuer

    def _sortable(self, column: ColumnElement[Any]) -> ColumnElement[Any]:
        """Compare an ID octet by octet, as SQLite does, and the other databases with the collation of the tables."""
        return column.collate("C") if self._dialect.name == "postgresql" else column

    def _is_absent(self, row: Select[Any], table: Table) -> ColumnElement[bool]:
        """Return the condition that no row is found for the columns of ``table``.

        PostgreSQL turns NOT EXISTS into a join, whose plan may read all rows of an issuer if the table was small when
        it was analyzed. A subquery with a limit stays one look-up by primary key.
        """
        if self._dialect.name == "postgresql":
            return row.limit(literal_column("1")).correlate(table).scalar_subquery().is_(None)
        return ~row.correlate(table).exists()

    def _is_user_unrevoked(self, table: Table, authorization_id: ColumnElement[Any]) -> ColumnElement[bool]:
        revoked = self._tables.user_revocation
        is_covered = self._sortable(revoked.c.last_id) >= authorization_id
        of_user = revoked.c.user_id == table.c.user_id
        row: Select[Any] = select(literal_column("1")).where(of_user, is_covered, self._is_of_issuer(revoked))
        return self._is_absent(row, table)

    def _unrevoked(self, statement: Select[Any], table: Table, *further: ColumnElement[Any]) -> str:
        """Compile a SELECT that finds no row whose authorization, client, consent or user is revoked."""
        revoked = self._tables.revocation
        ids = (table.c.authorization_id, table.c.client_id, table.c.consent_id, *further)
        found: list[ColumnElement[bool]] = [revoked.c.revoked_id == one for one in ids]
        if self._is_mysql:  # SQLite would build an index of such a list each time
            found = [revoked.c.revoked_id.in_(ids)]
        row: Select[Any] = select(literal_column("1")).where(self._is_of_issuer(revoked))
        return self._compile(
            statement.where(
                self._is_of_issuer(table),
                *(self._is_absent(row.where(one), table) for one in found),
                self._is_user_unrevoked(table, table.c.authorization_id),
            )
        )

    def _build_clients(self) -> None:
        client = self._tables.client
        read = select(*(column for column in client.columns if column.name != "issuer_id"))
        found = client.c.client_id == self._client_id, self._is_of_issuer(client)
        in_order = client.c.created_at, client.c.client_id
        self.get_client = self._compile(read.where(*found))
        self.list_clients = self._compile(read.where(self._is_of_issuer(client)).order_by(*in_order))
        row = Upsert(self._dialect.name, client, _everything(client))
        self.set_client = self._compile(row.replacing(row.rest))
        self.add_client = self._compile(row.adding)
        self.delete_client = self._compile(delete(client).where(*found))
        consent = self._tables.consent
        self.delete_consents = self._compile(
            delete(consent).where(consent.c.client_id == self._client_id, self._is_of_issuer(consent))
        )
        of_owner = client.c.owner_id == bindparam("owner_id"), self._is_of_issuer(client)
        self.list_owned = self._compile(read.where(*of_owner).order_by(*in_order))

    def _build_registration(self) -> None:
        client = self._tables.client
        until: BindParameter[int] = bindparam("expires_at")
        change = update(client).where(client.c.client_id == self._client_id, self._is_of_issuer(client))
        self.retain_client = self._compile(change.values(expires_at=null()))
        later = case((client.c.expires_at < until, until), else_=client.c.expires_at)
        self.retain_client_until = self._compile(change.values(expires_at=later))
        unchanged = "issuer_id", "client_id", "expires_at"
        self.change_client = self._compile(
            change.where(
                client.c.registration_key.is_not_distinct_from(bindparam("key_before")),
                client.c.secret.is_not_distinct_from(bindparam("secret_before")),
                client.c.scope == bindparam("scope_before"),
                client.c.grant_types == bindparam("grant_types_before"),
            ).values({column: bindparam(column.name) for column in client.columns if column.name not in unchanged})
        )

    def _build_origins(self) -> None:
        origin = self._tables.origin
        row = Upsert(self._dialect.name, origin, _everything(origin))
        self.add_origin = self._compile(row.replacing({"client_id": row.proposed.client_id}))
        of_client = origin.c.client_id == self._client_id, self._is_of_issuer(origin)
        self.delete_origins = self._compile(delete(origin).where(*of_client))
        # another process may have added the client again in the meantime
        orphaned = origin.c.client_id == self._key, self._is_of_issuer(origin), self._has_no_client
        self.delete_orphaned_origins = self._compile(delete(origin).where(*orphaned))
        # in the order of the index: if most clients have one origin, a planner that looks for another reads them all
        first = select(func.min(origin.c.origin)).where(self._is_of_issuer(origin))
        self.find_origins = self._compile(
            select(*(first.where(origin.c.origin >= bindparam(name)).scalar_subquery() for name in ORIGINS))
        )

    def _build_reads(self) -> None:
        """Build the statements that find a grant or a token, unless it is revoked."""
        grant, token = self._tables.grant, self._tables.token
        of_kind = grant.c.key == self._key, grant.c.kind == bindparam("kind")
        hidden = "key", "kind", "issuer_id"
        self.get_grant = self._unrevoked(
            select(*(c for c in grant.columns if c.name not in hidden)).where(*of_kind), grant
        )
        self.get_access = self._unrevoked(
            select(
                token.c.authorization_id,
                token.c.consent_id,
                token.c.client_id,
                token.c.user_id,
                func.coalesce(token.c.access_scope, token.c.scope),
                token.c.context,
                token.c.type,
                token.c.confirmation,
                token.c.issued_at,
                token.c.expires_at,
                token.c.audience,
            ).where(token.c.access_key == self._key),
            token,
            bindparam("token_id"),
        )
        hidden = "refresh_key", "siblings", "issuer_id"
        self.get_refresh = self._unrevoked(
            select(*(c for c in token.columns if c.name not in hidden)).where(token.c.refresh_key == self._key),
            token,
        )

    def _build_grants(self) -> None:
        grant = self._tables.grant
        change = update(grant).where(grant.c.key == self._key, self._is_of_issuer(grant))
        spend = update(grant).where(grant.c.key == self._spent_key, self._is_of_issuer(grant))
        self.add_grant = Inserts(grant, self._dialect)
        self.spend_grant = self._compile(spend.where(grant.c.used_at.is_(None)).values(used_at=self._now))
        read = select(*(column for column in grant.columns if column.name != "issuer_id"))
        self.find_device = self._compile(read.where(grant.c.user_code_key == self._key, self._is_of_issuer(grant)))
        is_undecided = grant.c.authorization_id.is_(None), grant.c.is_denied.is_(false()), grant.c.used_at.is_(None)
        self.decide = self._compile(
            change.where(*is_undecided, grant.c.expires_at > self._now).values(
                {name: bindparam(name) for name in DECISION}
            )
        )
        self.poll = self._compile(
            change.where(
                func.coalesce(grant.c.polled_at, literal_column("0")) == bindparam("polled_before"),
                func.coalesce(grant.c.interval, literal_column("0")) == bindparam("interval_before"),
            ).values(polled_at=self._now, interval=bindparam("interval"))
        )

    def _build_tokens(self) -> None:
        token = self._tables.token
        self.keys = [f"key_{number}" for number in range(KEYS)]
        wanted: list[BindParameter[bytes]] = [bindparam(name) for name in self.keys]
        self.find_known = self._compile(
            union_all(
                select(token.c.access_key).where(token.c.access_key.in_(wanted), self._is_of_issuer(token)),
                select(token.c.refresh_key).where(token.c.refresh_key.in_(wanted), self._is_of_issuer(token)),
            )
        )
        self.add_token = Inserts(token, self._dialect)
        change = update(token).where(token.c.access_key == self._spent_key, self._is_of_issuer(token))
        self.spend_token = self._compile(change.where(token.c.used_at.is_(None)).values(used_at=self._now))
        child = token.alias("child")
        of_used_child = child.c.parent == self._spent_key, child.c.used_at.is_not(None)
        no_child_is_used: ColumnElement[bool] = ~exists().where(*of_used_child)
        if self._dialect.name == "mysql":
            # an UPDATE there reads its own table only behind a derived table, which an aggregate keeps apart
            used = select(func.count().label("number")).select_from(child).where(*of_used_child).subquery("used")
            no_child_is_used = select(used.c.number).scalar_subquery() == literal_column("0")
        self.add_sibling = self._compile(
            change.where(
                token.c.used_at > bindparam("since"),
                token.c.used_at < bindparam("until"),  # a clock that was set back does not renew a grace period
                token.c.siblings < bindparam("most"),
                no_child_is_used,
            ).values(siblings=token.c.siblings + literal_column("1"))
        )

    def _build_revocations(self) -> None:
        revoked, user = self._tables.revocation, self._tables.user_revocation
        row = Upsert(self._dialect.name, revoked, _everything(revoked))
        is_later = row.proposed.expires_at > revoked.c.expires_at
        self.revoke = self._compile(row.replacing(row.rest, only_if=is_later))
        wanted: list[BindParameter[str]] = [bindparam(name) for name in REVOKED_IDS]
        of_issuer = select(null()).where(self._is_of_issuer(revoked))
        found = [of_issuer.where(revoked.c.revoked_id.in_(wanted))]
        if self._dialect.name == "postgresql":  # the plan of a list may read all rows of an issuer, see _is_absent()
            found = [of_issuer.where(revoked.c.revoked_id == one) for one in wanted]
        self.find_revoked = self._compile(union_all(*found) if found[1:] else found[0])
        covered = select(null()).where(
            user.c.user_id == self._user_id,
            self._sortable(user.c.last_id) >= bindparam("authorization_id"),
            self._is_of_issuer(user),
        )
        self.find_revoked_of_user = self._compile(union_all(*found, covered))
        user_row = Upsert(self._dialect.name, user, _everything(user))
        is_newer = self._sortable(user_row.proposed.last_id) >= user.c.last_id
        latest = case(
            (user_row.proposed.expires_at > user.c.expires_at, user_row.proposed.expires_at), else_=user.c.expires_at
        )
        self.revoke_user = self._compile(
            user_row.replacing({"last_id": user_row.proposed.last_id, "expires_at": latest}, only_if=is_newer)
        )

    def _build_counters(self) -> None:
        counter = self._tables.counter
        start = {**_everything(counter), "count": bindparam("by")}
        row = Upsert(self._dialect.name, counter, start)
        add = row.replacing({"count": counter.c["count"] + row.proposed["count"]})
        read = select(counter.c["count"]).where(counter.c.key == self._key, self._is_of_issuer(counter))
        # with whether they return rows; MySQL has no RETURNING: the transaction reads the row that it has locked
        self.count: tuple[tuple[str, bool], ...] = ((self._compile(add), False), (self._compile(read), True))
        if self._dialect.name != "mysql":
            self.count = ((self._compile(add.returning(counter.c["count"])), True),)
        self.remember = self._compile(row.adding)

    def _build_consents(self) -> None:
        consent, revoked = self._tables.consent, self._tables.user_revocation
        hidden = "user_id", "issuer_id"
        # one without an ID was added by a migration of the application: it cannot be revoked as one
        of_user = select(*(column for column in consent.columns if column.name not in hidden)).where(
            consent.c.user_id == self._user_id,
            consent.c.id.is_not(None),
            self._is_of_issuer(consent),
            self._is_user_unrevoked(consent, consent.c.id),
        )
        self.get_consent = self._compile(of_user.where(consent.c.client_id == self._client_id))
        self.list_consents = self._compile(of_user.order_by(consent.c.used_at.desc(), consent.c.client_id))
        is_old = consent.c.id.is_(None) | (self._sortable(consent.c.id) <= bindparam("last_id"))
        self.delete_consents_of_user = self._compile(
            delete(consent).where(consent.c.user_id == self._user_id, is_old, self._is_of_issuer(consent))
        )
        # one that was saved at the moment of the revocation of its user
        is_covered = exists().where(
            revoked.c.user_id == self._user_id,
            self._sortable(revoked.c.last_id) >= consent.c.id,
            self._is_of_issuer(revoked),
        )
        self.delete_revoked_consent = self._compile(
            delete(consent).where(*self._is_consent, is_covered.correlate(consent))
        )

    @property
    def _is_consent(self) -> tuple[ColumnElement[bool], ...]:
        """The conditions that find one consent."""
        consent = self._tables.consent
        return (
            consent.c.user_id == self._user_id,
            consent.c.client_id == self._client_id,
            self._is_of_issuer(consent),
        )

    def _build_consent_changes(self) -> None:
        consent = self._tables.consent
        found = (*self._is_consent, consent.c.id == bindparam("id"))
        row = Upsert(self._dialect.name, consent, _everything(consent))
        add = self._compile(row.replacing(row.rest, only_if=consent.c.id.is_(None)))
        is_mine = self._compile(update(consent).where(*found).values(id=consent.c.id))
        # MariaDB and MySQL count 1 for an existing row that stays as it is: its ID says more
        self.add_consent: tuple[tuple[str, int | None], ...] = ((add, 1),)
        if self._is_mysql:
            self.add_consent = ((add, None), (is_mine, 1))
        further = (consent.c.by_resource, consent.c.authorization_details)
        are_as_before = (func.coalesce(one, literal_column("''")) == bindparam(f"before_{one.name}") for one in further)
        self.change_consent = self._compile(
            update(consent)
            .where(
                *found,
                consent.c.scope == bindparam("before"),
                *are_as_before,
            )
            .values(
                {name: bindparam(name) for name in ("scope", "granted_at", "used_at", *(one.name for one in further))}
            )
        )
        is_earlier = consent.c.used_at < self._now
        self.use_consent = self._compile(update(consent).where(*self._is_consent, is_earlier).values(used_at=self._now))
        self.delete_consent = self._compile(delete(consent).where(*found))

    def _build_signing_keys(self) -> None:
        key = self._tables.signing_key
        read = select(*(column for column in key.columns if column.name != "issuer_id"))
        self.list_keys = self._compile(read.where(self._is_of_issuer(key)).order_by(key.c.algorithm, key.c.number))
        self.add_key = self._compile(Upsert(self._dialect.name, key, _everything(key)).adding)
        found = (
            key.c.algorithm == bindparam("algorithm"),
            key.c.number == bindparam("number"),
            key.c.id == bindparam("id"),
            self._is_of_issuer(key),
        )
        times = key.c.activates_at, key.c.retires_at, key.c.expires_at
        is_as_before = (time.is_not_distinct_from(bindparam(f"{time.name}_before")) for time in times)
        has_encryption = key.c.encrypted == bindparam("encrypted_before")
        changed: dict[Any, Any] = {column: bindparam(column.name) for column in (key.c.encrypted, *times)}
        self.change_key = self._compile(update(key).where(*found, has_encryption, *is_as_before).values(changed))
        self.delete_key = self._compile(delete(key).where(*found))

    def _build_sessions(self) -> None:
        session, client = self._tables.session, self._tables.session_client
        read = select(*(column for column in session.columns if column.name != "issuer_id"))
        found = session.c.id == bindparam("id"), self._is_of_issuer(session)
        self.add_session = self._compile(insert(session).values(_everything(session)))
        self.get_session = self._compile(read.where(*found))
        of_user = session.c.user_id == self._user_id, self._is_of_issuer(session)
        self.list_sessions = self._compile(read.where(*of_user).order_by(session.c.created_at, session.c.id))
        self.end_session = self._compile(
            update(session).where(*found, session.c.ended_at.is_(None)).values(ended_at=self._now)
        )
        row = Upsert(self._dialect.name, client, _everything(client))
        self.add_session_client = self._compile(row.replacing({"client_id": row.proposed.client_id}))
        of_session = client.c.session_id == bindparam("session_id"), self._is_of_issuer(client)
        self.list_session_clients = self._compile(
            select(client.c.client_id).where(*of_session).order_by(client.c.client_id)
        )

    def _build_purge(self) -> None:
        tables, now = self._tables, self._now
        token, grant, revoked = tables.token, tables.grant, tables.revocation
        ends = token.c.expires_at, token.c.refresh_expires_at
        self.expired: tuple[Expired, ...] = (
            self._expire(token, token.c.access_key, now, *ends),
            self._expire(grant, grant.c.key, bindparam("before"), grant.c.expires_at),
            self._expire(revoked, revoked.c.revoked_id, now, revoked.c.expires_at, start=""),
            self._expire_users(),
            self._expire(tables.counter, tables.counter.c.key, now, tables.counter.c.expires_at),
            self._expire_clients(),
            self._expire_sessions(),
            self._expire_keys(),
        )
        """The statements of purge, by table."""

    def _expire(
        self,
        table: Table,
        key: Column[Any],
        limit: ColumnElement[Any],
        *ends: ColumnElement[Any],
        start: Any = b"",
        further: tuple[Column[Any], ...] = (),
        deletions: tuple[str, ...] = (),
    ) -> Expired:
        """Build the statements for a table whose rows are found by a key, or by an issuer and a key.

        :param further: columns that the further deletions need.
        """
        gone = ends[0] <= limit
        for end in ends[1:]:
            gone &= end.is_(None) | (end <= limit)
        count = self._compile(select(func.count()).select_from(table).where(gone))
        after: BindParameter[Any] = bindparam("after")
        if "issuer_id" not in table.primary_key.columns:
            batch = select(key).where(gone, key > after).order_by(key)
            own = self._compile(delete(table).where(key == self._key, gone))
            return Expired({"after": start}, count, self._limit(batch), ("key",), (own,), {"after": "key"})
        issuer = table.c.issuer_id
        batch = select(issuer, key, *further).where(gone, self._is_beyond(issuer, key)).order_by(issuer, key)
        own = self._compile(delete(table).where(key == self._key, self._is_of_issuer(table), gone))
        return Expired(
            {"after_issuer": "", "after": start},
            count,
            self._limit(batch),
            ("issuer_id", "key", *(column.name for column in further)),
            (own, *deletions),
            {"after_issuer": "issuer_id", "after": "key"},
        )

    def _limit(self, batch: Select[Any]) -> str:
        # with an offset of its own SQLite's compiler adds no parameter for one
        return self._compile(batch.limit(literal_column(_BATCH)).offset(literal_column("0")))

    def _is_beyond(self, issuer: Column[Any], key: Column[Any]) -> ColumnElement[bool]:
        """Compare two columns of an index with a position. MariaDB and MySQL use no index to compare rows."""
        after_issuer: BindParameter[str] = bindparam("after_issuer")
        after: BindParameter[Any] = bindparam("after")
        if self._is_mysql:
            return (issuer > after_issuer) | ((issuer == after_issuer) & (key > after))
        return tuple_(issuer, key) > tuple_(after_issuer, after)

    def _expire_users(self) -> Expired:
        user, consent = self._tables.user_revocation, self._tables.consent
        # a consent that was saved at the moment of the revocation would come back without the record
        is_covered = self._sortable(consent.c.id) <= bindparam("last_id")
        consents = delete(consent).where(consent.c.user_id == self._key, is_covered, self._is_of_issuer(consent))
        return self._expire(
            user,
            user.c.user_id,
            self._now,
            user.c.expires_at,
            start="",
            further=(user.c.last_id,),
            deletions=(self._compile(consents),),
        )

    def _expire_clients(self) -> Expired:
        client, consent = self._tables.client, self._tables.consent
        is_gone = client.c.expires_at <= self._now
        # in the order of the index: the rows of a batch are gone, or were kept, before the next
        batch = (
            select(client.c.issuer_id, client.c.client_id, client.c.expires_at)
            .where(is_gone, client.c.expires_at >= bindparam("after"))
            .order_by(client.c.expires_at)
        )
        own = delete(client).where(client.c.client_id == self._key, self._is_of_issuer(client), is_gone)
        left = consent.c.client_id == self._key, self._is_of_issuer(consent), self._has_no_client
        return Expired(
            {"after": 0},
            self._compile(select(func.count()).select_from(client).where(is_gone)),
            self._limit(batch),
            ("issuer_id", "key", "expires_at"),
            (self._compile(own), self._compile(delete(consent).where(*left)), self.delete_orphaned_origins),
            {"after": "expires_at"},
        )

    def _expire_sessions(self) -> Expired:
        session, client = self._tables.session, self._tables.session_client
        clients = delete(client).where(client.c.session_id == self._key, self._is_of_issuer(client))
        return self._expire(
            session,
            session.c.id,
            self._now,
            session.c.expires_at,
            start="",
            deletions=(self._compile(clients),),
        )

    def _expire_keys(self) -> Expired:
        """There are a few, so the batch need not be in order."""
        key = self._tables.signing_key
        is_gone = key.c.expires_at <= self._now
        batch = select(key.c.issuer_id, key.c.algorithm, key.c.number).where(is_gone)
        own = delete(key).where(
            key.c.algorithm == bindparam("algorithm"),
            key.c.number == bindparam("number"),
            self._is_of_issuer(key),
            is_gone,
        )
        return Expired(
            {},
            self._compile(select(func.count()).select_from(key).where(is_gone)),
            self._limit(batch),
            ("issuer_id", "algorithm", "number"),
            (self._compile(own),),
            {},
        )
