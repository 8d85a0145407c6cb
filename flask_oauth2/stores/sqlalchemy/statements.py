"""Every statement of the store, built once and compiled once per engine."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, cast

from sqlalchemy import (
    BindParameter,
    ClauseElement,
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
    union_all,
    update,
)
from sqlalchemy.engine.default import DefaultDialect

from .schema import COLLATIONS, Tables
from .upsert import Upsert

MARKS = ("first", "second", "third", "fourth")
"""The parameters of the marks that one statement looks for."""

ORIGINS = ("first", "second")
"""The parameters of the origins that one statement looks for."""

KEYS = 20
"""How many keys one statement of ``find_known`` asks for."""

DECISION = ("authorization_id", "consent_id", "client_id", "user_id", "scope", "context", "is_denied")
"""The columns of a grant that say what a user decided."""

FURTHER = ("last_id",)
"""The parameters of deletions that a list of expired rows has between the key and where the next batch begins."""

_BATCH = "500"


def _everything(table: Table) -> dict[str, Any]:
    return {column.key: bindparam(column.name) for column in table.columns}


class Statements:
    """The statements, each as an attribute named after what it does.

    :param by_time: whether those that name a token by its key name the second ``issued_at`` of its row too, by which
        the database knows the partition.
    """

    def __init__(self, tables: Tables, dialect: Dialect, by_time: bool = False) -> None:
        client, grant, token, revocation, consent, counter, origin, user_revocation = tables
        if dialect.name == "sqlite":
            dialect = cast("type[DefaultDialect]", type(dialect))(
                paramstyle="named"
            )  # its driver takes parameters by name as well
        elif dialect.name == "mysql":
            # a dialect that has seen no server writes the same SQL for each version
            dialect = cast("type[DefaultDialect]", type(dialect))(paramstyle="pyformat")
        is_mysql = dialect.name in COLLATIONS
        key: BindParameter[bytes] = bindparam("key")
        mark: BindParameter[str] = bindparam("mark")
        client_id: BindParameter[str] = bindparam("client_id")
        now: BindParameter[int] = bindparam("now")
        of_second = (token.c.issued_at == bindparam("issued_at"),) if by_time else ()

        def compiled(statement: ClauseElement) -> str:
            return str(statement.compile(dialect=dialect))

        def sortable(column: ColumnElement[Any]) -> ColumnElement[Any]:
            """An id, whose text sorts by octets in SQLite, and in the collation of the tables elsewhere."""
            return column.collate("C") if dialect.name == "postgresql" else column

        def of_revoked_user(table: Table, authorization_id: ColumnElement[Any]) -> ColumnElement[bool]:
            of_user = user_revocation.c.user_id == table.c.user_id
            is_covered = sortable(user_revocation.c.last_id) >= authorization_id
            return exists().where(of_user, is_covered).correlate(table)

        def unmarked(statement: Select[Any], table: Table, *marks: ColumnElement[Any]) -> str:
            found: list[ColumnElement[bool]] = [revocation.c.mark.in_(marks)]
            if dialect.name == "sqlite":  # which would build an index of such a list each time
                found = [revocation.c.mark == mark for mark in marks]
            marked = [exists().where(one).correlate(table) for one in found]
            return compiled(
                statement.where(*(~one for one in marked), ~of_revoked_user(table, table.c.authorization_id))
            )

        def replacing(table: Table) -> str:
            row = Upsert(dialect.name, table, _everything(table))
            return compiled(row.replacing(row.rest))

        def expired(
            table: Table,
            limit: ColumnElement[Any],
            *ends: ColumnElement[Any],
            where: Iterable[ColumnElement[bool]] = (),
        ) -> tuple[str, ...]:
            """Count the expired rows; list a batch of their keys; delete one."""
            primary = next(iter(table.primary_key))
            gone = ends[0] <= limit
            for end in ends[1:]:
                gone &= end.is_(None) | (end <= limit)
            batch = select(primary).where(gone, primary > bindparam("after")).order_by(primary)
            return (
                compiled(select(func.count()).select_from(table).where(gone)),
                # with an offset of its own SQLite's compiler adds no parameter for one
                compiled(batch.limit(literal_column(_BATCH)).offset(literal_column("0"))),
                compiled(delete(table).where(primary == key, gone, *where)),
            )

        self.get_client = compiled(select(*client.columns).where(client.c.client_id == client_id))
        self.list_clients = compiled(select(*client.columns).order_by(client.c.created_at, client.c.client_id))
        self.set_client = replacing(client)
        new = Upsert(dialect.name, client, _everything(client))
        self.add_client = compiled(new.adding)
        until: BindParameter[int] = bindparam("expires_at")
        own = update(client).where(client.c.client_id == client_id)
        self.keep_client = compiled(own.values(expires_at=null()))
        later = case((client.c.expires_at < until, until), else_=client.c.expires_at)
        self.keep_client_until = compiled(own.values(expires_at=later))
        self.change_client = compiled(
            own.where(
                client.c.registration_key.is_not_distinct_from(bindparam("key_before")),
                client.c.secret.is_not_distinct_from(bindparam("secret_before")),
                client.c.scope == bindparam("scope_before"),
                client.c.grant_types == bindparam("grant_types_before"),
            ).values({c: bindparam(c.name) for c in client.columns if c.name not in ("client_id", "expires_at")})
        )
        self.list_owned = compiled(
            select(*client.columns)
            .where(client.c.owner_id == bindparam("owner_id"))
            .order_by(client.c.created_at, client.c.client_id)
        )
        self.delete_client = compiled(delete(client).where(client.c.client_id == client_id))
        self.delete_consents = compiled(delete(consent).where(consent.c.client_id == client_id))

        origin_row = Upsert(dialect.name, origin, _everything(origin))
        self.file_origin = compiled(origin_row.replacing({"client_id": origin_row.proposed.client_id}))
        self.delete_origins = compiled(delete(origin).where(origin.c.client_id == client_id))
        of_no_client = ~exists().where(client.c.client_id == key)  # and nobody has added it again meanwhile
        self.delete_left_origins = compiled(delete(origin).where(origin.c.client_id == key, of_no_client))
        # by the order of the index: where most clients have one origin, a planner that looks for another reads them all
        self.find_origins = compiled(
            select(
                *(
                    select(func.min(origin.c.origin)).where(origin.c.origin >= bindparam(name)).scalar_subquery()
                    for name in ORIGINS
                )
            )
        )

        self.get_grant = unmarked(
            select(*(c for c in grant.columns if c.name not in ("key", "kind"))).where(
                grant.c.key == key, grant.c.kind == bindparam("kind")
            ),
            grant,
            grant.c.authorization_id,
            grant.c.client_id,
            grant.c.consent_id,
        )
        self.get_access = unmarked(
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
            ).where(token.c.access_key == key, *of_second),
            token,
            token.c.authorization_id,
            token.c.client_id,
            token.c.consent_id,
            mark,
        )
        self.get_refresh = unmarked(
            select(*(c for c in token.columns if c.name not in ("refresh_key", "siblings"))).where(
                token.c.refresh_key == key, *of_second
            ),
            token,
            token.c.authorization_id,
            token.c.client_id,
            token.c.consent_id,
        )

        self.keys = [f"key_{number}" for number in range(KEYS)]
        asked: list[BindParameter[bytes]] = [bindparam(name) for name in self.keys]
        self.find_known = compiled(
            union_all(
                select(token.c.access_key).where(token.c.access_key.in_(asked)),
                select(token.c.refresh_key).where(token.c.refresh_key.in_(asked)),
            )
        )

        self.spend_grant = compiled(
            update(grant).where(grant.c.key == key, grant.c.used_at.is_(None)).values(used_at=now)
        )
        self.find_device = compiled(select(*grant.columns).where(grant.c.user_code_key == key))
        is_undecided = grant.c.authorization_id.is_(None), grant.c.is_denied.is_(false()), grant.c.used_at.is_(None)
        self.decide = compiled(
            update(grant)
            .where(grant.c.key == key, *is_undecided, grant.c.expires_at > now)
            .values({name: bindparam(name) for name in DECISION})
        )
        self.poll = compiled(
            update(grant)
            .where(
                grant.c.key == key,
                func.coalesce(grant.c.polled_at, literal_column("0")) == bindparam("polled_before"),
                func.coalesce(grant.c.interval, literal_column("0")) == bindparam("interval_before"),
            )
            .values(polled_at=now, interval=bindparam("interval"))
        )
        self.spend_token = compiled(
            update(token).where(token.c.access_key == key, *of_second, token.c.used_at.is_(None)).values(used_at=now)
        )
        child = token.alias("child")
        of_used_child = child.c.parent == key, child.c.used_at.is_not(None)
        no_child_is_used: ColumnElement[bool] = ~exists().where(*of_used_child)
        if dialect.name == "mysql":
            # an UPDATE there reads its own table only behind a derived table, which an aggregate keeps apart
            used = select(func.count().label("number")).select_from(child).where(*of_used_child).subquery("used")
            no_child_is_used = select(used.c.number).scalar_subquery() == literal_column("0")
        self.add_sibling = compiled(
            update(token)
            .where(
                token.c.access_key == key,
                *of_second,
                token.c.used_at > bindparam("since"),
                token.c.used_at < bindparam("until"),  # a clock that was set back makes nothing good again
                token.c.siblings < bindparam("most"),
                no_child_is_used,
            )
            .values(siblings=token.c.siblings + literal_column("1"))
        )
        self.file_grant = compiled(insert(grant).values(_everything(grant)))
        self.file_token = compiled(
            insert(token).values({c.name: bindparam(c.name) for c in token.columns if c.name != "siblings"})
        )

        mark_row = Upsert(dialect.name, revocation, _everything(revocation))
        is_later = mark_row.proposed.expires_at > revocation.c.expires_at
        self.set_mark = compiled(mark_row.replacing(mark_row.rest, only_if=is_later))
        marked = select(null()).where(revocation.c.mark.in_([bindparam(name) for name in MARKS]))
        self.get_marks = compiled(marked)
        user_row = Upsert(dialect.name, user_revocation, _everything(user_revocation))
        is_newer = sortable(user_row.proposed.last_id) >= user_revocation.c.last_id
        until_then = case(
            (user_row.proposed.expires_at > user_revocation.c.expires_at, user_row.proposed.expires_at),
            else_=user_revocation.c.expires_at,
        )
        self.revoke_user = compiled(
            user_row.replacing({"last_id": user_row.proposed.last_id, "expires_at": until_then}, only_if=is_newer)
        )
        is_old = consent.c.id.is_(None) | (sortable(consent.c.id) <= bindparam("last_id"))
        self.delete_consents_of_user = compiled(
            delete(consent).where(consent.c.user_id == bindparam("user_id"), is_old)
        )
        of_user_revoked = select(null()).where(
            user_revocation.c.user_id == bindparam("user_id"),
            sortable(user_revocation.c.last_id) >= bindparam("authorization_id"),
        )
        self.get_marks_of_user = compiled(union_all(marked, of_user_revoked))
        start = {"key": key, "count": bindparam("by"), "expires_at": bindparam("expires_at")}
        count_row = Upsert(dialect.name, counter, start)
        added = {"count": counter.c["count"] + count_row.proposed["count"]}
        add = count_row.replacing(added)
        # MySQL has no RETURNING: the transaction reads the row that it has locked
        self.count = (
            (compiled(add), compiled(select(counter.c["count"]).where(counter.c.key == key)))
            if dialect.name == "mysql"
            else (compiled(add.returning(counter.c["count"])),)
        )
        user_id: BindParameter[str] = bindparam("user_id")
        # one without an id was added by a migration of the application's: what rests on it cannot be ended as one
        of_user = select(*(c for c in consent.columns if c.name != "user_id")).where(
            consent.c.user_id == user_id, consent.c.id.is_not(None), ~of_revoked_user(consent, consent.c.id)
        )
        of_both = consent.c.user_id == user_id, consent.c.client_id == client_id
        self.get_consent = compiled(of_user.where(consent.c.client_id == client_id))
        self.list_consents = compiled(of_user.order_by(consent.c.used_at.desc(), consent.c.client_id))
        of_id = *of_both, consent.c.id == bindparam("id")
        consent_row = Upsert(dialect.name, consent, _everything(consent))
        add_consent = compiled(consent_row.replacing(consent_row.rest, only_if=consent.c.id.is_(None)))
        is_mine = compiled(update(consent).where(*of_id).values(id=consent.c.id))
        # MariaDB and MySQL count 1 for a row that was there and stays as it is: whose id it has says more
        self.add_consent: tuple[tuple[str, int | None], ...] = (
            ((add_consent, None), (is_mine, 1)) if is_mysql else ((add_consent, 1),)
        )
        self.change_consent = compiled(
            update(consent)
            .where(
                *of_id,
                consent.c.scope == bindparam("before"),
                func.coalesce(consent.c.by_resource, literal_column("''")) == bindparam("before_by_resource"),
            )
            .values({name: bindparam(name) for name in ("scope", "granted_at", "used_at", "by_resource")})
        )
        # one that was saved at the moment of the revocation of its user
        self.delete_revoked_consent = compiled(
            delete(consent).where(
                *of_both,
                exists()
                .where(
                    user_revocation.c.user_id == user_id,
                    sortable(user_revocation.c.last_id) >= consent.c.id,
                )
                .correlate(consent),
            )
        )
        self.use_consent = compiled(update(consent).where(*of_both, consent.c.used_at < now).values(used_at=now))
        self.delete_consent = compiled(delete(consent).where(*of_id))

        is_gone = client.c.expires_at <= now
        ended = select(client.c.client_id, client.c.expires_at).where(
            is_gone, client.c.expires_at >= bindparam("after")
        )
        expired_clients = (
            compiled(select(func.count()).select_from(client).where(is_gone)),
            # by the index over what expires: what a batch has found is gone, or was kept, before the next
            compiled(ended.order_by(client.c.expires_at).limit(literal_column(_BATCH)).offset(literal_column("0"))),
            compiled(delete(client).where(client.c.client_id == key, is_gone)),
            compiled(delete(consent).where(consent.c.client_id == key, of_no_client)),
            self.delete_left_origins,
        )
        count_users, _, delete_user = expired(user_revocation, now, user_revocation.c.expires_at)
        ended_users = (
            select(user_revocation.c.user_id, user_revocation.c.last_id, user_revocation.c.user_id)
            .where(user_revocation.c.expires_at <= now, user_revocation.c.user_id > bindparam("after"))
            .order_by(user_revocation.c.user_id)
        )
        expired_users = (
            count_users,
            compiled(ended_users.limit(literal_column(_BATCH)).offset(literal_column("0"))),
            delete_user,
            # a consent that was saved at the moment of the revocation would come back without the record
            compiled(delete(consent).where(consent.c.user_id == key, sortable(consent.c.id) <= bindparam("last_id"))),
        )
        self.expired = (
            (b"", expired(token, now, token.c.expires_at, token.c.refresh_expires_at, where=of_second)),
            (b"", expired(grant, bindparam("before"), grant.c.expires_at)),
            ("", expired(revocation, now, revocation.c.expires_at)),
            ("", expired_users),
            (b"", expired(counter, now, counter.c.expires_at)),
            (0, expired_clients),
        )
        """What purge takes: where the list begins, and the statements that count, list, delete, and delete what goes
        with it. A row of the list begins with the key and ends with where the next batch begins, with :data:`FURTHER`
        between."""
