"""Translations of the pages with Flask-Babel, if the application has set it up. Otherwise pages are in English.

The application's own translation directories are searched too: a ``flask_oauth2.mo`` file there adds a language,
changes texts, or translates the descriptions of ``OAUTH2_SCOPES``.
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
"""The name of the translation files."""

FOLDER = Path(__file__).with_name("translations")

_MONTHS = (
    *("January", "February", "March", "April", "May", "June"),
    *("July", "August", "September", "October", "November", "December"),
)


def translate(text: str, **variables: Any) -> Markup:
    """Translate ``text`` to HTML in the user's language. Replace ``%(name)s`` with the escaped variable ``name``."""
    domain = _domain()
    if domain is not None and text:  # gettext returns the catalog header for an empty text
        text = domain.gettext(text)
    return escape(text) % variables if variables else escape(text)


def locale() -> str:
    """Return the language of the page for its ``lang`` attribute: English if there is no translation for the user."""
    return str(translate("en"))  # each catalog translates this to its own language code


def format_date(when: datetime) -> str:
    """Return the day in the user's format and time zone, or ``25 November 2026`` without Flask-Babel."""
    if _domain() is not None:
        import flask_babel

        user_locale = flask_babel.get_locale()
        if user_locale is not None and user_locale.language == locale().partition("-")[0]:
            return str(flask_babel.format_date(when, "long"))
    return f"{when.day} {_MONTHS[when.month - 1]} {when.year}"


def _domain() -> Domain | None:
    babel = flask.current_app.extensions.get("babel")
    return None if babel is None else _open((str(FOLDER), *babel.translation_directories))


@cache
def _open(folders: tuple[str, ...]) -> Domain:
    from flask_babel import Domain

    return Domain(list(folders), DOMAIN)
