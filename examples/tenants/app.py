"""A provider with two tenants: each is an issuer with its own clients, consents, tokens and settings.

Start it with ``flask --app examples/tenants/app.py run``, and then request a token of each tenant::

    curl -u robot:acme-robot-secret-1234 -d grant_type=client_credentials http://localhost:5000/acme/oauth/token

The token grants access to ``http://localhost:5000/acme/api/notes``, and to nothing of the other tenant.

Check one tenant, and simulate a client of it::

    flask --app examples/tenants/app.py oauth2 --issuer http://localhost:5000/acme doctor --offline
    flask --app examples/tenants/app.py oauth2 --issuer http://localhost:5000/acme simulate server
"""

import os
import secrets

from flask import Flask, request

from flask_oauth2 import Client, Issuer, MemoryStore, OAuth2Provider, current_token, hash_secret

app = Flask(__name__)
app.config.update(
    SECRET_KEY=secrets.token_hex(),  # changes at every start; load a real key from a safe place
    OAUTH2_SCOPES={"notes": "Read your notes"},
    OAUTH2_GRANT_TYPES=["client_credentials"],  # no users: the clients of this example are programs
)
app.config.from_prefixed_env()
provider = OAuth2Provider(app, store=MemoryStore(), url_prefix="/<tenant>/oauth")

BASE_URL = os.environ.get("BASE_URL", "http://localhost:5000")
TENANTS = {
    "acme": Issuer(id="acme", url=f"{BASE_URL}/acme"),
    "umbrella": Issuer(id="umbrella", url=f"{BASE_URL}/umbrella", settings={"OAUTH2_ACCESS_TOKEN_LIFETIME": 600}),
}


@provider.issuergetter
def find_issuer():
    return TENANTS.get((request.view_args or {}).get("tenant"))


@app.get("/<tenant>/api/notes")
@provider.require_oauth("notes")
def notes(tenant):
    return {"notes": [f"A note of {tenant}"], "client": current_token.client_id}


for name, issuer in TENANTS.items():
    robot = Client(
        client_id="robot",
        name="Robot",
        secret=hash_secret(f"{name}-robot-secret-1234"),
        grant_types=("client_credentials",),
        response_types=(),
        scope=("notes",),
    )
    with app.app_context(), provider.issuer_context(issuer.url):
        provider.server.store.set_client(robot)
