"""Databases of the documented applications of both libraries."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from authlib.integrations.sqla_oauth2 import OAuth2AuthorizationCodeMixin, OAuth2ClientMixin, OAuth2TokenMixin
from sqlalchemy import Boolean, DateTime, Engine, ForeignKey, String, Text, create_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from oauth_site import CALLBACK, NOW

SECRET = "a long secret that was drawn at random: 0123456789"
SHORT = "a short secret"


class Old(DeclarativeBase):
    """The tables of flask-oauthlib's documentation."""


class User(Old):
    __tablename__ = "user"
    id: Mapped[int] = mapped_column(primary_key=True)
    username: Mapped[str] = mapped_column(String(40), unique=True)


class Client(Old):
    __tablename__ = "client"
    client_id: Mapped[str] = mapped_column(String(40), primary_key=True)
    client_secret: Mapped[str] = mapped_column(String(255), nullable=False)
    name: Mapped[str | None] = mapped_column(String(400))
    user_id: Mapped[int | None] = mapped_column(ForeignKey("user.id"))
    is_confidential: Mapped[bool | None] = mapped_column(Boolean)
    _redirect_uris: Mapped[str | None] = mapped_column(Text)
    _default_scopes: Mapped[str | None] = mapped_column(Text)


class Grant(Old):
    __tablename__ = "grant"
    id: Mapped[int] = mapped_column(primary_key=True)
    user_id: Mapped[int | None] = mapped_column(ForeignKey("user.id"))
    client_id: Mapped[str] = mapped_column(ForeignKey("client.client_id"), nullable=False)
    code: Mapped[str] = mapped_column(String(255), index=True)
    redirect_uri: Mapped[str] = mapped_column(String(255))
    expires: Mapped[datetime] = mapped_column(DateTime)
    _scopes: Mapped[str | None] = mapped_column(Text)


class Token(Old):
    __tablename__ = "token"
    id: Mapped[int] = mapped_column(primary_key=True)
    client_id: Mapped[str] = mapped_column(ForeignKey("client.client_id"), nullable=False)
    user_id: Mapped[int | None] = mapped_column(ForeignKey("user.id"))
    token_type: Mapped[str | None] = mapped_column(String(40))
    access_token: Mapped[str] = mapped_column(String(255), unique=True)
    refresh_token: Mapped[str | None] = mapped_column(String(255), unique=True)
    expires: Mapped[datetime | None] = mapped_column(DateTime)
    _scopes: Mapped[str | None] = mapped_column(Text)


def in_seconds(seconds: float) -> datetime:
    """Return a naive datetime like those of flask-oauthlib."""
    return datetime.fromtimestamp(NOW + seconds, UTC).replace(tzinfo=None)


def old_client(client_id: str = "web", **fields: Any) -> Client:
    standard: dict[str, Any] = {
        "client_secret": SECRET,
        "name": "Photos",
        "is_confidential": True,
        "_redirect_uris": CALLBACK,
        "_default_scopes": "profile mail",
    }
    return Client(client_id=client_id, **standard | fields)


def old_token(access_token: str = "live-access", **fields: Any) -> Token:
    standard: dict[str, Any] = {
        "client_id": "web",
        "user_id": 1,
        "token_type": "Bearer",
        "refresh_token": access_token.replace("access", "refresh"),
        "expires": in_seconds(600),
        "_scopes": "profile",
    }
    return Token(access_token=access_token, **standard | fields)


class Mixed(DeclarativeBase):
    """The tables of Authlib's mixins."""


class OAuth2Client(Mixed, OAuth2ClientMixin):
    __tablename__ = "oauth2_client"
    id: Mapped[int] = mapped_column(primary_key=True)
    user_id: Mapped[int | None]


class OAuth2AuthorizationCode(Mixed, OAuth2AuthorizationCodeMixin):
    __tablename__ = "oauth2_code"
    id: Mapped[int] = mapped_column(primary_key=True)
    user_id: Mapped[int | None]


class OAuth2Token(Mixed, OAuth2TokenMixin):
    __tablename__ = "oauth2_token"
    id: Mapped[int] = mapped_column(primary_key=True)
    user_id: Mapped[int | None]


def mixed_client(client_id: str = "web", secret: str = SECRET, **metadata: Any) -> OAuth2Client:
    client = OAuth2Client(client_id=client_id, client_secret=secret, client_id_issued_at=int(NOW) - 1000)
    standard: dict[str, Any] = {
        "client_name": "Photos",
        "client_uri": "https://client.example/",
        "grant_types": ["authorization_code", "refresh_token"],
        "response_types": ["code"],
        "redirect_uris": [CALLBACK],
        "scope": "profile mail",
        "token_endpoint_auth_method": "client_secret_basic",
    }
    client.set_client_metadata(standard | metadata)
    return client


def mixed_token(access_token: str = "live-access", **fields: Any) -> OAuth2Token:
    standard: dict[str, Any] = {
        "client_id": "web",
        "user_id": 1,
        "token_type": "Bearer",
        "refresh_token": access_token.replace("access", "refresh"),
        "scope": "profile",
        "issued_at": int(NOW) - 100,
        "expires_in": 700,
    }
    return OAuth2Token(access_token=access_token, **standard | fields)


def fill(uri: str, base: type[DeclarativeBase], *rows: Any) -> None:
    """Create missing tables of a library, and add rows."""
    engine = create_engine(uri)
    base.metadata.create_all(engine)
    with Session(engine) as session:
        for row in rows:
            session.add(row)
            session.flush()
        session.commit()
    engine.dispose()


def read(uri: str, statement: str) -> list[tuple[Any, ...]]:
    """Return the rows of a table of a library."""
    engine = create_engine(uri)
    with engine.connect() as connection:
        rows = [tuple(row) for row in connection.exec_driver_sql(statement)]
    engine.dispose()
    return rows


def run(engine: Engine, statement: str) -> None:
    with engine.begin() as connection:
        connection.exec_driver_sql(statement)
