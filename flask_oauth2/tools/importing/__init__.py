"""Clients and live tokens of another library, filed here, so that nobody is logged out: one line per library."""

from __future__ import annotations

from .authlib import Authlib
from .base import Source
from .flask_oauthlib import FlaskOAuthlib

SOURCES: tuple[type[Source], ...] = (FlaskOAuthlib, Authlib)
