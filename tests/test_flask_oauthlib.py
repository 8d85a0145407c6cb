"""What flask-oauthlib's ``bind_sqlalchemy`` did, here."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import flask
import pytest
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import DateTime, ForeignKey, Integer, String, Text

from flask_oauth2 import ConfigurationError, OAuth2Provider, current_token, values
from flask_oauth2.tools.flask_oauthlib import bind_sqlalchemy
from oauth_site import CALLBACK, Clock, Site, answer_of

SECRET = "a long secret that was drawn at random: 0123456789"


class Bound:
    """An application with models of its own, and what is in them."""

    def __init__(self, folder: Path) -> None:
        self.app = app = flask.Flask("bound", instance_path=str(folder / "instance"))
        app.config.update(
            PROPAGATE_EXCEPTIONS=True,
            SECRET_KEY="a secret key of the tests",
            SQLALCHEMY_DATABASE_URI=f"sqlite:///{folder / 'app.sqlite'}",
            OAUTH2_ISSUER="https://login.example",
            OAUTH2_LOGIN_VIEW="login",
            OAUTH2_GRANT_TYPES=["authorization_code", "password", "client_credentials", "refresh_token"],
        )
        self.db = db = SQLAlchemy(app)
        self.provider = OAuth2Provider(app, db=db)

        class User(db.Model):  # type: ignore[name-defined, misc]
            id = db.Column(Integer, primary_key=True)
            username = db.Column(String(40))

            def check_password(self, password: str) -> bool:
                return password == f"the password of {self.username}"

        class Client(db.Model):  # type: ignore[name-defined, misc]
            client_id = db.Column(String(40), primary_key=True)
            client_secret = db.Column(String(55))
            redirect_uris = CALLBACK
            default_scopes = "profile"

        class Grant(db.Model):  # type: ignore[name-defined, misc]
            id = db.Column(Integer, primary_key=True)
            client_id = db.Column(String(40))
            user_id = db.Column(ForeignKey("user.id"))
            code = db.Column(String(255))
            redirect_uri = db.Column(Text)
            expires = db.Column(DateTime)
            scope = db.Column(Text)

        class Token(db.Model):  # type: ignore[name-defined, misc]
            id = db.Column(Integer, primary_key=True)
            client_id = db.Column(String(40))
            user_id = db.Column(ForeignKey("user.id"))
            user = db.relationship("User")
            token_type = db.Column(String(40))
            access_token = db.Column(String(255))
            refresh_token = db.Column(String(255))
            expires = db.Column(DateTime)
            _scopes = db.Column(Text)

        self.User, self.Client, self.Grant, self.Token = User, Client, Grant, Token

        @app.route("/login", methods=["GET", "POST"])
        def login() -> Any:
            flask.session["user"] = int(flask.request.form["user"])
            return "", 204

        def current_user() -> Any:
            return db.session.get(User, flask.session.get("user", 0))

        bind_sqlalchemy(self.provider, db.session, User, Client, Token, Grant, current_user)

        @app.get("/api/me")
        @self.provider.require_oauth("profile")
        def me() -> Any:
            return {"user": current_token.user and current_token.user.username}

        with app.app_context():
            db.create_all()
            db.session.add_all([User(id=1, username="ada"), Client(client_id="web", client_secret=SECRET)])
            db.session.commit()
        self.site = Site(app, self.provider, Clock())

    def rows(self, model: Any) -> list[Any]:
        with self.app.app_context():
            return list(self.db.session.query(model).all())

    def clear(self, model: Any) -> None:
        with self.app.app_context():
            self.db.session.query(model).delete()
            self.db.session.commit()


@pytest.fixture
def bound(tmp_path: Path) -> Iterator[Bound]:
    bound = Bound(tmp_path)
    bound.site.clock.now = int(values.clock())  # the rows have the time of the application
    yield bound
    with bound.app.app_context():
        bound.db.engine.dispose()


def code(bound: Bound) -> str:
    bound.site.sign_in("1")
    return answer_of(bound.site.allow(bound.site.ask()))["code"]


def test_codes_and_tokens_are_rows_with_keys(bound: Bound) -> None:
    value = code(bound)
    [grant] = bound.rows(bound.Grant)
    assert grant.code == values.text(values.key(value))
    assert (grant.client_id, grant.user_id, grant.redirect_uri, grant.scope) == ("web", 1, CALLBACK, "profile")
    answer = bound.site.redeem(value, ("web", SECRET)).get_json()
    [token] = bound.rows(bound.Token)
    assert token.access_token == values.text(values.key(answer["access_token"]))
    assert token.refresh_token == values.text(values.key(answer["refresh_token"]))
    assert (token.client_id, token.user_id, token._scopes, token.token_type) == ("web", 1, "profile", "Bearer")
    assert bound.site.call(answer["access_token"]).get_json() == {"user": "ada"}
    assert bound.site.refresh(answer["refresh_token"], SECRET).status_code == 200
    assert len(bound.rows(bound.Token)) == 2, "another token of the user stays"
    assert bound.site.call(answer["access_token"]).status_code == 200
    assert bound.site.refresh(answer["refresh_token"], "wrong").status_code == 401


def test_what_is_taken_away_has_ended(bound: Bound) -> None:
    value = code(bound)
    bound.clear(bound.Grant)
    assert bound.site.redeem(value, ("web", SECRET)).get_json()["error"] == "invalid_grant"
    answer = bound.site.token("password", ("web", SECRET), username="ada", password="the password of ada").get_json()
    assert bound.site.is_alive(answer["access_token"])
    bound.clear(bound.Token)
    assert not bound.site.is_alive(answer["access_token"])
    assert bound.site.refresh(answer["refresh_token"], SECRET).status_code == 400
    bound.clear(bound.Client)
    assert bound.site.token("client_credentials", ("web", SECRET)).status_code == 401


def test_passwords_are_asked_of_the_user(bound: Bound) -> None:
    for username, password in (("ada", "guess"), ("nobody", "guess")):
        answer = bound.site.token("password", ("web", SECRET), username=username, password=password)
        assert answer.get_json()["error"] == "invalid_grant"


def test_users_are_found_by_their_primary_key(bound: Bound) -> None:
    with bound.app.app_context():
        assert bound.provider.load_user("1").username == "ada"
        assert bound.provider.load_user("2") is None


def test_users_are_found_by_flask_login_where_it_is_set_up(bound: Bound) -> None:
    from flask_login import LoginManager

    LoginManager(bound.app).user_loader({"a session of ada": "Ada"}.get)
    with bound.app.app_context():
        assert bound.provider.load_user("a session of ada") == "Ada"
        assert bound.provider.load_user("1").username == "ada", "whose session has another name"
        assert bound.provider.load_user("2") is None


def test_a_client_acts_for_itself(bound: Bound) -> None:
    answer = bound.site.token("client_credentials", ("web", SECRET)).get_json()
    [token] = bound.rows(bound.Token)
    assert (token.user_id, token.refresh_token) == (None, None)
    assert bound.site.call(answer["access_token"]).get_json() == {"user": None}


def test_codes_need_to_know_who_is_signed_in() -> None:
    with pytest.raises(ConfigurationError, match="requires current_user="):
        bind_sqlalchemy(OAuth2Provider(), None, grant=object)


def test_what_is_not_bound_is_kept_here() -> None:
    provider = OAuth2Provider()
    bind_sqlalchemy(provider, None)
    provider.clientgetter({}.get)
    with pytest.raises(ConfigurationError, match=r"clientgetter is registered already$"):
        bind_sqlalchemy(provider, None, client=object)


def test_whoever_registered_a_callback_before_is_named(bound: Bound) -> None:
    with pytest.raises(ConfigurationError, match=r"by flask_oauth2\.tools\.flask_oauthlib\.bind_sqlalchemy"):
        bound.provider.tokensetter(print)
