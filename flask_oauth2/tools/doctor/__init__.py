"""``flask oauth2 doctor``: what is wrong with an application, its settings, its rows and how it is reached.

Each check is a plain function that yields :class:`Finding`; the table of them is ``CHECKS``.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from typing import Any

import flask

from ... import values
from ...errors import ConfigurationError
from ...ownership import EXTENSION
from . import clients, guards, probes, proxy, registration, settings, sign_in, storage
from .base import LEVELS, Check, Examined, Finding, error

__all__ = ["CHECKS", "LEVELS", "Finding", "diagnose"]

CHECKS: tuple[tuple[str, tuple[Check, ...]], ...] = (
    (
        "settings",
        (
            settings.secret_key,
            settings.fallbacks,
            settings.issuer,
            settings.scopes,
            settings.grant_types,
            settings.pkce,
            settings.lifetimes,
            settings.session_cookie,
            settings.remember_cookie,
            settings.debug,
            settings.testing,
            settings.unknown_options,
        ),
    ),
    ("sign_in", (sign_in.current_user, sign_in.login_view)),
    ("guards", (guards.misplaced, guards.scopes, guards.guarded)),
    ("registration", (registration.scopes, registration.lifetime, registration.documents)),
    ("storage", (storage.examination, storage.replica, storage.expired)),
    (
        "clients",
        (
            clients.listed,
            clients.redirect_uris,
            clients.grants,
            clients.pkce,
            clients.metadata,
            clients.names,
            clients.unused,
        ),
    ),
    ("proxy", (proxy.seen,)),
)
"""What is looked at without a request over the network, by field. :data:`.probes.PROBES` comes after it."""

PATIENCE = 30.0
"""Seconds for all requests together."""


def diagnose(
    app: flask.Flask,
    *,
    url: str | None = None,
    offline: bool = False,
    patience: float = PATIENCE,
    clock: Callable[[], float] = time.monotonic,
) -> list[Finding]:
    """What is wrong with an application and its provider, in the order of ``CHECKS``. It never raises.

    :param url: where the running application listens, if it is not to be asked under ``OAUTH2_ISSUER``: scheme, host
        and port, such as ``http://127.0.0.1:8000``. It is then told by the headers of a proxy what it is asked for.
    :param offline: ask nobody over the network.
    :param patience: seconds for all requests over the network together, counted from the first; one may take a sixth.
    :param clock: returns seconds that only count up; the patience is measured with it.
    """
    with app.app_context():
        return list(
            _diagnose(app, url and url.rstrip("/"), offline, partial(probes.probe, patience=patience, clock=clock))
        )


def _diagnose(
    app: flask.Flask, url: str | None, offline: bool, probe: Callable[[Examined], Iterator[Finding]]
) -> Iterator[Finding]:
    installed = app.extensions.get(EXTENSION)
    if installed is None:
        yield broken(
            "settings.start", ConfigurationError("this application has no OAuth2Provider: OAuth2Provider(app)")
        )
        return
    try:
        server = installed.provider.server
        examined = Examined(app, installed.provider, server.settings, server, url=url)
    except Exception as reason:  # whatever keeps it from starting
        yield broken("settings.start", reason)
        return
    try:
        _ = examined.server.store  # opens it
        examined.store = examined.server.own_store
    except Exception as reason:
        yield broken("storage.opened", reason)
    for field, checks in CHECKS:
        for check in checks:
            yield from _run(f"{field}.{check.__name__}", check, examined)
    if not offline:
        yield from _run("probes.reached", probe, examined)


def _run(name: str, check: Callable[[Examined], Iterator[Finding]], examined: Examined) -> Iterator[Finding]:
    """What a check finds. Whatever breaks in it is a finding too, as more than our own code runs there."""
    try:
        for found in check(examined):
            yield found if found.check else replace(found, check=name)
    except Exception as reason:
        yield broken(name, reason)


def broken(name: str, reason: Exception) -> Finding:
    """What keeps us from looking, as a finding: in one line, and without a value that is secret."""
    first = values.mask(str(reason).strip().partition("\n")[0][:500])
    came: Any = getattr(reason, "came", None)
    rule = getattr(reason, "rule", "")
    if isinstance(reason, ConfigurationError):
        return replace(error(first), check=name)
    said = f"{type(reason).__name__}: {first}" if not rule else f"{first} ({came})" if came else first
    cure = getattr(reason, "cure", None) or "see whether it runs, and what its log says"
    return replace(error(said, cure=cure), check=name)
