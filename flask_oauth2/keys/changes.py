"""The changes that an operator makes to stored signing keys: rotate, retire, import and encrypt again.

None of them lets a key sign before other parties can know it, see :mod:`.states`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from ..errors import ConfigurationError, TemporarilyUnavailable
from ..records import SigningKey
from . import states
from .encoding import JOSEError, decode_json
from .jwk import Key, generate_key, name_key, read_key, read_pem
from .signing import RETRY_AFTER, StoredKeys, find_algorithm

MAX_ATTEMPTS = 20
"""Attempts to change a row that other processes change too."""


@dataclass(frozen=True, slots=True)
class Retirement:
    """A retired key, and the key that signs now or next, if there is one."""

    key: SigningKey
    successor: SigningKey | None


def rotate(keys: StoredKeys, algorithm: str, now: float) -> SigningKey:
    """Publish the next key of an algorithm and return it. Return the published one if a rotation is in progress."""
    for _ in range(MAX_ATTEMPTS):
        rows = states.keys_only(keys.read_rows(now))
        coming = states.find_next(rows, algorithm, now)
        if coming is not None:
            return coming
        row = keys.make_row(generate_key(algorithm), _next_number(rows, algorithm), _earliest(now), now)
        if keys.store.add_key(row):
            keys.forget()
            return row
    raise _busy()


def retire(keys: StoredKeys, kid: str, now: float, *, at_once: bool) -> Retirement:
    """Retire a key as soon as another one signs.

    :param at_once: stop signing with it now, and publish it no longer, such as after its disclosure. Tokens that it has
        signed become invalid. If no other key of its algorithm is active, nothing signs with the algorithm until the
        next key may sign.
    """
    for _ in range(MAX_ATTEMPTS):
        row = _find(keys, kid, now)
        retires_at = int(now) if at_once else _find_end(keys, row, now)
        expires_at = retires_at if at_once else retires_at + keys.published_after
        changed = replace(row, retires_at=retires_at, expires_at=expires_at)
        if keys.store.change_key(changed, row):
            keys.forget()
            others = [other for other in states.keys_only(keys.read_rows(now)) if other.id != kid]
            signing = states.find_signing(others, row.algorithm, now)
            return Retirement(changed, signing or states.find_next(others, row.algorithm, now))
    raise _busy()


def import_key(keys: StoredKeys, key: Key, now: float) -> SigningKey:
    """Add a private key as the next one of its algorithm. In an empty store it signs at once.

    Raises :exc:`ConfigurationError` for a public key, and for one that is stored already.
    """
    if not key.is_private:
        raise ConfigurationError("the file has a public key: a private key is needed to sign")
    for _ in range(MAX_ATTEMPTS):
        rows = keys.store.list_keys()
        if any(row.id == key.kid for row in rows):
            raise ConfigurationError(f"the signing key {key.kid} is stored already")
        first = states.new_first_set(rows, [key.alg or ""], now)
        activates_at = int(now) if first is not None and keys.store.add_key(first) else _earliest(now)
        row = keys.make_row(key, _next_number(rows, key.alg or ""), activates_at, now)
        if keys.store.add_key(row):
            keys.forget()
            return row
    raise _busy()


def read_file(content: bytes, algorithm: str | None, preferred: tuple[str, ...]) -> Key:
    """Return the signing key in a PEM or JWK file. Raises :exc:`ConfigurationError`.

    :param algorithm: its signature algorithm. By default the one of the file, or the first fitting of ``preferred``.
    """
    try:
        if content.lstrip().startswith(b"{"):
            key = read_key(decode_json(content.strip(), "the file", 100), may_be_private=True)
        else:
            key = read_pem(content)
        found = find_algorithm(key, (algorithm,) if algorithm else preferred)
    except JOSEError as error:
        raise ConfigurationError(f"the key cannot be imported: {error.reason}") from error
    if algorithm not in (None, found):
        raise ConfigurationError(f"the key cannot be imported: it does not fit {algorithm}")
    return name_key(key, found)


def reencrypt(keys: StoredKeys) -> int:
    """Encrypt the keys that a fallback opens with the current ``SECRET_KEY``. Return their number.

    Raises :exc:`ConfigurationError` if no secret key opens one.
    """
    count = 0
    for _ in range(MAX_ATTEMPTS):
        old = [row for row in states.keys_only(keys.store.list_keys()) if not keys.cipher.is_newest(row.encrypted)]
        if not old:
            return count
        for row in old:
            keys.open_key(row)
            encrypted = keys.cipher.encrypt(keys.cipher.decrypt(row.encrypted))
            count += keys.store.change_key(replace(row, encrypted=encrypted), row)
    raise _busy()


def _find(keys: StoredKeys, kid: str, now: float) -> SigningKey:
    """Return the row of a key, without opening any: the secret key may be lost."""
    rows = [row for row in states.keys_only(keys.store.list_keys()) if not states.is_removed(row, now)]
    for row in rows:
        if row.id == kid:
            return row
    known = ", ".join(row.id for row in rows)
    raise ConfigurationError(f"there is no signing key {kid}. Known keys: {known or 'none'}")


def _find_end(keys: StoredKeys, row: SigningKey, now: float) -> int:
    """Return the time at which another key signs. Publish one if there is none."""
    state = states.state_of(row, now)
    if state == "retired":
        raise ConfigurationError(f"the signing key {row.id} is retired already. Use --now to remove it at once")
    others = [other for other in states.keys_only(keys.read_rows(now)) if other.id != row.id]
    if state == "published" or states.find_signing(others, row.algorithm, now) is not None:
        return int(now)
    return states.starts_at(rotate(keys, row.algorithm, now))


def _next_number(rows: list[SigningKey], algorithm: str) -> int:
    return 1 + max((row.number for row in rows if row.algorithm == algorithm), default=0)


def _earliest(now: float) -> int:
    return int(now) + states.PUBLISHED_AHEAD


def _busy() -> TemporarilyUnavailable:
    return TemporarilyUnavailable(
        "other processes change the signing keys", retry_after=RETRY_AFTER, hint="run the command again"
    )
