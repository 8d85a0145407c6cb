"""Type-checked and never run: what users write must pass mypy in strict mode."""

from __future__ import annotations

from flask import Blueprint, Flask, session
from flask.views import MethodView
from flask_sqlalchemy import SQLAlchemy

from flask_oauth2 import (
    AccessToken,
    Client,
    InvalidClientMetadata,
    InvalidGrant,
    MemoryStore,
    OAuth2Provider,
    ResourceServer,
    TokenGrant,
    TokenRequest,
    User,
    current_token,
    signals,
)
from flask_oauth2.http.messages import Request
from flask_oauth2.stores.callbacks import SetterRequest
from flask_oauth2.testing import RegisteredClient, StoreContract, http_with_token, issue_token, stop_clock, unguarded

app = Flask(__name__)
db = SQLAlchemy(app)
provider = OAuth2Provider(app, db=db)
OAuth2Provider(store=MemoryStore(), url_prefix="/auth").init_app(app)
api = Blueprint("api", __name__)
provider.require_oauth("profile")(api)


@provider.current_user
def current_user() -> User | None:
    return User(id=session["user"]) if "user" in session else None


@provider.userloader
def load_user(user_id: str) -> str:
    return user_id.title()


@provider.usergetter
def check_password(username: str, password: str, client: Client, request: TokenRequest) -> str | None:
    return username if password == "right" else None


@provider.registration_policy
def check_registration(metadata: dict[str, object], request: Request) -> dict[str, object] | None:
    if request.address == "192.0.2.1":
        raise InvalidClientMetadata("client_name: is taken")
    return {**metadata, "client_name": "A client"} if "client_name" not in metadata else None


@provider.developer_policy
def may_develop(user: User) -> bool:
    return user.name != "guest"


@provider.access_token_claims
def add_claims(access: AccessToken, client: Client) -> dict[str, object] | None:
    return {"groups": [access.user_id, client.name]}


provider.add_resource("https://files.example", ["files"], format="jwt", prefix=True, name="Files")
guards = ResourceServer(Flask("files"), issuer="https://login.example", audience="https://files.example", cache_ttl=0)
guards.protect_mcp("/mcp", "files")


@guards.require_oauth("files")
def list_files() -> list[str]:
    return current_token.scopes


@provider.clientgetter
def find_client(client_id: str) -> dict[str, object] | None:
    return {"client_id": client_id, "redirect_uris": []}


@provider.tokengetter
def find_token(access_token: str | None = None, refresh_token: str | None = None) -> object:
    return access_token or refresh_token


@provider.tokensetter
async def keep_token(token: dict[str, str], request: SetterRequest) -> None:
    session[token["access_token"]] = request.client_id


@provider.authorize_handler
def consent(client: Client, scopes: list[str], user: User, ticket: str, **asked: object) -> str | bool:
    return f"May {client.name} have {scopes}, {user.name}? {ticket}" if "state" in asked else True


@signals.token_issued.connect_via(app)
def issued(sender: Flask, client_id: str, **more: object) -> None:
    client: Client | None = provider.requesting_client()
    assert client is None or client.client_id == client_id


@provider.grant_type("urn:example:api-key")
def api_key(request: TokenRequest) -> TokenGrant:
    owner = request.form.get("api_key")
    if owner is None:
        raise InvalidGrant("unknown api_key")
    return TokenGrant(request.authorization(user_id=owner), refresh=True, lifetime=60)


@app.get("/api/me")
@provider.require_oauth("profile")
def me() -> dict[str, str | int | None]:
    return {"id": current_token.user_id, "client": current_token.client_id, "until": current_token.expires_at}


@app.get("/api/any")
@provider.require_oauth(any_of=["read", "write admin"])
async def anything() -> list[str]:
    return list(current_token.scope)


@app.get("/api/open")
@provider.require_oauth(optional=True)
def opened() -> str:
    return current_token.client_id if current_token else "nobody"


class Items(MethodView):
    decorators = [provider.require_oauth("items")]

    def get(self) -> str:
        return str(current_token.user)


text: str = me.__name__


def test_orders(oauth_client: RegisteredClient) -> None:
    robot = oauth_client(scope="orders", grant_types=["client_credentials"])
    token: str = issue_token(app, "ada", "orders", client=robot, lifetime=60)
    with stop_clock(app) as clock:
        clock.forward(60)
        status: int = http_with_token(app, token).get("/orders", auth=robot.auth).status_code
    names: list[str] = unguarded(app)
    assert not names, status


class TestMemory(StoreContract):
    pass


def change(token: AccessToken) -> None:
    token.scope = ()  # type: ignore[misc]  # records are immutable for type checkers
