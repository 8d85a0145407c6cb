"""The signing keys of one issuer: those that the store keeps, and those that the application brings.

A worker holds the keys in memory, and reads the rows again after ``RELOAD_AFTER`` seconds. The first
reader creates the keys that are missing or due. Workers that do this at the same moment agree on one key, because the
store adds each number of an algorithm once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Protocol

from ..errors import ConfigurationError, TemporarilyUnavailable
from ..processes import Once, cached
from ..records import CLOCKS_DIFFER, SigningKey
from ..settings import Settings
from ..stores.base import KeyStore
from . import states
from .algorithms import SIGNATURES
from .encoding import JOSEError, decode_json, encode_base64url, encode_json
from .jose import MAX_LEEWAY, Signer
from .jwk import Key, KeySet, generate_key, name_key, read_key, read_pem

DEFAULT_ALGORITHMS = ("ES256", "RS256")
"""The algorithms of generated keys if no option names others."""

MAX_NEW_KEYS = 20
"""Keys that one reader creates at a time."""

MAX_RETIRED = 12
"""Retired keys of an algorithm that are published at a time."""

RETRY_AFTER = 5
"""Seconds after which a worker asks an unavailable store again."""


@dataclass(frozen=True, slots=True)
class PublishedSet:
    """The JWK set of an issuer as other parties see it."""

    keys: KeySet
    body: bytes
    """The response of the JWK set endpoint."""
    etag: str
    """The entity tag of the body, in quotes."""


class SigningKeys(Protocol):
    """The signing keys of one issuer."""

    algorithms: Sequence[str]
    """The configured algorithms, the preferred one first."""

    def find_signer(self, now: float, algorithm: str | None = None) -> Signer:
        """Return the key that signs now.

        :param algorithm: the signature algorithm. By default the first configured one that has an active key.

        Raises :exc:`~flask_oauth2.errors.TemporarilyUnavailable` if the keys of the algorithm do not sign yet, and
        :exc:`~flask_oauth2.errors.ConfigurationError` if the settings do not name it.
        """
        ...

    def find_published(self, now: float) -> PublishedSet:
        """Return the published keys: those that sign, those that will, and those that did lately."""
        ...

    def find_cached(self, now: float) -> PublishedSet | None:
        """Return the published keys if the store need not be read, or None."""
        ...


class LocalSigner:
    """A private key in memory."""

    def __init__(self, key: Key) -> None:
        self.key = key
        self.kid = key.kid or ""
        self.alg = key.alg or ""

    def public_jwk(self) -> Mapping[str, Any]:
        """Return the public key."""
        return self.key.public_jwk

    def sign(self, data: bytes) -> bytes:
        """Return the signature."""
        from . import library

        return library.sign(self.alg, self.key.native, data)


def publish(keys: Iterable[Key]) -> PublishedSet:
    """Return the JWK set of some keys, without private members."""
    jwks = [key.public_jwk for key in keys]
    body = encode_json({"keys": jwks})
    tag = encode_base64url(sha256(body).digest()[:16]).decode()
    return PublishedSet(KeySet([read_key(jwk) for jwk in jwks]), body, f'"{tag}"')


@dataclass(frozen=True, slots=True)
class _Loaded:
    """The rows as a worker has read them."""

    rows: Sequence[SigningKey]
    signers: Mapping[str, LocalSigner]
    """By ``kid``."""
    published: PublishedSet
    read_at: float

    def is_fresh(self, now: float) -> bool:
        """Return whether the rows need not be read again. The clock may have been set back."""
        return -CLOCKS_DIFFER <= now - self.read_at < states.RELOAD_AFTER


class StoredKeys:
    """Keys that are generated on first use, and stored encrypted.

    :param open_store: returns the store, or None if it is not a :class:`~flask_oauth2.stores.base.KeyStore`.
    """

    def __init__(self, settings: Settings, open_store: Callable[[], KeyStore | None]) -> None:
        self.algorithms: Sequence[str] = settings.signing_algorithms or DEFAULT_ALGORITHMS
        self.published_after = max(states.PUBLISHED_AFTER, settings.access_token_lifetime + MAX_LEEWAY)
        """Seconds for which a retired key stays published."""
        self._period = settings.key_rotation_period
        if self._period is not None and self.published_after > MAX_RETIRED * self._period:
            raise ConfigurationError(
                f"OAUTH2_KEY_ROTATION_PERIOD is too short: more than {MAX_RETIRED} retired keys of an algorithm would "
                f"be published. Use at least {-(-self.published_after // MAX_RETIRED)} seconds"
            )
        self._secret_keys = settings.secret_keys
        self._open_store = open_store
        self._once = Once()
        self._loaded: _Loaded | None = None
        self._retry_at = 0.0

    def find_signer(self, now: float, algorithm: str | None = None) -> Signer:
        """See :meth:`SigningKeys.find_signer`."""
        wanted = self.algorithms if algorithm is None else check_configured(self.algorithms, algorithm)
        loaded = self._load(now)
        for name in wanted:
            found = states.find_signing(loaded.rows, name, now)
            if found is not None:
                return loaded.signers[found.id]
        starts = [states.starts_at(row) for row in (states.find_next(loaded.rows, name, now) for name in wanted) if row]
        wait = max(1, int(min(starts, default=now + states.RELOAD_AFTER) - now))
        raise TemporarilyUnavailable(
            "no key of the signature algorithm is active yet",
            retry_after=min(wait, states.PUBLISHED_AHEAD),
            hint="a new key signs as soon as all other parties know it: see flask oauth2 keys list",
        )

    def find_published(self, now: float) -> PublishedSet:
        """See :meth:`SigningKeys.find_published`."""
        return self._load(now).published

    def find_cached(self, now: float) -> PublishedSet | None:
        """See :meth:`SigningKeys.find_cached`."""
        loaded = self._loaded
        return loaded.published if loaded is not None and loaded.is_fresh(now) else None

    @cached
    def store(self) -> KeyStore:
        """The store. Raises :exc:`ConfigurationError` if it keeps no keys."""
        store = self._open_store()
        if store is None:
            raise ConfigurationError(
                "this store saves no signing keys: give it the methods of KeyStore, or set OAUTH2_SIGNING_KEYS to keys "
                "that the application keeps"
            )
        return store

    @cached
    def cipher(self) -> Any:
        """The encryption at rest."""
        from . import library

        return library.Cipher(self._secret_keys, "signing keys")

    def read_rows(self, now: float) -> list[SigningKey]:
        """Return the rows of all keys after creating those that are missing or due."""
        rows = self.store.list_keys()
        for _ in range(MAX_NEW_KEYS):
            new = self._new_row(rows, now)
            if new is None:
                return rows
            self.store.add_key(new)  # or another worker has added it
            rows = self.store.list_keys()
        raise TemporarilyUnavailable("signing keys are being created", retry_after=RETRY_AFTER)

    def open_key(self, row: SigningKey) -> Key:
        """Return the private key of a row. Raises :exc:`ConfigurationError` if no secret key opens it."""
        content = self.cipher.decrypt(row.encrypted)
        if content is None:
            raise ConfigurationError(
                f"no SECRET_KEY opens the signing key {row.id}: it was stored with another one. Add that one to "
                "SECRET_KEY_FALLBACKS and run: flask oauth2 keys reencrypt. If it is lost, run: flask oauth2 keys "
                f"retire --now {row.id}"
            )
        try:
            key = read_key(decode_json(content, "the stored key", 100), may_be_private=True)
        except JOSEError as error:
            raise ConfigurationError(f"the signing key {row.id} is damaged: {error.reason}") from error
        if (key.kid, key.alg) != (row.id, row.algorithm):
            raise ConfigurationError(f"the row of the signing key {row.id} contains another key")
        return key

    def make_row(self, key: Key, number: int, activates_at: int, now: float) -> SigningKey:
        """Return the row of a new key."""
        return SigningKey(
            id=key.kid or "",
            algorithm=key.alg or "",
            number=number,
            encrypted=self.cipher.encrypt(encode_json(key.jwk)),
            created_at=int(now),
            activates_at=activates_at,
        )

    def forget(self) -> None:
        """Read the rows again with the next use."""
        self._loaded = None

    def _new_row(self, rows: Sequence[SigningKey], now: float) -> SigningKey | None:
        first = states.new_first_set(rows, self.algorithms, now)
        if first is not None:
            return first
        missing = states.find_missing(rows, self.algorithms, self._period, now)
        if missing is None:
            return None
        algorithm, number, activates_at = missing
        return self.make_row(generate_key(algorithm), number, activates_at, now)

    def _load(self, now: float) -> _Loaded:
        return self._once.run(lambda: self._find_fresh(now), lambda: self._reload(now))

    def _find_fresh(self, now: float) -> _Loaded | None:
        loaded = self._loaded
        return loaded if loaded is not None and (loaded.is_fresh(now) or self._may_wait(loaded, now)) else None

    def _may_wait(self, loaded: _Loaded, now: float) -> bool:
        """Return whether the store was unavailable a moment ago, and the rows in memory are not too old."""
        return 0 <= now - loaded.read_at < states.MAX_STALE and now < self._retry_at <= now + RETRY_AFTER

    def _reload(self, now: float) -> _Loaded:
        try:
            loaded = self._read(now)
        except TemporarilyUnavailable:
            before = self._loaded
            if before is None or not 0 <= now - before.read_at < states.MAX_STALE:
                raise
            self._retry_at = now + RETRY_AFTER
            return before
        self._loaded = loaded
        return loaded

    def _read(self, now: float) -> _Loaded:
        rows = states.keys_only(self.read_rows(now))
        for changed, before in states.find_successions(rows, self.published_after, now):
            self.store.change_key(changed, before)  # or another worker has changed it
        known = {} if self._loaded is None else self._loaded.signers
        published = [row for row in rows if not states.is_removed(row, now)]
        signers = {row.id: known.get(row.id) or LocalSigner(self.open_key(row)) for row in published}
        keys = [signer.key for signer in signers.values()]
        if self._loaded is not None and signers.keys() == known.keys():
            return _Loaded(published, signers, self._loaded.published, now)
        return _Loaded(published, signers, publish(keys), now)


class GivenKeys:
    """Keys that the application brings, ``OAUTH2_SIGNING_KEYS``. Nothing is stored.

    The first private key of an algorithm signs. Public keys are only published.
    """

    def __init__(self, settings: Settings) -> None:
        if settings.key_rotation_period is not None:
            raise ConfigurationError(
                "OAUTH2_KEY_ROTATION_PERIOD has no effect on the keys of OAUTH2_SIGNING_KEYS: remove one of the options"
            )
        signers: dict[str, Signer] = {}
        published: list[Key] = []
        for number, given in enumerate(settings.signing_keys, 1):
            try:
                signer, key = _read_given(given, settings.signing_algorithms)
            except JOSEError as error:
                raise ConfigurationError(f"key {number} of OAUTH2_SIGNING_KEYS cannot be used: {error}") from error
            published.append(key)
            if signer is not None:
                signers.setdefault(signer.alg, signer)
        preferred = settings.signing_algorithms or tuple(signers)
        missing = sorted(set(preferred) - signers.keys())
        if not signers or missing:
            raise ConfigurationError(
                f"OAUTH2_SIGNING_KEYS has no private key for {', '.join(missing) or 'any algorithm'}: add one"
            )
        if len({key.kid for key in published}) < len(published):
            raise ConfigurationError("two keys of OAUTH2_SIGNING_KEYS have the same kid")
        self.algorithms: Sequence[str] = preferred
        self._signers = signers
        self._published = publish(published)

    def find_signer(self, now: float, algorithm: str | None = None) -> Signer:
        """See :meth:`SigningKeys.find_signer`."""
        return self._signers[
            self.algorithms[0] if algorithm is None else check_configured(self.algorithms, algorithm)[0]
        ]

    def find_published(self, now: float) -> PublishedSet:
        """See :meth:`SigningKeys.find_published`."""
        return self._published

    def find_cached(self, now: float) -> PublishedSet | None:
        """See :meth:`SigningKeys.find_cached`."""
        return self._published


class _GivenSigner:
    """A key object of the application, whose first signature is verified."""

    def __init__(self, signer: Signer, public: Key) -> None:
        self._signer = signer
        self._public = public
        self._is_verified = False
        self.kid, self.alg = signer.kid, signer.alg

    def public_jwk(self) -> Mapping[str, Any]:
        return self._public.public_jwk

    def sign(self, data: bytes) -> bytes:
        from . import library

        signature = self._signer.sign(data)
        if not self._is_verified and not library.verify(self.alg, self._public.native, data, signature):
            raise ConfigurationError(
                f"the signature of the key {self.kid} of OAUTH2_SIGNING_KEYS is wrong: sign(data) must return what RFC "
                "7518 section 3 defines, for ECDSA R || S and not DER, and public_jwk() the same key"
            )
        self._is_verified = True
        return signature


def _read_given(given: Any, preferred: Sequence[str] | None) -> tuple[Signer | None, Key]:
    """Return the signer (None for a public key) and the key of an element of ``OAUTH2_SIGNING_KEYS``."""
    if isinstance(given, str | bytes | Mapping):
        key = _read_content(given)
        named = name_key(key, find_algorithm(key, preferred or DEFAULT_ALGORITHMS))
        return (LocalSigner(named) if named.is_private else None), named
    public = read_key({**given.public_jwk(), "alg": given.alg, "kid": given.kid, "use": "sig", "key_ops": None})
    find_algorithm(public, ())
    return _GivenSigner(given, public), public


def _read_content(given: str | bytes | Mapping[str, Any]) -> Key:
    if isinstance(given, Mapping):
        return read_key(given, may_be_private=True)
    return read_pem(given.encode() if isinstance(given, str) else given)


def find_algorithm(key: Key, preferred: Iterable[str]) -> str:
    """Return the algorithm of a signing key: its own, or the first fitting one of ``preferred`` and of all.

    Raises :exc:`.JOSEError` if the key fits none, or is symmetric.
    """
    for name in (key.alg, *preferred, *SIGNATURES):
        if name in SIGNATURES and not SIGNATURES[name].is_symmetric and key.fits(SIGNATURES[name], "sig"):
            return name
    raise JOSEError("the key fits no signature algorithm")


def check_configured(algorithms: Sequence[str], algorithm: str) -> tuple[str, ...]:
    """Return the algorithm as the only one. Raises :exc:`ConfigurationError` if the settings do not name it."""
    if algorithm not in algorithms:
        raise ConfigurationError(
            f"nothing signs with {algorithm}: add it to OAUTH2_SIGNING_ALGORITHMS, which names {', '.join(algorithms)}"
        )
    return (algorithm,)


def open_keys(settings: Settings, open_store: Callable[[], KeyStore | None]) -> StoredKeys | GivenKeys:
    """Return the signing keys of an issuer. Stored keys are read on first use."""
    return GivenKeys(settings) if settings.signing_keys else StoredKeys(settings, open_store)
