"""Mapped classes for the application's own queries and admin pages; nothing here runs on a hot path."""

from __future__ import annotations

from typing import Any

from .schema import DEFAULT_PREFIX, declare


def map_tables(base: Any, prefix: str = DEFAULT_PREFIX) -> dict[str, Any]:
    """Map the tables to classes of a declarative base such as ``db.Model``, by class name: ``OAuth2Client``, …"""
    mapped = {mapper.local_table: mapper.class_ for mapper in base.registry.mappers}
    models = {}
    for field, table in declare(base.metadata, prefix)._asdict().items():
        name = "OAuth2" + "".join(part.capitalize() for part in field.split("_"))
        models[name] = mapped.get(table) or type(name, (base,), {"__table__": table, "__module__": __name__})
    return models
