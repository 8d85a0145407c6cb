"""The provider of ``before.py`` after the migration. ``flask oauth2 import authlib`` imports its clients and tokens."""

from flask import Flask, jsonify, redirect, request, session
from flask_sqlalchemy import SQLAlchemy

from flask_oauth2 import OAuth2Provider, current_token

app = Flask(__name__)
app.config.update(
    SECRET_KEY="change me",
    SQLALCHEMY_DATABASE_URI="sqlite:///provider.sqlite",
    OAUTH2_LOGIN_VIEW="login",
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


provider = OAuth2Provider(app, db=db, table_prefix="provider_")
provider.current_user(current_user)
provider.userloader(lambda user_id: db.session.get(User, int(user_id)))
require_oauth = provider.require_oauth


@app.get("/api/me")
@require_oauth("profile")
def me():
    return jsonify(id=current_token.user.id, username=current_token.user.username)


with app.app_context():
    db.create_all()
