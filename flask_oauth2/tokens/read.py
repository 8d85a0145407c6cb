"""Find the token that a value identifies."""

from __future__ import annotations

from .. import values
from ..records import AccessToken, Token
from ..server import AuthorizationServer
from ..stores.base import Store
from ..stores.replica import TokenReader


def find_access(
    server: AuthorizationServer, value: str, now: float, store: TokenReader | None = None
) -> AccessToken | None:
    """Return the access token of a value, even if it has expired. Return None if it is unknown, revoked or too old.

    A token is too old if it is older than the longest configured lifetime: the store deletes revocations after this
    time.
    """
    store = store or server.store
    prefix = server.settings.token_prefixes["access_token"]
    access = None if value.startswith(f"{prefix}_") else _read_self_contained(server, value)
    if access is None:
        key = values.find_key(value, prefix)
        access = None if key is None else store.get_access(key)
    elif server.saves_every_token:
        access = store.get_access(access.token_hash)
    elif _is_revoked(access, store):
        return None
    return access if access and access.issued_at + server.longest_lifetime > now else None


def _read_self_contained(server: AuthorizationServer, value: str) -> AccessToken | None:
    for token_format in server.capabilities.self_contained_formats.values():
        access: AccessToken | None = token_format.read(value)
        if access is not None:
            return access
    return None


def _is_revoked(access: AccessToken, store: TokenReader) -> bool:
    """Return whether a self-contained token, or its authorization, client, user or consent, is revoked."""
    ids = access.authorization_id, access.client_id, values.text(access.token_hash), access.consent_id
    user = None if access.user_id is None else (access.user_id, access.authorization_id)
    return store.revoked(*filter(None, ids), user=user)


def find_refresh(server: AuthorizationServer, value: str, now: float, store: Store | None = None) -> Token | None:
    """Return the token with this refresh token value, even if it has expired or is used. Return None if it is unknown,
    revoked or too old.
    """
    key = values.find_key(value, server.settings.token_prefixes["refresh_token"])
    token = None if key is None else (store or server.store).get_refresh(key)
    return token if token and token.access.issued_at + server.longest_lifetime > now else None


def explain_missing(server: AuthorizationServer, value: str, kind: str) -> tuple[str, str]:
    """Return a description of a value that identifies no valid code or token, and a hint, both for the log.

    :param kind: the expected kind of value: a key of ``OAUTH2_TOKEN_PREFIXES``, such as ``refresh_token``.
    """
    if kind == "access_token" and (reason := _explain_self_contained(server, value)) is not None:
        return reason, "let the user authorize the client again, if the client has the token from this server"
    prefixes, label = server.settings.token_prefixes, kind.replace("_", " ")
    article = "an" if label.startswith("a") else "a"
    prefix = value.partition("_")[0]
    own = {prefixes[kind], *([prefixes["signed_token"]] if kind == "access_token" else ())}
    others = [name for name, known in prefixes.items() if known == prefix and known not in own]
    if others:
        other = others[0].replace("_", " ")
        return f"a value of the kind {other}", f"let the client send the {label}, not the {other}"
    if prefix not in own:
        return (
            f"a value that is not {article} {label} of this server",
            f"let the client send {article} {label} that this server has issued. If OAUTH2_TOKEN_PREFIXES has "
            "changed since, the user must authorize the client again",
        )
    key = values.find_key(value, prefixes[kind])
    if key is None:
        return f"a truncated or altered {label}", "let the client store values of any length unchanged"
    tokens = server.stores.imports if kind == "refresh_token" else None
    if tokens is not None and key in tokens.find_known([key]):
        return f"{article} {label} that is revoked or too old", "let the user authorize the client again"
    return (
        f"{article} {label} that is not in the database or is revoked",
        "let the user authorize the client again. If this happens to all clients, the application uses another "
        "database (OAUTH2_DATABASE_URI) than before",
    )


def _explain_self_contained(server: AuthorizationServer, value: str) -> str | None:
    """Return why the format of a value does not accept it, or None if no format knows."""
    for token_format in server.capabilities.self_contained_formats.values():
        explain = getattr(token_format, "explain", None)
        if explain is not None and (reason := explain(value)) is not None:
            return str(reason)
    return None


def find_token(
    server: AuthorizationServer, value: str, now: float, store: Store | None = None
) -> AccessToken | Token | None:
    """Find a token of either kind. The refresh token prefix skips the access token lookup.

    :param store: replaces the store of the server.
    """
    is_refresh = value.startswith(f"{server.settings.token_prefixes['refresh_token']}_")
    return (None if is_refresh else find_access(server, value, now, store)) or find_refresh(server, value, now, store)
