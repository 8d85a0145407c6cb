"""The default store, on SQLAlchemy: tables, compiled statements, connections, and the store made of them."""

from .engines import create_tables
from .forks import watch
from .models import map_tables
from .schema import Tables, declare
from .store import SQLAlchemyStore

__all__ = ["SQLAlchemyStore", "Tables", "create_tables", "declare", "map_tables", "watch"]
