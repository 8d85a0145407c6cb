"""Collects what a server offers: built-in parts that its settings name, and parts that the application registered."""

from __future__ import annotations

import logging
from itertools import combinations

from .. import grants
from ..capabilities import Capabilities
from ..clients.authentication import METHODS
from ..endpoints import ENDPOINTS
from ..errors import ConfigurationError
from ..grants.base import GrantType
from ..settings import DEVICE_CODE, Settings
from ..tokens.bindings import BINDINGS
from ..tokens.formats import FORMATS
from ..tokens.formats.base import SelfContainedFormat, TokenFormat
from ..tokens.types import TYPES
from .extensions import Extensions

log = logging.getLogger("flask_oauth2")


def collect(settings: Settings, extensions: Extensions) -> Capabilities:
    """Return the capabilities of a server.

    Raises :exc:`ConfigurationError` for settings that name what is not there.
    """
    named = settings.grant_types
    own_types = [kind() for kind in grants.RESPONSE_TYPES if kind.grant_type in named]
    own_names = [response_type.name for response_type in own_types]
    sets = [names for size in range(1, len(own_names) + 1) for names in combinations(own_names, size)]
    formats = _collect_formats(settings, extensions)
    auth_methods = (*(kind() for kind in METHODS if _is_available(kind)), *extensions.auth_methods.values())
    for name, reason in grants.DISCOURAGED.items():
        if name in named:
            log.warning("OAUTH2_GRANT_TYPES names %s: %s", name, reason)
    return Capabilities(
        grants=_collect_grants(settings, extensions),
        grant_types=(*named, *extensions.grants),
        response_types={kind.name: kind for kind in own_types} | extensions.response_types,
        response_type_sets=[*sets, *((name,) for name in extensions.response_types)],
        token_types=extensions.token_types | {kind.name.lower(): kind for kind in (make() for make in TYPES)},
        formats=formats,
        reference_formats={n: kind for n, kind in formats.items() if not isinstance(kind, SelfContainedFormat)},
        self_contained_formats={n: kind for n, kind in formats.items() if isinstance(kind, SelfContainedFormat)},
        bindings=(*(make() for make in BINDINGS), *extensions.bindings.values()),
        answer_members=tuple(extensions.answer_members.values()),
        auth_methods=auth_methods,
        auth_schemes=[method.scheme.lower() for method in auth_methods if method.scheme],
        endpoints={endpoint.name: endpoint for endpoint in ENDPOINTS} | extensions.endpoints,
        needs_keys=_needs_keys(settings, extensions, formats[settings.access_token_format]),
    )


def _is_available(part: type) -> bool:
    """Return whether the optional libraries of a part are installed."""
    return bool(getattr(part, "is_available", lambda: True)())


def _collect_grants(settings: Settings, extensions: Extensions) -> dict[str, GrantType]:
    named = settings.grant_types
    if twice := set(named).intersection(extensions.grants):
        raise ConfigurationError(
            f"OAUTH2_GRANT_TYPES names {', '.join(twice)}, which the application has registered as a grant of its "
            "own: leave it to one of them"
        )
    if DEVICE_CODE in named and not settings.secret_keys:
        raise ConfigurationError("OAUTH2_GRANT_TYPES names device_code, which needs a SECRET_KEY: set one")
    built_in: list[GrantType] = [grant() for grant in grants.GRANTS if grant.name in named]
    if "password" in named:
        if extensions.usergetter is None:
            raise ConfigurationError(
                "OAUTH2_GRANT_TYPES names password, which needs a function that checks a name and a password: "
                "decorate one with @provider.usergetter"
            )
        built_in.append(grants.Password(extensions.usergetter))
    return {grant.name: grant for grant in built_in} | extensions.grants


def _collect_formats(settings: Settings, extensions: Extensions) -> dict[str, TokenFormat]:
    chosen = settings.access_token_format
    built_in = [make(settings) for make in FORMATS]
    formats: dict[str, TokenFormat] = {kind.name: kind for kind in built_in} | extensions.token_formats
    if chosen not in formats:
        raise ConfigurationError(f"OAUTH2_ACCESS_TOKEN_FORMAT must be one of {', '.join(formats)}, not {chosen!r}")
    if chosen == "signed" and not settings.secret_keys:
        raise ConfigurationError("OAUTH2_ACCESS_TOKEN_FORMAT is 'signed', which needs a SECRET_KEY: set one")
    return formats


def _needs_keys(settings: Settings, extensions: Extensions, chosen: TokenFormat) -> bool:
    """Return whether the settings name signing keys, or a part in use has a true ``needs_keys``."""
    if settings.signing_algorithms is not None or settings.signing_keys:
        return True
    registered = extensions.token_formats, extensions.endpoints, extensions.grants, extensions.response_types
    parts = (chosen, *(part for kind in registered for part in kind.values()))
    return any(getattr(part, "needs_keys", False) for part in parts)
