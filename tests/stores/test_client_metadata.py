"""Every store saves a member of client metadata, whatever its type is."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from flask_oauth2 import Client

METADATA = {
    "jwks_uri": "https://keys.example/jwks.json",
    "jwks": {"keys": [{"kty": "EC", "use": "sig"}, {"name": "Ærøskøbing 写真"}]},
    "post_logout_redirect_uris": ["https://client.example/bye", "com.example.app:/bye"],
    "default_max_age": 0,
    "require_auth_time": False,
}


def test_a_store_saves_members_of_all_types(store: Any) -> None:
    client = Client(client_id="web", secret="sha256$abc", redirect_uris=("https://client.example/",), metadata=METADATA)
    store.set_client(client)
    assert store.get_client("web").metadata == METADATA
    store.set_client(replace(client, metadata={}))
    assert store.get_client("web").metadata == {}
