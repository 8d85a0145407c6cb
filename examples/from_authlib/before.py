"""A provider with Authlib, as its documentation suggests: its mixins, its grants and its resource protector."""

import os
import secrets
import time

from authlib.integrations.flask_oauth2 import AuthorizationServer, ResourceProtector, current_token
from authlib.integrations.sqla_oauth2 import (
    OAuth2AuthorizationCodeMixin,
    OAuth2ClientMixin,
    OAuth2TokenMixin,
    create_bearer_token_validator,
    create_query_client_func,
    create_revocation_endpoint,
    create_save_token_func,
)
from authlib.oauth2 import OAuth2Error
from authlib.oauth2.rfc6749 import grants
from flask import Flask, jsonify, redirect, render_template_string, request, session, url_for
from flask_sqlalchemy import SQLAlchemy

os.environ["AUTHLIB_INSECURE_TRANSPORT"] = "1"  # this example runs on a loopback address

app = Flask(__name__)
app.config.update(
    SECRET_KEY="change me",
    SQLALCHEMY_DATABASE_URI="sqlite:///provider.sqlite",
    OAUTH2_REFRESH_TOKEN_GENERATOR=True,
)
db = SQLAlchemy(app)


class User(db.Model):
    id = db.Column(db.Integer, primary_key=True)
    username = db.Column(db.String(40), unique=True)

    def get_user_id(self):
        return self.id


def current_user():
    return db.session.get(User, session.get("user_id", 0))


@app.route("/login", methods=["GET", "POST"])
def login():  # replace this with a real login page: it accepts any username
    if request.method == "POST":
        user = User.query.filter_by(username=request.form["username"]).first()
        if user is None:
            user = User(username=request.form["username"])
            db.session.add(user)
            db.session.commit()
        session["user_id"] = user.id
        back = request.args.get("next", "")
        return redirect(back if back.startswith(f"{request.script_root}/oauth/") else "/")
    return '<form method="post"><input name="username"> <button>Sign in</button></form>'


class OAuth2Client(db.Model, OAuth2ClientMixin):
    __tablename__ = "oauth2_client"

    id = db.Column(db.Integer, primary_key=True)
    user_id = db.Column(db.Integer, db.ForeignKey("user.id", ondelete="CASCADE"))
    user = db.relationship("User")


class OAuth2AuthorizationCode(db.Model, OAuth2AuthorizationCodeMixin):
    __tablename__ = "oauth2_code"

    id = db.Column(db.Integer, primary_key=True)
    user_id = db.Column(db.Integer, db.ForeignKey("user.id", ondelete="CASCADE"))
    user = db.relationship("User")


class OAuth2Token(db.Model, OAuth2TokenMixin):
    __tablename__ = "oauth2_token"

    id = db.Column(db.Integer, primary_key=True)
    user_id = db.Column(db.Integer, db.ForeignKey("user.id", ondelete="CASCADE"))
    user = db.relationship("User")


class AuthorizationCodeGrant(grants.AuthorizationCodeGrant):
    def save_authorization_code(self, code, request):
        row = OAuth2AuthorizationCode(
            code=code,
            client_id=request.client.client_id,
            redirect_uri=request.payload.redirect_uri,
            scope=request.payload.scope,
            user_id=request.user.id,
        )
        db.session.add(row)
        db.session.commit()
        return row

    def query_authorization_code(self, code, client):
        row = OAuth2AuthorizationCode.query.filter_by(code=code, client_id=client.client_id).first()
        return row if row and not row.is_expired() else None

    def delete_authorization_code(self, authorization_code):
        db.session.delete(authorization_code)
        db.session.commit()

    def authenticate_user(self, authorization_code):
        return db.session.get(User, authorization_code.user_id)


class RefreshTokenGrant(grants.RefreshTokenGrant):
    INCLUDE_NEW_REFRESH_TOKEN = True

    def authenticate_refresh_token(self, refresh_token):
        token = OAuth2Token.query.filter_by(refresh_token=refresh_token).first()
        return token if token and not token.refresh_token_revoked_at else None

    def authenticate_user(self, refresh_token):
        return db.session.get(User, refresh_token.user_id)

    def revoke_old_credential(self, refresh_token):
        refresh_token.access_token_revoked_at = refresh_token.refresh_token_revoked_at = int(time.time())
        db.session.commit()


authorization = AuthorizationServer(
    app,
    query_client=create_query_client_func(db.session, OAuth2Client),
    save_token=create_save_token_func(db.session, OAuth2Token),
)
authorization.register_grant(AuthorizationCodeGrant)
authorization.register_grant(RefreshTokenGrant)
authorization.register_endpoint(create_revocation_endpoint(db.session, OAuth2Token))
require_oauth = ResourceProtector()
require_oauth.register_token_validator(create_bearer_token_validator(db.session, OAuth2Token)())


@app.route("/oauth/authorize", methods=["GET", "POST"])
def authorize():
    user = current_user()
    if user is None:
        return redirect(url_for("login", next=request.full_path))
    try:
        grant = authorization.get_consent_grant(end_user=user)
    except OAuth2Error as error:
        return authorization.handle_error_response(request, error)
    if request.method == "GET":
        return render_template_string(CONSENT, user=user, grant=grant)
    return authorization.create_authorization_response(
        grant_user=user if request.form["confirm"] == "yes" else None, grant=grant
    )


@app.post("/oauth/token")
def issue_token():
    return authorization.create_token_response()


@app.post("/oauth/revoke")
def revoke_token():
    return authorization.create_endpoint_response("revocation")


CONSENT = """
<p>{{ grant.client.client_name }} requests access for {{ user.username }}: {{ grant.request.payload.scope }}</p>
<form method="post">
  <button name="confirm" value="yes">Allow</button>
  <button name="confirm" value="no">Deny</button>
</form>
"""


@app.get("/api/me")
@require_oauth("profile")
def me():
    return jsonify(id=current_token.user.id, username=current_token.user.username)


with app.app_context():
    db.create_all()
    if OAuth2Client.query.filter_by(client_id="photos").first() is None:
        photos = OAuth2Client(client_id="photos", client_secret=secrets.token_urlsafe(40))
        photos.set_client_metadata(
            {
                "client_name": "Photos",
                "redirect_uris": ["http://127.0.0.1:8000/callback"],
                "grant_types": ["authorization_code", "refresh_token"],
                "response_types": ["code"],
                "scope": "profile",
                "token_endpoint_auth_method": "client_secret_basic",
            }
        )
        db.session.add(photos)
        db.session.commit()
