"""``flask oauth2 …``."""

from __future__ import annotations

from flask.cli import AppGroup

oauth2 = AppGroup("oauth2", help="Clients, tokens and routes of the OAuth 2 provider.")
