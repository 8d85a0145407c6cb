"""Types of authorization details, :rfc:`9396#section-2`: permissions that a scope cannot express."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from copy import deepcopy
from typing import Any, TypeAlias, TypeVar

from .errors import ConfigurationError, InvalidAuthorizationDetails
from .records import Client

Detail: TypeAlias = dict[str, Any]
"""One element of ``authorization_details``: a JSON object with a ``type``."""

LISTS = ("locations", "actions", "datatypes", "privileges")
"""The common fields that are lists of strings, section 2.2. Fewer values are a smaller permission."""

_KINDS: Mapping[type, str] = {
    str: "a string",
    int: "a whole number",
    float: "a number",
    bool: "a boolean",
    list: "an array",
    dict: "an object",
}

LONGEST_DESCRIPTION = 500
"""Characters of a description on the consent page."""

_WRONG_FORM = (LookupError, TypeError, AttributeError)
"""The errors of a function that expects other members."""

Describe: TypeAlias = Callable[[Detail, Client], str]
Enrich: TypeAlias = Callable[[Detail, "str | None"], "Detail | None"]
Covers: TypeAlias = Callable[[Detail, Detail], bool]

EnrichFunction = TypeVar("EnrichFunction", bound=Enrich)
CoversFunction = TypeVar("CoversFunction", bound=Covers)


class AuthorizationDetailsType:
    """A type of authorization details, as :meth:`~flask_oauth2.OAuth2Provider.authorization_details` returns it.

    :param describe: validates a detail beyond the types of its fields, and returns the text of the consent page.
    :param required: the fields that each detail has, and their types.
    :param optional: further fields.
    :param is_remembered: whether an earlier consent to the same detail replaces the consent page.
    """

    def __init__(
        self,
        name: str,
        describe: Describe,
        required: Mapping[str, type],
        optional: Mapping[str, type],
        is_remembered: bool = True,
    ) -> None:
        self.name = name
        self.is_remembered = is_remembered
        self._required = _check_fields(name, required)
        self._fields = {**_check_fields(name, optional), **self._required}
        self.function = describe
        self._enrich: Enrich | None = None
        self._covers: Covers = self.is_within

    def enrich(self, function: EnrichFunction) -> EnrichFunction:
        """Register ``f(detail, user_id)``, which returns the detail that is granted, section 7.1.

        It runs when the user has allowed the request, and may add fields, such as the account that the user chose. None
        grants nothing of this detail. ``user_id`` is None for a client that acts for itself.
        """
        self._enrich = function
        return function

    def covers(self, function: CoversFunction) -> CoversFunction:
        """Register ``f(granted, requested)``, which returns whether one detail permits all that the other requests.

        It decides about requests for less at the token endpoint, and about earlier consents. Default:
        :meth:`is_within`.
        """
        self._covers = function
        return function

    def check(self, detail: Detail, client: Client) -> str:
        """Return the description of a detail. Raise :exc:`InvalidAuthorizationDetails` unless it is valid, section 5.

        No value of the detail is logged: it may be an account number.
        """
        self._check_fields(detail)
        try:
            return self._write_text(detail, client)
        except ValueError as error:
            raise InvalidAuthorizationDetails(
                f"authorization_details of the type {self.name} are invalid: {error}",
                page_description=f"authorization_details of the type {self.name} are invalid",
            ) from error
        except _WRONG_FORM as error:
            raise InvalidAuthorizationDetails(
                f"authorization_details of the type {self.name} have an object of the wrong form",
                received=f"{type(error).__name__} in the function of the type",
                hint="raise ValueError with the reason for members that are missing or have another type",
            ) from error

    def describe_earlier(self, detail: Detail, client: Client) -> str:
        """Return the description of a detail that the user allowed; the name of the type if it is no longer valid."""
        try:
            return self._write_text(detail, client)
        except (ValueError, *_WRONG_FORM):
            return self.name

    def grant(self, detail: Detail, user_id: str | None) -> Detail | None:
        """Return the detail that is granted for a requested one, or None."""
        if self._enrich is None:
            return detail
        granted = self._enrich(deepcopy(detail), user_id)
        if granted is None:
            return None
        try:
            if granted["type"] != self.name:
                raise ValueError("its type has changed")
            return dict(json.loads(json.dumps(granted, allow_nan=False)))
        except (TypeError, ValueError, LookupError) as error:
            raise ConfigurationError(
                f"enrich() of the authorization_details {self.name} must return a dict of JSON values with this type, "
                f"or None: {error}"
            ) from error

    def narrow(self, granted: Detail, requested: Detail) -> Detail | None:
        """Return what a granted detail permits of a requested one, or None if the request is for more.

        Fields that clients cannot send were added by :meth:`enrich` and stay.
        """
        if self.name != granted["type"] or not self._covers(deepcopy(granted), deepcopy(requested)):
            return None
        return {**{name: granted[name] for name in granted if name not in self._fields}, **requested}

    def is_within(self, granted: Detail, requested: Detail) -> bool:
        """Return whether the fields that clients can send are equal, or lists with fewer values."""
        for name in self._fields:
            if name in LISTS and name in granted and name in requested:
                if not set(requested[name]) <= set(granted[name]):
                    return False
            elif (name in granted) != (name in requested) or write(granted.get(name)) != write(requested.get(name)):
                return False
        return True

    def _write_text(self, detail: Detail, client: Client) -> str:
        text = self.function(deepcopy(detail), client)
        if not isinstance(text, str) or not text.strip():
            raise ConfigurationError(
                f"the function of the authorization_details {self.name} must return the text of the consent page"
            )
        # no character of a value hides or reorders the text by which users decide
        plain = "".join(one if one.isprintable() else " " for one in text[: LONGEST_DESCRIPTION + 1])
        return plain if len(plain) <= LONGEST_DESCRIPTION else f"{plain[: LONGEST_DESCRIPTION - 1]}…"

    def _check_fields(self, detail: Detail) -> None:
        """Raise :exc:`InvalidAuthorizationDetails` unless a detail has the fields of the type."""
        for name, value in detail.items():
            kind = self._fields.get(name)
            if name == "type":
                continue
            if kind is None:
                self._reject(f"has the unknown field {name}", f"the fields {', '.join(self._fields)}")
            elif not _is_of(kind, value):
                self._reject(f"has a field {name} of the wrong type", f"{_KINDS[kind]}")
            elif name in LISTS and not (value and all(isinstance(one, str) and one for one in value)):
                self._reject(f"has a field {name} that is not a list of strings", "at least one string")
        if missing := [name for name in self._required if name not in detail]:
            self._reject(f"has no field {missing[0]}", f"the fields {', '.join(self._required)}")

    def _reject(self, fault: str, expected: str) -> None:
        raise InvalidAuthorizationDetails(
            f"a detail of the type {self.name} {fault}",
            page_description=f"a detail of the type {self.name} is invalid",
            expected=expected,
            hint="let the client send what the documentation of the type requires",
        )


def write(value: Any) -> str:
    """Return a JSON value as text that is equal for equal values. 1, 1.0 and true differ."""
    return json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"))


def _is_of(kind: type, value: object) -> bool:
    if isinstance(value, bool):
        return kind is bool
    return isinstance(value, (int, float) if kind is float else kind)


def _check_fields(type_name: str, fields: Mapping[str, type]) -> dict[str, type]:
    """Return the fields of a type. Raise :exc:`ConfigurationError` unless they are names with types of JSON."""
    for name, kind in fields.items():
        if not isinstance(name, str) or kind not in _KINDS or name == "type":
            raise ConfigurationError(
                f"the field {name!r} of the authorization_details {type_name} must have one of the types str, int, "
                "float, bool, list, dict"
            )
        if name in LISTS and kind is not list:
            raise ConfigurationError(f"{name} of the authorization_details {type_name} must be a list (RFC 9396 2.2)")
    return dict(fields)
