"""Mapped classes of the tables for queries and admin pages of the application. The store does not use them."""

from __future__ import annotations

import json
from typing import Any

from sqlalchemy import Column, Table
from sqlalchemy.ext.hybrid import hybrid_property
from sqlalchemy.orm import MappedAsDataclass, MappedColumn, declared_attr

from .schema import DEFAULT_PREFIX, JSON, declare


def map_tables(base: Any, prefix: str = DEFAULT_PREFIX) -> dict[str, Any]:
    """Map the tables to classes of a declarative base such as ``db.Model``, by class name: ``OAuth2Client``, …

    If the base adds columns or makes dataclasses of its subclasses, the classes share its registry and are not its
    subclasses, since the tables have no such columns.
    """
    mapped = {mapper.local_table: mapper.class_ for mapper in base.registry.mappers}
    models = {}
    for field, table in declare(base.metadata, prefix)._asdict().items():
        name = "OAuth2" + "".join(part.capitalize() for part in field.split("_"))
        models[name] = mapped.get(table) or _map(base, name, table)
    return models


def _map(base: Any, name: str, table: Table) -> Any:
    encoded = [column for column in table.columns if column.info == JSON]
    members: dict[str, Any] = {column.name: _decoded(column.name) for column in encoded}
    properties = {f"{column.name}_json": column for column in encoded}
    members["__module__"] = __name__
    if not _adds_members(base):
        mapping = {"__table__": table, "__mapper_args__": {"properties": properties}}
        return type(name, (base,), members | mapping)
    # Flask-SQLAlchemy's Model.query, where the base has it
    inherited = ("query", "query_class", "__fsa__")
    own = {member: found for member in inherited if (found := _find_member(base, member)) is not None}
    model = type(name, (), members | own)
    base.registry.map_imperatively(model, table, properties=properties)
    return model


def _decoded(name: str) -> Any:
    """Return an attribute that is a list or a dict of an instance, and the column of JSON text in a query."""
    text = f"{name}_json"

    def get(self: Any) -> Any:
        value = getattr(self, text)
        return None if value is None else json.loads(value)

    def put(self: Any, value: Any) -> None:
        setattr(self, text, None if value is None else json.dumps(value))

    return hybrid_property(get, fset=put, expr=lambda cls: getattr(cls, text))


def _find_member(base: Any, name: str) -> Any:
    return next((vars(kind)[name] for kind in base.__mro__ if name in vars(kind)), None)


def _adds_members(base: Any) -> bool:
    """Return whether each subclass of a declarative base has columns of the base, or is a dataclass."""
    if issubclass(base, MappedAsDataclass):
        return True
    for kind in base.__mro__:
        for name, value in vars(kind).items():
            if isinstance(value, Column | MappedColumn):
                return True
            if isinstance(value, declared_attr) and not name.startswith("__"):
                return True
        if any("Mapped[" in str(annotation) for annotation in vars(kind).get("__annotations__", {}).values()):
            return True
    return False
