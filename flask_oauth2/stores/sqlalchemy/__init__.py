"""The default store, on SQLAlchemy: tables, compiled statements, connections, and the store made of them."""

from .engines import check_engine, create_tables, read_uri
from .forks import watch
from .models import map_tables
from .schema import Tables, declare
from .store import SQLAlchemyStore

__all__ = ["SQLAlchemyStore", "Tables", "check_engine", "create_tables", "declare", "map_tables", "read_uri", "watch"]
