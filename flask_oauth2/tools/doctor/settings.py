"""What the options say, and those of Flask on which the provider rests."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ... import grants
from ...settings import find_unknown
from ...web import login
from .base import Examined, Finding, error, note, several, warning

_NEW_KEY = "make one by python -c 'import secrets; print(secrets.token_hex())'"

_SHORTEST_KEY = 32
"""Characters of text; half as many of random bytes."""

_TUTORIAL_WORDS = ("changeme", "changethis", "pleasechange", "replaceme", "yoursecret", "mysecret", "supersecret")

_TUTORIAL_KEYS = frozenset(
    {
        *("dev", "development", "devkey", "debug", "test", "testing", "key", "secret", "secretkey", "thesecretkey"),
        *("asecret", "asecretkey", "password", "default", "insecure", "hardtoguessstring", "thisisasecret", "random"),
        # those that Flask's own pages have shown
        "192b9bdd22ab9ed4d12e236c78afcb9a393ec15f71bbf5dc987d54727823bcbf",
        *("5y2lf4q8zì", "5y2lf4q8znxec", "a0zr98jyxrxhhjmnlwxrt", "a0zr98jyxrxhhjmnlwxrtì"),
    }
)

_DAY = 86400

_DISCOURAGED = {"implicit": "rfc9700 2.1.2", "password": "rfc9700 2.4"}


def fault_of_key(key: bytes | str) -> str | None:
    """Why a secret key will be guessed, in words that do not say what it is."""
    text = key if isinstance(key, str) else key.decode("latin-1")
    word = "".join(filter(str.isalnum, text)).lower()
    if word in _TUTORIAL_KEYS or any(known in word for known in _TUTORIAL_WORDS):
        return "is a word of the tutorials"
    least = _SHORTEST_KEY if text.isascii() and text.isprintable() else _SHORTEST_KEY // 2
    if len(text) < least:
        return f"has {len(text)} characters, of {least} that it should have"
    if len(set(text)) < 8:
        return "repeats a few characters"
    return None


def secret_key(examined: Examined) -> Iterator[Finding]:
    """It signs sessions, consent pages and signed tokens: :rfc:`6749#section-10.10`."""
    fault = fault_of_key(examined.settings.secret_keys[-1])
    if fault is not None:
        yield error(
            f"SECRET_KEY {fault}: whoever guesses it signs in as anybody", "rfc6749 10.10", f"{_NEW_KEY}, and keep it"
        )


def fallbacks(examined: Examined) -> Iterator[Finding]:
    """A fallback opens as much as the key itself."""
    keys = examined.settings.secret_keys[:-1]
    for fault in dict.fromkeys(filter(None, map(fault_of_key, keys))):
        yield error(f"one of SECRET_KEY_FALLBACKS {fault}, and what it signs is taken", "rfc6749 10.10", "take it away")
    if keys:
        days = -(-examined.settings.longest_lifetime // _DAY)
        yield note(
            f"SECRET_KEY_FALLBACKS has {len(keys)} {'key' if len(keys) == 1 else 'keys'} still",
            cure=f"take each away {days} days after it was replaced, when nothing lives that it has signed",
        )


def issuer(examined: Examined) -> Iterator[Finding]:
    """The public URL, by which clients know this server: :rfc:`8414#section-2`."""
    value = examined.settings.issuer
    if value is None:
        yield error(
            "OAUTH2_ISSUER is not set: the provider answers in debug mode and on loopback addresses alone",
            "rfc8414 2",
            "set it to the public URL of this application, such as https://login.example",
        )
        return
    if not value.startswith("https://"):
        yield warning(
            f"OAUTH2_ISSUER is {value}, which is reached from this machine alone",
            "rfc8414 2",
            "set it to the public https URL where the application is deployed",
        )
    if value.endswith("/"):
        yield warning(
            f"OAUTH2_ISSUER ends with a slash: {value}; clients that were given the URL without it refuse the metadata",
            "rfc8414 3.3",
            f"say {value.rstrip('/')}, before there are clients",
        )


def scopes(examined: Examined) -> Iterator[Finding]:
    """What people are asked for, :rfc:`6749#section-3.3`."""
    settings = examined.settings
    if not settings.scopes:
        yield warning(
            "OAUTH2_SCOPES is empty: any word is a scope, and people are shown the bare word",
            "rfc6749 3.3",
            "describe each scope there, in words that a user understands",
        )
        return
    unknown = [word for word in settings.default_scope if word not in settings.scopes]
    if unknown:
        yield error(
            f"OAUTH2_DEFAULT_SCOPE names {' '.join(unknown)}, which OAUTH2_SCOPES does not describe",
            "rfc6749 3.3",
            "describe it there, or take it away",
        )
    blank = [word for word, description in settings.scopes.items() if not description.strip()]
    if blank:
        yield warning(
            f"OAUTH2_SCOPES does not say what {several(blank)} allows: people cannot decide",
            "rfc6749 3.3",
            "describe it in words that a user understands",
        )


def grant_types(examined: Examined) -> Iterator[Finding]:
    """Those that :rfc:`9700` advises against."""
    for name, reason in grants.DISCOURAGED.items():
        if name in examined.settings.grant_types:
            yield warning(
                f"OAUTH2_GRANT_TYPES names {name}: {reason.partition(' (')[0]}",
                _DISCOURAGED[name],
                "let clients use authorization_code with PKCE, and take it out",
            )


def pkce(examined: Examined) -> Iterator[Finding]:
    """:rfc:`9700#section-2.1.1`."""
    if examined.settings.pkce_required == "public":
        yield note(
            "OAUTH2_PKCE_REQUIRED lets clients with a secret do without PKCE",
            "rfc9700 2.1.1",
            'leave it at "all", and let single clients do without by flask oauth2 client update ID --no-pkce',
        )


def lifetimes(examined: Examined) -> Iterator[Finding]:
    """ "Token servers SHOULD issue short-lived (one hour or less) bearer tokens", :rfc:`6750#section-5.3`."""
    seconds = examined.settings.access_token_lifetime
    if seconds > _DAY:
        yield warning(
            f"OAUTH2_ACCESS_TOKEN_LIFETIME is {seconds} seconds, more than a day: whoever finds a token has it as long",
            "rfc6750 5.3",
            "an hour or less, and refresh tokens for more",
        )


def unknown_options(examined: Examined) -> Iterator[Finding]:
    """Report the ``OAUTH2_*`` keys of the configuration that the extension does not read."""
    for unknown in find_unknown(examined.app.config):
        if unknown.is_likely_ours:
            yield warning(unknown.what, cure="correct the name, or delete the key from the configuration")
        else:
            yield note(unknown.what, cure="delete the key, unless another part of your application reads it")


def session_cookie(examined: Examined) -> Iterator[Finding]:
    """Who has the cookie is the user who decides on the consent page."""
    config: Mapping[str, Any] = examined.app.config
    if examined.is_public and not config.get("SESSION_COOKIE_SECURE"):
        yield warning(
            "the session cookie goes over http too, where others read it",
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
            "the session cookie goes with forms that other sites send",
            "rfc6749 10.12",
            'SESSION_COOKIE_SAMESITE = "Lax"',
        )
    elif str(same_site).lower() == "strict":
        yield warning(
            "the session cookie does not come with people whom a client sends here: they must sign in each time",
            "rfc6749 3.1",
            'SESSION_COOKIE_SAMESITE = "Lax"',
        )


def remember_cookie(examined: Examined) -> Iterator[Finding]:
    """That of Flask-Login: who has it is signed in for a year."""
    config = examined.app.config
    if examined.is_public and login.is_set_up() and not config.get("REMEMBER_COOKIE_SECURE"):
        yield warning(
            "Flask-Login's cookie that remembers people goes over http too, where others read it",
            "rfc6265 8.3",
            "REMEMBER_COOKIE_SECURE = True",
        )


def debug(examined: Examined) -> Iterator[Finding]:
    """Flask's debugger runs what it is sent."""
    if examined.app.debug:
        said = warning if not examined.is_public else error
        yield said(
            "debug mode is on: errors are shown to whoever makes them, and the debugger runs code",
            "rfc6819 5.1.4.1.1",
            "leave --debug, FLASK_DEBUG and DEBUG out where others reach the application",
        )


def testing(examined: Examined) -> Iterator[Finding]:
    """A setting for tests."""
    if examined.app.testing:
        yield warning(
            "TESTING is on: errors are passed on to the server, and the provider takes its issuer from any address",
            "rfc8414 2",
            "set it in tests alone",
        )
