"""An application as the fixtures of the test kit ask for it."""

from __future__ import annotations

from typing import Any

import flask
import pytest

from flask_oauth2 import MemoryStore
from oauth_site import make_site


@pytest.fixture(params=["opaque", "signed"])
def app(request: pytest.FixtureRequest, tmp_path: Any) -> flask.Flask:
    """With access tokens of each format."""
    return make_site(tmp_path, store=MemoryStore(), OAUTH2_ACCESS_TOKEN_FORMAT=request.param).app
