"""The path below which the endpoints are, which has variables if the path of a request names its issuer."""

from __future__ import annotations

import re
from collections.abc import Mapping

from ..errors import ConfigurationError
from ..records import Issuer

_VARIABLE = re.compile(r"<(?:[^<>:]+:)?([A-Za-z_][A-Za-z0-9_]*)>")
"""A variable of a path, as Werkzeug writes it."""


class Prefix:
    """The ``url_prefix`` of a provider, such as ``/oauth`` or ``/<tenant>/oauth``."""

    def __init__(self, url_prefix: str) -> None:
        stripped = url_prefix.strip("/")
        self.path = f"/{stripped}" if stripped else ""
        self.variables = [found[1] for found in _VARIABLE.finditer(self.path)]
        self.static_path = "/oauth2/static" if self.variables else f"{self.path or '/oauth2'}/static"
        """The path of the style sheet and the script of the pages."""

    def arguments_of(self, issuer: Issuer) -> Mapping[str, str]:
        """Return the values of the variables for an issuer."""
        if issuer.arguments or len(self.variables) != 1:
            return issuer.arguments
        return {self.variables[0]: issuer.id}

    def path_of(self, issuer: Issuer) -> str:
        """Return the path of the endpoints of an issuer.

        Raises :exc:`ConfigurationError` if the issuer has no value for a variable.
        """
        return self.fill_for(issuer, self.path, f"url_prefix {self.path}")

    def fill_for(self, issuer: Issuer, path: str, shown: str) -> str:
        """Return a path with the values of an issuer for its variables.

        :param shown: the path in the message of the :exc:`ConfigurationError` for a variable without a value.
        """
        filled = fill(path, self.arguments_of(issuer))
        if "<" in filled:
            raise ConfigurationError(
                f"the issuer {issuer.id} has no value for a variable of {shown}: give it Issuer(arguments={{...}})"
            )
        return filled


def fill(path: str, arguments: Mapping[str, str]) -> str:
    """Return a path with the values of its variables. A variable without a value stays."""
    return _VARIABLE.sub(lambda found: arguments.get(found[1], found[0]), path)
