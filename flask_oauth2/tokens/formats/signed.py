"""Signed access tokens: the value contains the facts of the token and a signature with ``SECRET_KEY``.

Clients can read the value but cannot change it. ``SECRET_KEY_FALLBACKS`` verify older tokens.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256

from itsdangerous import BadData, URLSafeSerializer

from ... import values
from ...context import decode_context, encode_context
from ...records import AccessToken, Client
from ...resources import Resource


class Signed:
    """The format of signed access tokens. The only key is ``SECRET_KEY``."""

    name = "signed"

    def __init__(self, secret_keys: Sequence[bytes], prefix: str, issuer: str | None, issuer_id: str = "") -> None:
        self._prefix = f"{prefix}_"
        # the signatures of two issuers with the same SECRET_KEY differ, also if one has the URL of a former one
        salt = f"flask_oauth2.signed {issuer or ''}{issuer_id and f' {issuer_id}'}"
        self._serializer = URLSafeSerializer(list(secret_keys), salt=salt, signer_kwargs={"digest_method": sha256})

    def write(self, access: AccessToken, client: Client, resource: Resource | None) -> str:
        """Return the facts of ``access``, signed with the newest key."""
        content = {
            "jti": values.text(access.token_hash),
            "family": access.authorization_id,
            "client_id": access.client_id,
            "sub": access.user_id,
            "scope": " ".join(access.scope),
            "type": access.type,
            "iat": access.issued_at,
            "exp": access.expires_at,
            "context": encode_context(access.context),
            "cnf": access.confirmation or None,
            "consent": access.consent_id,
            "aud": list(access.audience) or None,
        }
        present = {name: value for name, value in content.items() if value is not None}
        return f"{self._prefix}{self._serializer.dumps(present)}"

    def read(self, value: str) -> AccessToken | None:
        """Verify the signature of a value with each key. Return the token, or None if no key verifies it."""
        if not value.startswith(self._prefix):
            return None
        try:
            content = self._serializer.loads(value[len(self._prefix) :])
        except BadData:
            return None
        return AccessToken(
            token_hash=values.from_text(content["jti"]),
            authorization_id=content["family"],
            client_id=content["client_id"],
            user_id=content.get("sub"),
            scope=tuple(content["scope"].split()),
            type=content["type"],
            issued_at=content["iat"],
            expires_at=content["exp"],
            confirmation=content.get("cnf"),
            consent_id=content.get("consent"),
            audience=tuple(content.get("aud", ())),
            context=decode_context(content.get("context")),
        )
