"""Flask-WTF, which may protect every form of an application: clients have none of its tokens."""

from __future__ import annotations

from typing import Any

import flask
import pytest
from flask_wtf.csrf import CSRFProtect

from flask_oauth2 import MemoryStore, OAuth2Provider


@pytest.mark.parametrize("csrf_comes_first", [True, False])
def test_endpoints_are_exempt_from_the_first_request_on(csrf_comes_first: bool) -> None:
    app = flask.Flask("protected")
    app.config.update(SECRET_KEY="a secret key of the tests", TESTING=True)
    extensions: list[Any] = [CSRFProtect(), OAuth2Provider(store=MemoryStore())]
    for extension in extensions if csrf_comes_first else reversed(extensions):
        extension.init_app(app)
    app.post("/own")(lambda: "")
    answer = app.test_client().post("/oauth/token", data={"grant_type": "client_credentials", "client_id": "nobody"})
    assert answer.get_json()["error"] == "invalid_client"
    assert "CSRF" in app.test_client().post("/own").text
