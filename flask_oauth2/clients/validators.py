"""Checks of single values of a client."""

from __future__ import annotations

import re
import unicodedata

from .. import urls

LONGEST_ID = 255
"""Characters of a client_id or a line. Stores save them in columns of this length."""

LONGEST_NAME = 100
"""Characters of a name. Pages show it in one line."""

is_vschar = re.compile(r"[\x20-\x7e]*").fullmatch
"""Match a client_id or a client secret: ``*VSCHAR``, :rfc:`6749#appendix-A`.

Other characters make values equal that are not: HMAC pads its key with NULs, and a database may ignore accents.
"""

_INVISIBLE = re.compile("[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\uffa0]")
"""Characters that are printable and show nothing."""

_MARKS = "[\u0300-\u036f\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff]"
"""Combining marks."""

_STACKED_MARKS = re.compile(f"{_MARKS}{{4}}")
"""More marks over one letter than any language has."""

_SURPLUS_MARKS = re.compile(f"({_MARKS}{{3}}){_MARKS}+")

_PAGE = re.compile(r"[A-Za-z0-9\-._~:/?#\[\]@!$&'()*+,;=%]+\Z")


class InvalidMetadata(ValueError):
    """Client metadata that is not valid.

    :param field: the name of the member in :rfc:`7591#section-2`, or of the attribute of the client.
    :param reason: what is wrong and what is expected; never a secret.
    """

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(f"{field}: {reason}")
        self.field = field
        self.reason = reason


def clean_name(text: str) -> str:
    """Return a name that a client gave itself in the form that pages can show.

    Characters that are not printable or not visible are removed, joiners among them. A name that is too long is cut.
    """
    decomposed = unicodedata.normalize("NFD", text[: 10 * LONGEST_NAME])
    text = unicodedata.normalize("NFC", _SURPLUS_MARKS.sub(r"\1", decomposed))
    shown = (letter if letter.isprintable() else " " * letter.isspace() for letter in _INVISIBLE.sub("", text))
    text = " ".join("".join(shown).split())
    return text if len(text) <= LONGEST_NAME else f"{text[: LONGEST_NAME - 1].rstrip()}…"


def is_visible(name: str) -> bool:
    """Return whether users see all of a name: no invisible character, no letter under a stack of marks."""
    return not (_INVISIBLE.search(name) or _STACKED_MARKS.search(unicodedata.normalize("NFD", name)))


def is_line(value: object) -> bool:
    """Return whether the value is one printable line that fits into a column."""
    return isinstance(value, str) and 1 <= len(value) <= LONGEST_ID and value.isprintable()


def is_page(value: object) -> bool:
    """Return whether the value is the URL of a page or an image that pages may show to users."""
    if not isinstance(value, str) or not _PAGE.match(value) or urls.find_host_fault(value) is not None:
        return False
    return urls.is_https(value) or urls.is_loopback(value)
