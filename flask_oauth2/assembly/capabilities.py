"""Collects what a server offers: built-in parts that its settings name, and parts that the application registered."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import combinations
from typing import Any

from .. import grants
from ..capabilities import Capabilities
from ..clients.authentication import METHODS, attestation, certificate
from ..clients.authentication.base import ClientAuthMethod
from ..endpoints import ENDPOINTS
from ..errors import ConfigurationError
from ..grants.base import GrantType
from ..resources import Resource
from ..server import AuthorizationServer
from ..settings import DEVICE_CODE, Settings
from ..tokens.bindings import make_bindings
from ..tokens.bindings.base import Binding
from ..tokens.formats import FORMATS
from ..tokens.formats.base import SelfContainedFormat, TokenFormat
from ..tokens.formats.jwt import read_encryption_key
from ..tokens.types import TokenType, make_types
from .checked import CheckedAuthMethod, CheckedBinding, CheckedResponseType, CheckedTokenType, check_format
from .extensions import Extensions

log = logging.getLogger("flask_oauth2")


def collect(settings: Settings, extensions: Extensions) -> Capabilities:
    """Return the capabilities of a server without its token formats, which :func:`add_formats` adds.

    Raises :exc:`ConfigurationError` for settings that name a missing part.
    """
    named = settings.grant_types
    own_types = [kind() for kind in grants.RESPONSE_TYPES if kind.grant_type in named]
    own_names = [response_type.name for response_type in own_types]
    sets = [names for size in range(1, len(own_names) + 1) for names in combinations(own_names, size)]
    auth_methods: tuple[Any, ...] = (
        *(kind() for kind in METHODS if _is_available(kind)),
        *certificate.make_methods(settings),
        *attestation.make(settings),
        *map(CheckedAuthMethod, extensions.auth_methods.values()),
    )
    registered = {name: CheckedTokenType(part) for name, part in extensions.token_types.items()}
    token_types = registered | {kind.name.lower(): kind for kind in make_types(settings)}
    bindings: list[Any] = [*make_bindings(settings), *map(CheckedBinding, extensions.bindings.values())]
    _check_bindings(bindings, token_types)
    _check_schemes(auth_methods)
    for name, reason in grants.DISCOURAGED.items():
        if name in named:
            log.warning("OAUTH2_GRANT_TYPES names %s: %s", name, reason)
    return Capabilities(
        grants=_collect_grants(settings, extensions),
        grant_types=(*named, *extensions.grants),
        response_types={kind.name: kind for kind in own_types}
        | {name: CheckedResponseType(part) for name, part in extensions.response_types.items()},
        response_type_sets=[*sets, *((name,) for name in extensions.response_types)],
        token_types=token_types,
        formats={},
        reference_formats={},
        self_contained_formats={},
        bindings=bindings,
        request_headers=_names(bindings, auth_methods, "request_headers"),
        response_headers=_names(bindings, auth_methods, "response_headers"),
        request_checks=[binding.check_request for binding in bindings if hasattr(binding, "check_request")],
        answer_members=tuple(extensions.answer_members.values()),
        auth_methods=auth_methods,
        auth_schemes=[method.scheme.lower() for method in auth_methods if method.scheme],
        details_types=extensions.details_types,
        endpoints={endpoint.name: endpoint for endpoint in ENDPOINTS} | extensions.endpoints,
        needs_keys=False,
    )


def _names(bindings: Iterable[Binding], auth_methods: Iterable[ClientAuthMethod], attribute: str) -> tuple[str, ...]:
    """Return the names of headers in an optional attribute of parts."""
    return tuple(name for part in (*bindings, *auth_methods) for name in getattr(part, attribute, ()))


def _check_bindings(bindings: Iterable[Binding], token_types: Mapping[str, TokenType]) -> None:
    """Raise :exc:`ConfigurationError` for an unknown token type, and for members that another binding verifies."""
    owners: dict[str, str] = {}
    for binding in bindings:
        if binding.token_type.lower() not in token_types:
            known = ", ".join(token_type.name for token_type in token_types.values())
            raise ConfigurationError(
                f"the token_type {binding.token_type} of the binding {binding.name} is unknown: register it with "
                f"register_token_type(), or use one of {known}"
            )
        for member in sorted(binding.members):
            if member in owners:
                raise ConfigurationError(
                    f"the bindings {owners[member]} and {binding.name} both verify {member}: remove one of them"
                )
            owners[member] = binding.name


def _check_schemes(auth_methods: Iterable[ClientAuthMethod]) -> None:
    """Raise :exc:`ConfigurationError` if two methods read the same scheme of the Authorization header."""
    owners: dict[str, str] = {}
    for method in auth_methods:
        scheme = (method.scheme or "").lower()
        if scheme in owners:
            raise ConfigurationError(
                f"the client authentication methods {owners[scheme]} and {method.name} both read the scheme {scheme}: "
                "choose another scheme"
            )
        if scheme:
            owners[scheme] = method.name


def add_formats(server: AuthorizationServer, extensions: Extensions) -> None:
    """Add the token formats to the capabilities of a server.

    Raises :exc:`ConfigurationError` for a format that the settings name and that cannot be used.
    """
    settings = server.settings
    chosen = settings.access_token_format
    formats = _make_formats(server) | {
        name: check_format(part, server.issuer_id) for name, part in extensions.token_formats.items()
    }
    if chosen not in formats:
        raise ConfigurationError(f"OAUTH2_ACCESS_TOKEN_FORMAT must be one of {', '.join(formats)}, not {chosen!r}")
    if chosen == "signed" and not settings.secret_keys:
        raise ConfigurationError("OAUTH2_ACCESS_TOKEN_FORMAT is 'signed', which needs a SECRET_KEY: set one")
    named = [resource.format for resource in server.resources if resource.format is not None]
    if unknown := [name for name in named if name not in formats]:
        raise ConfigurationError(
            f"the format of a resource must be one of {', '.join(formats)}, not {unknown[0]!r}. Correct "
            "OAUTH2_RESOURCES or add_resource()"
        )
    needs_keys = _needs_keys(settings, extensions, [formats[name] for name in (chosen, *named)])
    if settings.status_lists and not needs_keys:
        raise ConfigurationError(
            "OAUTH2_STATUS_LISTS needs JSON Web Tokens: set OAUTH2_ACCESS_TOKEN_FORMAT or the format of a resource "
            "to jwt"
        )
    if not needs_keys:  # other parties could not verify its tokens
        del formats["jwt"]
    if "jwt" in (chosen, *named):
        from ..keys import library  # noqa: F401  raises if joserfc is missing

        _check_encryption_keys(server.resources)
    _set_formats(server, formats, needs_keys)


def _check_encryption_keys(resources: Sequence[Resource]) -> None:
    """Raise :exc:`ConfigurationError` for an encryption key that cannot be used."""
    from ..keys.encoding import JOSEError

    for resource in resources:
        try:
            if resource.encryption_key is not None:
                read_encryption_key(resource.encryption_key)
        except JOSEError as error:
            raise ConfigurationError(
                f"the encryption_key of {resource.identifier} cannot be used: {error.reason}"
            ) from error


def renew_formats(server: AuthorizationServer) -> None:
    """Replace the built-in token formats of a server that is a copy of another one: they use its issuer and keys."""
    own, capabilities = _make_formats(server), server.capabilities
    formats = {name: own.get(name, kind) for name, kind in capabilities.formats.items()}
    _set_formats(server, formats, capabilities.needs_keys)


def _make_formats(server: AuthorizationServer) -> dict[str, TokenFormat]:
    return {kind.name: kind for kind in (make(server) for make in FORMATS)}


def _set_formats(server: AuthorizationServer, formats: dict[str, TokenFormat], needs_keys: bool) -> None:
    server.capabilities = replace(
        server.capabilities,
        formats=formats,
        reference_formats={n: kind for n, kind in formats.items() if not isinstance(kind, SelfContainedFormat)},
        self_contained_formats={n: kind for n, kind in formats.items() if isinstance(kind, SelfContainedFormat)},
        needs_keys=needs_keys,
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


def _needs_keys(settings: Settings, extensions: Extensions, chosen: Sequence[TokenFormat]) -> bool:
    """Return whether the settings name signing keys, or a part in use has a true ``needs_keys``."""
    if settings.signing_algorithms is not None or settings.signing_keys:
        return True
    registered = extensions.token_formats, extensions.endpoints, extensions.grants, extensions.response_types
    parts = (*chosen, *(part for kind in registered for part in kind.values()))
    return any(getattr(part, "needs_keys", False) for part in parts)
