"""The provider of ``before.py`` after the migration. Run ``diff before.py app.py`` to see the five changes."""

import secrets
from datetime import UTC, datetime, timedelta
from functools import wraps

from flask import Flask, redirect, render_template_string, request, session, url_for
from flask_sqlalchemy import SQLAlchemy

from flask_oauth2 import OAuth2Provider

app = Flask(__name__)
app.config.update(
    SECRET_KEY="change me",
    SQLALCHEMY_DATABASE_URI="sqlite:///provider.sqlite",
    OAUTH2_LOGIN_VIEW="login",
    OAUTH2_PKCE_REQUIRED="public",  # confidential clients may continue without PKCE
)
db = SQLAlchemy(app)
oauth = OAuth2Provider(app, db=db)


class User(db.Model):
    id = db.Column(db.Integer, primary_key=True)
    username = db.Column(db.String(40), unique=True)


class Client(db.Model):
    client_id = db.Column(db.String(40), primary_key=True)
    client_secret = db.Column(db.String(55), nullable=False)
    name = db.Column(db.String(40))
    user_id = db.Column(db.ForeignKey("user.id"))
    user = db.relationship("User")
    is_confidential = db.Column(db.Boolean)
    _redirect_uris = db.Column(db.Text)
    _default_scopes = db.Column(db.Text)

    @property
    def client_type(self):
        return "confidential" if self.is_confidential else "public"

    @property
    def redirect_uris(self):
        return (self._redirect_uris or "").split()

    @property
    def default_redirect_uri(self):
        return self.redirect_uris[0]

    @property
    def default_scopes(self):
        return (self._default_scopes or "").split()


class Grant(db.Model):
    id = db.Column(db.Integer, primary_key=True)
    user_id = db.Column(db.ForeignKey("user.id"))
    user = db.relationship("User")
    client_id = db.Column(db.ForeignKey("client.client_id"), nullable=False)
    client = db.relationship("Client")
    code = db.Column(db.String(255), index=True, nullable=False)
    redirect_uri = db.Column(db.String(255))
    expires = db.Column(db.DateTime)
    _scopes = db.Column(db.Text)

    def delete(self):
        db.session.delete(self)
        db.session.commit()

    @property
    def scopes(self):
        return (self._scopes or "").split()


class Token(db.Model):
    id = db.Column(db.Integer, primary_key=True)
    client_id = db.Column(db.ForeignKey("client.client_id"), nullable=False)
    client = db.relationship("Client")
    user_id = db.Column(db.ForeignKey("user.id"))
    user = db.relationship("User")
    token_type = db.Column(db.String(40))
    access_token = db.Column(db.String(255), unique=True)
    refresh_token = db.Column(db.String(255), unique=True)
    expires = db.Column(db.DateTime)
    _scopes = db.Column(db.Text)

    def delete(self):
        db.session.delete(self)
        db.session.commit()

    @property
    def scopes(self):
        return (self._scopes or "").split()


@oauth.current_user
def current_user():
    return User.query.filter_by(id=session.get("user_id")).first()


def require_login(view):
    @wraps(view)
    def wrapper(*args, **kwargs):
        return view(*args, **kwargs) if current_user() else redirect(url_for("login", next=request.full_path))

    return wrapper


@oauth.clientgetter
def load_client(client_id):
    return Client.query.filter_by(client_id=client_id).first()


@oauth.grantgetter
def load_grant(client_id, code):
    return Grant.query.filter_by(client_id=client_id, code=code).first()


@oauth.grantsetter
def save_grant(client_id, code, request, *args, **kwargs):
    grant = Grant(
        client_id=client_id,
        code=code["code"],
        redirect_uri=request.redirect_uri,
        _scopes=" ".join(request.scopes),
        user=current_user(),
        expires=utcnow() + timedelta(seconds=100),
    )
    db.session.add(grant)
    db.session.commit()
    return grant


@oauth.tokengetter
def load_token(access_token=None, refresh_token=None):
    if access_token:
        return Token.query.filter_by(access_token=access_token).first()
    return Token.query.filter_by(refresh_token=refresh_token).first()


@oauth.tokensetter
def save_token(token, request, *args, **kwargs):
    # every client has only one token of a user
    for old in Token.query.filter_by(client_id=request.client.client_id, user_id=request.user.id):
        db.session.delete(old)
    new = Token(
        access_token=token["access_token"],
        refresh_token=token["refresh_token"],
        token_type=token["token_type"],
        _scopes=token["scope"],
        expires=utcnow() + timedelta(seconds=token["expires_in"]),
        client_id=request.client.client_id,
        user_id=request.user.id,
    )
    db.session.add(new)
    db.session.commit()
    return new


@app.route("/oauth/authorize", methods=["GET", "POST"])
@require_login
@oauth.authorize_handler
def authorize(*args, **kwargs):
    if request.method == "GET":
        kwargs["client"] = load_client(kwargs["client_id"])
        kwargs["user"] = current_user()
        return render_template_string(CONSENT, **kwargs)
    return request.form["confirm"] == "yes"


@app.post("/oauth/token")
@oauth.token_handler
def access_token():
    return None


@app.post("/oauth/revoke")
@oauth.revoke_handler
def revoke_token():
    pass


@app.get("/api/me")
@oauth.require_oauth("email")
def me():
    return {"username": request.oauth.user.username}


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


def utcnow():
    return datetime.now(UTC).replace(tzinfo=None)


CONSENT = """
<p>{{ client.name }} requests access for {{ user.username }}: {{ scopes|join(" ") }}</p>
<form action="/oauth/authorize" method="post">
  <input type="hidden" name="client_id" value="{{ client.client_id }}">
  <input type="hidden" name="scope" value="{{ scopes|join(" ") }}">
  <input type="hidden" name="response_type" value="{{ response_type }}">
  <input type="hidden" name="redirect_uri" value="{{ redirect_uri }}">
  {% if state %}<input type="hidden" name="state" value="{{ state }}">{% endif %}
  <button name="confirm" value="yes">Allow</button>
  <button name="confirm" value="no">Deny</button>
</form>
"""

with app.app_context():
    db.create_all()
    if load_client("photos") is None:
        photos = Client(
            client_id="photos",
            client_secret=secrets.token_urlsafe(40)[:55],
            name="Photos",
            is_confidential=True,
            _redirect_uris="http://127.0.0.1:8000/callback",
            _default_scopes="email",
        )
        db.session.add(photos)
        db.session.commit()
