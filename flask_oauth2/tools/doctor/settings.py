"""Checks of the provider's options and of the Flask options that its security depends on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ... import grants
from ...settings import find_unknown
from ...web import login
from .base import Examined, Finding, error, note, summarize, warning

_NEW_KEY = "generate one with python -c 'import secrets; print(secrets.token_hex())'"

_SHORTEST_KEY = 32
"""The minimum length of a text key. Random bytes need half as many."""

_TUTORIAL_WORDS = ("changeme", "changethis", "pleasechange", "replaceme", "yoursecret", "mysecret", "supersecret")

_TUTORIAL_KEYS = frozenset(
    {
        *("dev", "development", "devkey", "debug", "test", "testing", "key", "secret", "secretkey", "thesecretkey"),
        *("asecret", "asecretkey", "password", "default", "insecure", "hardtoguessstring", "thisisasecret", "random"),
        # keys that Flask's documentation has shown
        "192b9bdd22ab9ed4d12e236c78afcb9a393ec15f71bbf5dc987d54727823bcbf",
        *("5y2lf4q8zì", "5y2lf4q8znxec", "a0zr98jyxrxhhjmnlwxrt", "a0zr98jyxrxhhjmnlwxrtì"),
    }
)

_DAY = 86400

_DISCOURAGED = {"implicit": "rfc9700 2.1.2", "password": "rfc9700 2.4"}


def fault_of_key(key: bytes | str) -> str | None:
    """Return why a secret key can be guessed, without its value, or None."""
    text = key if isinstance(key, str) else key.decode("latin-1")
    word = "".join(filter(str.isalnum, text)).lower()
    if word in _TUTORIAL_KEYS or any(known in word for known in _TUTORIAL_WORDS):
        return "is an example value from tutorials"
    least = _SHORTEST_KEY if text.isascii() and text.isprintable() else _SHORTEST_KEY // 2
    if len(text) < least:
        return f"has {len(text)} characters instead of at least {least}"
    if len(set(text)) < 8:
        return "consists of a few repeated characters"
    return None


def secret_key(examined: Examined) -> Iterator[Finding]:
    """Report a weak SECRET_KEY. It signs sessions, consent pages and signed tokens, :rfc:`6749#section-10.10`."""
    fault = fault_of_key(examined.settings.secret_keys[-1])
    if fault is not None:
        yield error(
            f"SECRET_KEY {fault}: an attacker who guesses it can sign in as any user",
            "rfc6749 10.10",
            f"{_NEW_KEY}, and store it safely",
        )


def fallbacks(examined: Examined) -> Iterator[Finding]:
    """Report weak and old fallback keys. The provider accepts signatures of a fallback key too."""
    keys = examined.settings.secret_keys[:-1]
    for fault in dict.fromkeys(filter(None, map(fault_of_key, keys))):
        yield error(
            f"one of SECRET_KEY_FALLBACKS {fault}, and the provider accepts its signatures",
            "rfc6749 10.10",
            "remove it",
        )
    if keys:
        days = -(-examined.settings.longest_lifetime // _DAY)
        yield note(
            f"SECRET_KEY_FALLBACKS still has {len(keys)} {'key' if len(keys) == 1 else 'keys'}",
            hint=f"remove each key {days} days after you replaced it, when everything it signed has expired",
        )


def issuer(examined: Examined) -> Iterator[Finding]:
    """Report problems of the issuer, the public URL by which clients know this server, :rfc:`8414#section-2`."""
    value = examined.settings.issuer
    if value is None:
        yield error(
            "OAUTH2_ISSUER is not set: the provider only answers in debug mode and on loopback addresses",
            "rfc8414 2",
            "set it to the public URL of this application, such as https://login.example",
        )
        return
    option = "the URL of the issuer" if examined.server.issuer_id else "OAUTH2_ISSUER"
    if not value.startswith("https://"):
        yield warning(
            f"{option} is {value}, which only this machine can reach",
            "rfc8414 2",
            "set it to the public https URL when you deploy the application",
        )
    if value.endswith("/"):
        yield warning(
            f"{option} ends with a slash: {value}; clients that know the URL without it reject the metadata",
            "rfc8414 3.3",
            f"set it to {value.rstrip('/')} before clients use it",
        )


def scopes(examined: Examined) -> Iterator[Finding]:
    """Report missing or incomplete scope descriptions, which users see on the consent page, :rfc:`6749#section-3.3`."""
    settings = examined.settings
    if not settings.scopes:
        yield warning(
            "OAUTH2_SCOPES is empty: clients can request any scope value, and users see the value without a "
            "description",
            "rfc6749 3.3",
            "add each scope with a description that users understand",
        )
        return
    unknown = [value for value in settings.default_scope if value not in settings.scopes]
    if unknown:
        yield error(
            f"OAUTH2_DEFAULT_SCOPE contains {' '.join(unknown)}, which OAUTH2_SCOPES does not contain",
            "rfc6749 3.3",
            "add it to OAUTH2_SCOPES, or remove it from OAUTH2_DEFAULT_SCOPE",
        )
    blank = [value for value, description in settings.scopes.items() if not description.strip()]
    if blank:
        yield warning(
            f"OAUTH2_SCOPES has no description for {summarize(blank)}, so users cannot decide",
            "rfc6749 3.3",
            "add a description that users understand",
        )


def grant_types(examined: Examined) -> Iterator[Finding]:
    """Report grant types that :rfc:`9700` discourages."""
    for name, reason in grants.DISCOURAGED.items():
        if name in examined.settings.grant_types:
            yield warning(
                f"OAUTH2_GRANT_TYPES contains {name}: {reason.partition(' (')[0]}",
                _DISCOURAGED[name],
                "switch your clients to authorization_code with PKCE, then remove it",
            )


def pkce(examined: Examined) -> Iterator[Finding]:
    """Report clients that may omit PKCE, :rfc:`9700#section-2.1.1`."""
    if examined.settings.pkce_required == "public":
        yield note(
            "OAUTH2_PKCE_REQUIRED allows clients with a secret to omit PKCE",
            "rfc9700 2.1.1",
            'leave it at "all", and exempt single clients with flask oauth2 client update ID --no-pkce',
        )


def lifetimes(examined: Examined) -> Iterator[Finding]:
    """Report long-lived access tokens, :rfc:`6750#section-5.3`.

    "Token servers SHOULD issue short-lived (one hour or less) bearer tokens".
    """
    seconds = examined.settings.access_token_lifetime
    if seconds > _DAY:
        yield warning(
            f"OAUTH2_ACCESS_TOKEN_LIFETIME is {seconds} seconds, more than a day: a stolen token works as long",
            "rfc6750 5.3",
            "set it to an hour or less, and use refresh tokens for longer access",
        )


def unknown_options(examined: Examined) -> Iterator[Finding]:
    """Report the ``OAUTH2_*`` keys of the configuration that the extension does not read."""
    for unknown in find_unknown(examined.app.config):
        if unknown.is_likely_ours:
            yield warning(unknown.what, hint="correct the name, or delete the key from the configuration")
        else:
            yield note(unknown.what, hint="delete the key, unless another part of your application reads it")


def session_cookie(examined: Examined) -> Iterator[Finding]:
    """Report an unprotected session cookie. It identifies the user who decides on the consent page."""
    config: Mapping[str, Any] = examined.app.config
    if examined.is_public and not config.get("SESSION_COOKIE_SECURE"):
        yield warning(
            "browsers also send the session cookie over http, which exposes it to the network",
            "rfc6265 8.3",
            "SESSION_COOKIE_SECURE = True",
        )
    if not config.get("SESSION_COOKIE_HTTPONLY", True):
        yield error(
            "the scripts of every page can read the session cookie", "rfc6265 4.1.2.6", "SESSION_COOKIE_HTTPONLY = True"
        )
    same_site = config.get("SESSION_COOKIE_SAMESITE")
    if same_site is None or str(same_site).lower() == "none":
        yield warning(
            "browsers send the session cookie with forms of other sites",
            "rfc6749 10.12",
            'SESSION_COOKIE_SAMESITE = "Lax"',
        )
    elif str(same_site).lower() == "strict":
        yield warning(
            "browsers omit the session cookie when a client redirects users here, so users must sign in every time",
            "rfc6749 3.1",
            'SESSION_COOKIE_SAMESITE = "Lax"',
        )


def remember_cookie(examined: Examined) -> Iterator[Finding]:
    """Report an unprotected remember-me cookie of Flask-Login. It keeps a user signed in for a year."""
    config = examined.app.config
    if examined.is_public and login.is_set_up() and not config.get("REMEMBER_COOKIE_SECURE"):
        yield warning(
            "browsers also send Flask-Login's remember-me cookie over http, which exposes it to the network",
            "rfc6265 8.3",
            "REMEMBER_COOKIE_SECURE = True",
        )


def debug(examined: Examined) -> Iterator[Finding]:
    """Report debug mode: the debugger of Flask executes code that it receives."""
    if examined.app.debug:
        level = warning if not examined.is_public else error
        yield level(
            "debug mode is on: users see tracebacks, and the debugger executes code",
            "rfc6819 5.1.4.1.1",
            "remove --debug, FLASK_DEBUG and DEBUG if other people can reach the application",
        )


def testing(examined: Examined) -> Iterator[Finding]:
    """Report the TESTING option."""
    if examined.app.testing:
        yield warning(
            "TESTING is on: exceptions reach the web server, and the provider accepts any address as its issuer",
            "rfc8414 2",
            "only set it in tests",
        )
