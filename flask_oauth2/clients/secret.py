"""``client_secret_basic`` and ``client_secret_post``, :rfc:`6749#section-2.3.1`.

A generated secret has full entropy and is kept as its SHA-256 digest, and so is one that an application keeps as plain
text. A secret that a person chose is kept with Werkzeug's password hash. Whatever is kept, a wrong secret of the shape
of a generated one is refused at once, any other after a slow hash: an unknown client and a wrong secret take the same
time.
"""

from __future__ import annotations

import hmac
import re
from functools import cache
from hashlib import sha256

from werkzeug.security import check_password_hash, generate_password_hash

from .. import values
from ..errors import InvalidClient, InvalidRequest
from ..http import messages
from ..http.messages import Params, Request
from ..records import Client
from ..server import AuthorizationServer
from .base import Credentials, is_vschar, unknown_client
from .throttle import Attempt

_DIGEST = "sha256$"
_KEPT = (_DIGEST, "pbkdf2:", "scrypt:", "pbkdf2_sha256$", "argon2", "$argon2", "$2a$", "$2b$", "$2y$", "bcrypt$")
"""What the stored forms of secrets begin with, here and elsewhere."""

_ACCEPTS = frozenset({"client_secret_basic", "client_secret_post"})
_WERKZEUG_HASH = re.compile(r"(?:scrypt|pbkdf2)(?::[a-z0-9]+)*\$[^$]+\$[0-9a-f]+\Z")
_OTHER_HASH = re.compile(r"\$[a-z0-9-]+\$|\{[A-Z0-9-]+\}|(?:md5|sha[0-9]+|bcrypt|argon2|pbkdf2|scrypt)[a-z0-9_:]*\$")

LONG_SECRET = 32
"""Characters of a secret that was surely drawn at random, so that nobody finds it by trying, whatever the hash."""


def hash_secret(secret: str) -> str:
    """What is kept of a secret: a digest of a generated one, a slow hash of any other.

    Raises :exc:`ValueError` for a secret that is not printable ASCII: no client can authenticate with it.
    """
    if not is_vschar(secret):
        raise ValueError("a client secret may hold printable ASCII characters only (RFC 6749 appendix A.2)")
    key = values.key(secret)
    if key.startswith(values.NO_TIMESTAMP):
        return generate_password_hash(secret)
    return _DIGEST + key[len(values.NO_TIMESTAMP) :].hex()


def is_secret(secret: str, kept: str) -> bool:
    """Whether it is the secret of what is kept."""
    if not is_vschar(secret):
        return False
    digest = _DIGEST + values.key(secret)[len(values.NO_TIMESTAMP) :].hex()
    is_digest = hmac.compare_digest(digest.encode(), kept.encode("utf-8", "surrogatepass"))
    return is_digest or _is_chosen(secret, kept)


def keep_plain(secret: str) -> str:
    """What is kept of a secret that is plain text in an application's own table: its digest, made in no time.

    It protects a long secret as well as a hash that is slow; a short one is no safer than where it came from.
    """
    return _DIGEST + sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


def take_over(kept: str) -> str:
    """What is kept of a secret that another library kept: Werkzeug's hash as it is, plain text as its strength allows.

    Raises :exc:`ValueError` for a hash of another kind.
    """
    if _WERKZEUG_HASH.match(kept):
        return kept
    if _OTHER_HASH.match(kept):
        raise ValueError("is a hash of a kind that cannot be checked here: give the client a new secret")
    if not is_vschar(kept):
        raise ValueError("holds characters that are not printable ASCII: give the client a new secret")
    return keep_plain(kept) if len(kept) >= LONG_SECRET else generate_password_hash(kept)


def read_basic(request: Request) -> Credentials | None:
    """The id and the secret of a Basic Authorization header, where there is one. A malformed one is refused."""
    try:
        found = messages.read_basic(request.authorization)
    except ValueError:
        raise _malformed(request) from None
    if found is not None and not found[0]:
        raise _malformed(request)
    return found and Credentials(*found)


def _malformed(request: Request) -> InvalidRequest | InvalidClient:
    """Return the error of a Basic header that cannot be read."""
    if "," in request.authorization:  # a server joins two headers with a comma
        return InvalidRequest(
            "the request has more than one Authorization header",
            rule="rfc6749 2.3",
            cure="let the client, or the proxy before the application, send one Authorization header",
        )
    return InvalidClient(
        "client authentication failed",
        rule="rfc7617 2",
        expected="base64 of id:secret",
        cure="let the client send Authorization: Basic with base64(client_id:client_secret), both form-urlencoded",
    )


class ClientSecret:
    """What both methods share: the check of the secret."""

    accepts = _ACCEPTS

    def verify(self, server: AuthorizationServer, client: Client | None, credentials: Credentials, now: float) -> None:
        """Raise :exc:`InvalidClient` for a wrong secret, :exc:`TemporarilyUnavailable` after too many."""
        secret = credentials.proof
        if not is_vschar(secret):
            raise InvalidClient(
                "client authentication failed",
                rule="rfc6749 A.2",
                expected="printable ASCII characters",
                came="a secret with others",
                cure=f"give the client a secret of printable ASCII characters; {_new_secret(client)}",
            )
        kept = (client and client.secret) or ""
        key = values.key(secret)
        is_minted = not key.startswith(values.NO_TIMESTAMP)
        digest = _DIGEST + key[len(values.NO_TIMESTAMP) :].hex()
        is_digest = hmac.compare_digest(digest.encode(), kept.encode("utf-8", "surrogatepass"))
        if is_digest and (is_minted or len(secret) >= LONG_SECRET):
            return  # nobody guesses one of these, so nothing is counted, and no stranger's guesses stand in the way
        attempt = Attempt(server, "client_secret", credentials.client_id, now, credentials.address)
        if is_digest or (not is_minted and _is_chosen(secret, kept)):
            attempt.withdraw()
            return
        attempt.failed()
        if client is None:
            raise unknown_client(credentials.client_id)
        looks_kept = secret.startswith(_KEPT)
        came = "what looks like the hash of a secret" if looks_kept else "a wrong secret"
        cure = f"correct the secret in the configuration of the client; {_new_secret(client)}"
        if client.is_public:
            came = "the secret of a public client, which has none"
            cure = (
                "let the client send its client_id alone; if it keeps a secret, register it as confidential "
                "(is_confidential or client_type of an application's own client)"
            )
        elif looks_kept:
            cure = f"give the client its secret, not what is stored of it; {_new_secret(client)}"
        elif kept and "$" not in kept:
            cure = "the client's attribute secret is no hash: make one by hash_secret(), or name it client_secret"
        raise InvalidClient(
            "client authentication failed",
            rule="rfc6749 2.3.1",
            came=came,
            cure=cure,
        )


class ClientSecretBasic(ClientSecret):
    """HTTP Basic with form-urlencoded id and secret inside."""

    name = "client_secret_basic"
    scheme: str | None = "basic"

    def present(self, request: Request, form: Params) -> Credentials | None:
        """An Authorization header with a secret in it."""
        try:
            found = messages.read_basic(request.authorization)
        except ValueError:
            raise _malformed(request) from None
        return Credentials(*found) if found is not None and found[0] and found[1] else None


class ClientSecretPost(ClientSecret):
    """``client_id`` and ``client_secret`` in the body."""

    name = "client_secret_post"
    scheme: str | None = None

    def present(self, request: Request, form: Params) -> Credentials | None:
        """A ``client_secret`` in the body."""
        secret = form.get("client_secret")
        return None if secret is None else Credentials(form.require("client_id"), secret)


def _is_chosen(secret: str, kept: str) -> bool:
    """Whether it is the secret of a slow hash. Where none is kept it takes as long as if one were."""
    chosen = kept if "$" in kept and not kept.startswith(_DIGEST) else _nobodys_hash()
    try:
        return check_password_hash(chosen, secret) and chosen is kept
    except ValueError:  # a hash of another kind
        return False


def _new_secret(client: Client | None) -> str:
    return f"flask oauth2 client rotate-secret {client.client_id if client else 'ID'} makes a new one and shows it once"


@cache
def _nobodys_hash() -> str:
    return generate_password_hash(values.text(values.new_id(0)))
