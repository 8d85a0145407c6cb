"""Imports of clients and live tokens from other libraries, so that users stay signed in. One line per library."""

from __future__ import annotations

from .authlib import Authlib
from .base import Source
from .flask_oauthlib import FlaskOAuthlib

SOURCES: tuple[type[Source], ...] = (FlaskOAuthlib, Authlib)
