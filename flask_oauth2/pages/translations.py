"""What pages say, in the reader's language: by Flask-Babel where the application has set it up, else in English.

The application's own translation folders are looked at too: a ``flask_oauth2.mo`` there adds a language, changes what
is said, or translates the descriptions of ``OAUTH2_SCOPES``.
"""

from __future__ import annotations

from datetime import datetime
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import flask
from markupsafe import Markup, escape

if TYPE_CHECKING:
    from flask_babel import Domain

DOMAIN = "flask_oauth2"
"""What the files of translations are called."""

FOLDER = Path(__file__).with_name("translations")

_MONTHS = (
    *("January", "February", "March", "April", "May", "June"),
    *("July", "August", "September", "October", "November", "December"),
)


def translate(text: str, **variables: Any) -> Markup:
    """``text`` in the reader's language, as HTML; ``%(name)s`` in it becomes the variable of that name, escaped."""
    domain = _domain()
    if domain is not None and text:  # the translation of nothing is the head of the catalog
        text = domain.gettext(text)
    return escape(text) % variables if variables else escape(text)


def locale() -> str:
    """The language that a page is in, for its ``lang``: English where there is no translation for the reader."""
    return str(translate("en"))  # every catalog translates this name of a language by its own


def format_date(when: datetime) -> str:
    """The day, as the reader writes it and in their time zone; without Flask-Babel ``25 November 2026``."""
    if _domain() is not None:
        import flask_babel

        reader = flask_babel.get_locale()
        if reader is not None and reader.language == locale().partition("-")[0]:
            return str(flask_babel.format_date(when, "long"))
    return f"{when.day} {_MONTHS[when.month - 1]} {when.year}"


def _domain() -> Domain | None:
    babel = flask.current_app.extensions.get("babel")
    return None if babel is None else _open((str(FOLDER), *babel.translation_directories))


@cache
def _open(folders: tuple[str, ...]) -> Domain:
    from flask_babel import Domain

    return Domain(list(folders), DOMAIN)
