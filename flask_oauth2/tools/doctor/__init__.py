"""Diagnosis of an application: its settings, its data, its views and its public URL.

Each check is a plain function that yields :class:`Finding` objects. ``CHECKS`` lists all checks.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from typing import Any

import flask

from ... import values
from ...errors import ConfigurationError
from ...provider import Installed, find_installed
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
    ("guards", (guards.misplaced, guards.scopes, guards.authentication, guards.guarded)),
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
"""The checks that send no request over the network, by section. :data:`.probes.PROBES` runs after them."""

TIMEOUT = 30.0
"""The time limit for all requests together, in seconds."""


def diagnose(
    app: flask.Flask,
    *,
    issuer: str | None = None,
    url: str | None = None,
    offline: bool = False,
    timeout: float = TIMEOUT,
    clock: Callable[[], float] = time.monotonic,
) -> list[Finding]:
    """Return the problems of an application and its provider, in the order of ``CHECKS``. Never raise an exception.

    :param issuer: the URL of the issuer to examine, if the application has several.
    :param url: scheme, host and port at which the running application listens, such as ``http://127.0.0.1:8000``, if
        the probes should not use ``OAUTH2_ISSUER``. Requests then carry the headers of a reverse proxy.
    :param offline: whether to send no requests over the network.
    :param timeout: the time limit for all requests together, in seconds from the first one. Each request may take a
        sixth of it.
    :param clock: returns monotonic seconds, which measure the time limit.
    """
    with app.app_context():
        return list(
            _diagnose(
                app, issuer, url and url.rstrip("/"), offline, partial(probes.probe, timeout=timeout, clock=clock)
            )
        )


def _diagnose(
    app: flask.Flask,
    issuer: str | None,
    url: str | None,
    offline: bool,
    probe: Callable[[Examined], Iterator[Finding]],
) -> Iterator[Finding]:
    with ExitStack() as stack:
        try:
            examined = _start(find_installed(app), issuer, stack)
        except Exception as reason:  # any error that prevents the start
            yield broken("settings.start", reason)
            return
        examined.url = url
        yield from _examine(examined, offline, probe)


def _start(installed: Installed, issuer: str | None, stack: ExitStack) -> Examined:
    """Return the started provider, in a request context of the issuer if the caller names one."""
    if issuer is not None:
        stack.enter_context(installed.issuer_context(issuer))
    elif installed.registered.issuergetter is not None:
        raise ConfigurationError(
            "this application has several issuers: name the one to examine with flask oauth2 --issuer URL doctor"
        )
    server = installed.provider.server
    arguments = {} if issuer is None else installed.find_arguments()
    return Examined(installed.app, installed.provider, server.settings, server, arguments)


def _examine(examined: Examined, offline: bool, probe: Callable[[Examined], Iterator[Finding]]) -> Iterator[Finding]:
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
    """Yield the findings of a check. An exception is a finding too, because checks run code of the application."""
    try:
        for found in check(examined):
            yield found if found.check else replace(found, check=name)
    except Exception as reason:
        yield broken(name, reason)


def broken(name: str, reason: Exception) -> Finding:
    """Return the finding for an exception that stopped a check, as one line without secrets."""
    first = values.mask(str(reason).strip().partition("\n")[0][:500])
    received: Any = getattr(reason, "received", None)
    rule = getattr(reason, "rule", "")
    if isinstance(reason, ConfigurationError):
        return replace(error(first), check=name)
    message = f"{type(reason).__name__}: {first}" if not rule else f"{first} ({received})" if received else first
    hint = getattr(reason, "hint", None) or "check that it runs, and read its log"
    return replace(error(message, hint=hint), check=name)
