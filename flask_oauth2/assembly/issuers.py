"""Checks of an issuer that an ``issuergetter`` returned, before its server is built."""

from __future__ import annotations

from collections.abc import Mapping

from ..errors import ConfigurationError
from ..records import Issuer
from ..settings import OF_ALL_ISSUERS, OPTIONS
from ..stores.base import verify_issuer_id


def check_issuer(issuer: object) -> None:
    """Raise :exc:`ConfigurationError` unless an object is an :class:`Issuer` with valid fields.

    The server reads the URL and the values of the options itself.
    """
    if not isinstance(issuer, Issuer):
        raise ConfigurationError(f"the issuergetter must return an Issuer or None, not {type(issuer).__name__}")
    if not (isinstance(issuer.id, str) and issuer.id):  # the empty ID has the rows of an application with one issuer
        raise ConfigurationError(f"the id of an issuer must be text that is not empty, not {issuer.id!r}")
    try:
        verify_issuer_id(issuer.id)
    except ValueError as error:
        raise ConfigurationError(f"{error}, not {issuer.id!r}") from None
    if not (isinstance(issuer.url, str) and issuer.url):
        raise ConfigurationError(f"the url of the issuer {issuer.id} must be text, not {issuer.url!r}")
    if not isinstance(issuer.settings, Mapping):
        received = type(issuer.settings).__name__
        raise ConfigurationError(f"settings of the issuer {issuer.id} must be a dict of options, not {received}")
    _check_arguments(issuer)
    for name in issuer.settings:
        _check_option(issuer, name)


def _check_arguments(issuer: Issuer) -> None:
    is_mapping = isinstance(issuer.arguments, Mapping)
    if not is_mapping or not all(isinstance(text, str) for pair in issuer.arguments.items() for text in pair):
        raise ConfigurationError(f"arguments of the issuer {issuer.id} must be a dict of names and texts")


def _check_option(issuer: Issuer, name: object) -> None:
    """Raise :exc:`ConfigurationError` for a setting that is no option, or that all issuers share."""
    names = [f"OAUTH2_{option.upper()}" for option in OPTIONS if option not in OF_ALL_ISSUERS]
    if name in names:
        return
    shown = f"{name} in the settings of the issuer {issuer.id} has no effect"
    if name == "OAUTH2_ISSUER":
        raise ConfigurationError(f"{shown}: set Issuer(url=...)")
    shared = {f"OAUTH2_{option.upper()}" for option in OF_ALL_ISSUERS} | {"SECRET_KEY", "SECRET_KEY_FALLBACKS"}
    if name in shared:
        raise ConfigurationError(f"{shown}, because all issuers share it: set it in app.config")
    from difflib import get_close_matches  # rarely needed

    close = get_close_matches(str(name), names, n=1)
    hint = f"did you mean {close[0]}?" if close else "it is not an option of flask_oauth2"
    raise ConfigurationError(f"{shown}: {hint}")
