"""Types of client metadata members.

A value has the form of JSON: text, number, flag, list or object. A type reads values of JSON, of a command-line option
and of a form field, and converts between the form of JSON and that of an attribute of
:class:`~flask_oauth2.records.Client`.
"""

from __future__ import annotations

import json
from typing import Any

from .. import scopes
from ..settings import full_grant_type
from .validators import LONGEST_ID, clean_name, is_line, is_page

LONGEST_TEXT = 2048
"""Characters of any text."""

MOST_ITEMS = 20
"""Items of any list."""

EMPTY: tuple[Any, ...] = (None, "", [], {}, ())
"""Values that stand for an absent member. False and 0 are values."""


class Text:
    """A text."""

    name = "text"
    metavar: str | None = None
    is_list = False
    """Options are repeatable, and form fields have several lines."""
    is_flag = False
    is_file = False
    """The option names a file."""

    def parse(self, value: Any, *, is_bounded: bool = True) -> Any:
        """Return the value. Raises :exc:`ValueError` with the reason for one of another type.

        With ``is_bounded``, long texts and lists are rejected.
        """
        if not isinstance(value, str):
            raise ValueError(f"must be text of at most {LONGEST_TEXT} characters" if is_bounded else "must be text")
        if is_bounded and len(value) > LONGEST_TEXT:
            raise ValueError(f"must be text of at most {LONGEST_TEXT} characters")
        return value

    def salvage(self, value: Any, *, is_bounded: bool = True) -> Any:
        """Return what is valid of a value, or None."""
        try:
            return self.parse(value, is_bounded=is_bounded)
        except ValueError:
            return None

    def parse_option(self, given: Any) -> Any:
        """Return the value of a command-line option."""
        return given

    def parse_field(self, text: str) -> Any:
        """Return the value of a form field, or None for an empty one."""
        return text.strip() or None

    def write_field(self, value: Any) -> str:
        """Return the text of a form field."""
        return str(value)

    def to_attribute(self, value: Any) -> Any:
        """Return the value as an attribute of a client. The value None gives an empty attribute."""
        return "" if value is None else value

    def from_attribute(self, value: Any) -> Any:
        """Return the value of an attribute of a client."""
        return value


class Name(Text):
    """A name that pages show. Registration removes what they cannot show."""

    name = "name"

    def parse(self, value: Any, *, is_bounded: bool = True) -> Any:
        """See :meth:`Text.parse`."""
        if not isinstance(value, str):
            raise ValueError("must be text")
        return clean_name(value)


class Choice(Text):
    """A text, or None for the setting."""

    def to_attribute(self, value: Any) -> Any:
        """See :meth:`Text.to_attribute`."""
        return value


class Line(Text):
    """A printable line."""

    name = "line"

    def parse(self, value: Any, *, is_bounded: bool = True) -> Any:
        """See :meth:`Text.parse`."""
        if not is_line(value):
            raise ValueError(f"must be one printable line of at most {LONGEST_ID} characters")
        return value


class Url(Text):
    """The URL of a page, an image or a document."""

    name = "URL"
    metavar = "URL"

    def parse(self, value: Any, *, is_bounded: bool = True) -> Any:
        """See :meth:`Text.parse`."""
        if not is_page(value) or (is_bounded and len(value) > LONGEST_TEXT):
            raise ValueError("must be the full URL of a page and begin with https://; http only for loopback")
        return value


class Texts(Text):
    """A list of texts, each once."""

    name = "list of texts"
    is_list = True

    def parse(self, value: Any, *, is_bounded: bool = True) -> Any:
        """See :meth:`Text.parse`."""
        is_valid = isinstance(value, list | tuple) and all(isinstance(item, str) for item in value)
        if not is_bounded:
            if not is_valid:
                raise ValueError("must be a list of texts")
        elif not is_valid or len(value) > MOST_ITEMS or any(len(item) > LONGEST_TEXT for item in value):
            raise ValueError(f"must be a list of at most {MOST_ITEMS} texts of at most {LONGEST_TEXT} characters")
        return list(dict.fromkeys(value))

    def parse_option(self, given: Any) -> Any:
        """See :meth:`Text.parse_option`."""
        return list(dict.fromkeys(given))

    def parse_field(self, text: str) -> Any:
        """Return the lines of the field, each once."""
        return list(dict.fromkeys(line.strip() for line in text.splitlines() if line.strip())) or None

    def write_field(self, value: Any) -> str:
        """Return the items, one a line."""
        return "\n".join(value)

    def to_attribute(self, value: Any) -> Any:
        """See :meth:`Text.to_attribute`."""
        return tuple(value or ())

    def from_attribute(self, value: Any) -> Any:
        """See :meth:`Text.from_attribute`."""
        return list(value)


class GrantTypes(Texts):
    """A list of grant types. An option accepts the short name of one."""

    def parse_option(self, given: Any) -> Any:
        """See :meth:`Text.parse_option`."""
        return super().parse_option(map(full_grant_type, given))


class Lines(Texts):
    """A list of addresses, each one printable line."""

    name = "list of lines"

    def parse(self, value: Any, *, is_bounded: bool = True) -> Any:
        """See :meth:`Text.parse`."""
        if not isinstance(value, list | tuple) or not all(map(is_line, value)):
            raise ValueError("must be a list of addresses, each one printable line")
        return list(value)

    def salvage(self, value: Any, *, is_bounded: bool = True) -> Any:
        """Return the valid lines, or None if there are none."""
        lines = filter(is_line, value) if isinstance(value, list | tuple) else ()
        return list(dict.fromkeys(lines))[:MOST_ITEMS] or None


class Scope(Text):
    """Scope values with spaces between."""

    name = "scope"
    metavar = "SCOPES"
    is_list = True

    def parse(self, value: Any, *, is_bounded: bool = True) -> Any:
        """See :meth:`Text.parse`."""
        if not isinstance(value, str):
            raise ValueError("must be text")
        return " ".join(scopes.parse_option(value))

    def parse_option(self, given: Any) -> Any:
        """See :meth:`Text.parse_option`."""
        return " ".join(dict.fromkeys(" ".join(given).split()))

    def to_attribute(self, value: Any) -> Any:
        """See :meth:`Text.to_attribute`."""
        return tuple((value or "").split())

    def from_attribute(self, value: Any) -> Any:
        """See :meth:`Text.from_attribute`."""
        return " ".join(value)


class Flag(Text):
    """True or False."""

    name = "flag"
    is_flag = True

    def parse(self, value: Any, *, is_bounded: bool = True) -> Any:
        """See :meth:`Text.parse`."""
        if not isinstance(value, bool):
            raise ValueError("must be true or false")
        return value

    def parse_field(self, text: str) -> Any:
        """Return True for a ticked box, None for one that is not."""
        return True if text else None

    def write_field(self, value: Any) -> str:
        """Return the value of a box, empty if it is not ticked."""
        return "on" if value else ""

    def to_attribute(self, value: Any) -> Any:
        """See :meth:`Text.to_attribute`."""
        return value


class ApplicationType(Text):
    """``web`` or ``native``. Its option is a flag."""

    is_flag = True

    def parse_option(self, given: Any) -> Any:
        """See :meth:`Text.parse_option`."""
        return "native" if given else "web"


class Number(Text):
    """A whole number, not negative."""

    name = "number"
    metavar = "NUMBER"

    def parse(self, value: Any, *, is_bounded: bool = True) -> Any:
        """See :meth:`Text.parse`."""
        if not isinstance(value, int) or isinstance(value, bool) or value < 0:
            raise ValueError("must be a whole number, not negative")
        return value

    def parse_option(self, given: Any) -> Any:
        """See :meth:`Text.parse_option`."""
        return int(given) if given.isascii() and given.isdigit() else given

    def parse_field(self, text: str) -> Any:
        """See :meth:`Text.parse_field`."""
        return self.parse_option(text.strip()) if text.strip() else None

    def to_attribute(self, value: Any) -> Any:
        """See :meth:`Text.to_attribute`."""
        return value


class Time(Number):
    """Seconds since the epoch, UTC. The command line shows them as a date."""

    name = "time"


class Object(Text):
    """A JSON object."""

    name = "JSON object"
    metavar = "JSON"

    def parse(self, value: Any, *, is_bounded: bool = True) -> Any:
        """See :meth:`Text.parse`."""
        if not isinstance(value, dict) or (is_bounded and len(json.dumps(value)) > MOST_ITEMS * LONGEST_TEXT):
            raise ValueError(f"must be a JSON object of at most {MOST_ITEMS * LONGEST_TEXT} characters")
        return value

    def parse_option(self, given: Any) -> Any:
        """See :meth:`Text.parse_option`. Text that is not JSON is returned, and then rejected as no object."""
        try:
            return json.loads(given)
        except (ValueError, RecursionError):
            return given

    def parse_field(self, text: str) -> Any:
        """See :meth:`Text.parse_field`."""
        return self.parse_option(text) if text.strip() else None

    def write_field(self, value: Any) -> str:
        """See :meth:`Text.write_field`."""
        return json.dumps(value)


class JWKSet(Object):
    """A JSON object. Its option names a file."""

    name = "JWK set"
    metavar = "FILE"
    is_file = True

    def parse_option(self, given: Any) -> Any:
        """Return the JSON of an open file, or of the text of a form field."""
        return super().parse_option(given if isinstance(given, str) else given.read())


class Denied(Object):
    """Values by the member they are denied for."""

    def from_attribute(self, value: Any) -> Any:
        """See :meth:`Text.from_attribute`."""
        return {name: " ".join(values) for name, values in value.items()} or None


TEXT, NAME, CHOICE, LINE, URL = Text(), Name(), Choice(), Line(), Url()
TEXTS, GRANT_TYPES, LINES, SCOPE = Texts(), GrantTypes(), Lines(), Scope()
FLAG, APPLICATION_TYPE, NUMBER, TIME, OBJECT, DENIED = Flag(), ApplicationType(), Number(), Time(), Object(), Denied()
JWKS = JWKSet()
