"""Mapped classes of the tables, over the declarative bases that applications have."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import flask
import pytest
import sqlalchemy as sa
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy.orm import DeclarativeBase, Mapped, MappedAsDataclass, Session, declared_attr, mapped_column

from flask_oauth2 import OAuth2Provider
from flask_oauth2.stores.sqlalchemy import SQLAlchemyStore, declare, map_tables
from flask_oauth2.testing.samples import new_client


class Identified:
    """A mixin that gives each table a column."""

    number: Mapped[int] = mapped_column(primary_key=True)


class Dated:
    created_by = sa.Column(sa.String(20))


class Owned:
    @declared_attr
    def owner(cls) -> Mapped[str]:  # noqa: N805
        return mapped_column(sa.String(20))


class Annotated:
    """A mixin that says a column by its annotation alone."""

    text: Mapped[str]


class Named:
    """A mixin that adds no column."""

    @declared_attr.directive
    def __tablename__(cls) -> str:  # noqa: N805
        return cls.__name__.lower()  # type: ignore[attr-defined]


MIXINS = [Identified, Dated, Owned, Annotated, MappedAsDataclass, Named]


@pytest.fixture(params=MIXINS)
def base(request: pytest.FixtureRequest) -> Any:
    return type("Base", (request.param, DeclarativeBase), {})


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[sa.Engine]:
    engine = sa.create_engine(f"sqlite:///{tmp_path / 'app.sqlite'}")
    yield engine
    engine.dispose()


def test_models_of_a_declarative_base(base: Any, engine: sa.Engine) -> None:
    models = map_tables(base)
    assert map_tables(base) == models
    base.metadata.create_all(engine)
    client = new_client()
    SQLAlchemyStore(engine, declare(base.metadata)).set_client(client)
    with Session(engine) as session:
        found: Any = session.scalars(sa.select(models["OAuth2Client"])).one()
        assert (found.client_id, found.grant_types) == (client.client_id, list(client.grant_types))
        assert (found.denied["scope"], found.pkce_required) == (["admin"], False)


@pytest.mark.parametrize("kind", [Identified, Named])
def test_models_of_flask_sqlalchemy_have_their_query(kind: type, tmp_path: Path) -> None:
    app = flask.Flask(__name__, instance_path=str(tmp_path))
    app.config.update(SECRET_KEY="a secret key of the tests", SQLALCHEMY_DATABASE_URI="sqlite:///app.sqlite")
    db = SQLAlchemy(app, model_class=type("Base", (DeclarativeBase, kind), {}))
    provider = OAuth2Provider(app, db=db)
    with app.app_context():
        db.create_all()
        provider.server.store.set_client(new_client(client_id="client"))
        assert provider.models["OAuth2Client"].query.one().client_id == "client"
        db.engine.dispose()
