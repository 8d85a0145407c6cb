"""The ``OAUTH2_*`` options: the name, type, default, description and specification section of each."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import MISSING, dataclass, field, fields
from datetime import timedelta
from typing import Any, NamedTuple

from . import metrics, scopes
from .errors import ConfigurationError
from .http import urls
from .scopes import Scope

NO_ISSUER = (
    "OAUTH2_ISSUER is not set. Set it to the public URL of this application, such as https://login.example (RFC 8414 "
    "section 2). It is optional in debug mode and on loopback addresses"
)
"""The error of an application without an issuer."""

DEVICE_CODE = "urn:ietf:params:oauth:grant-type:device_code"
"""The grant type of the device authorization grant, :rfc:`8628#section-3.4`."""

GRANT_TYPES = ("authorization_code", "implicit", "password", "client_credentials", "refresh_token", DEVICE_CODE)

_SHORT_NAMES = {"device_code": DEVICE_CODE}

DEFAULT_PREFIXES = {
    "access_token": "oat",
    "signed_token": "ost",
    "refresh_token": "ort",
    "code": "oac",
    "request": "oar",
    "client_secret": "ocs",
    "device_code": "odc",
    "initial_access_token": "oit",
    "registration_access_token": "ora",
}


def _option(default: Any, doc: str, rule: str = "") -> Any:
    metadata = {"doc": doc, "rule": rule}
    if isinstance(default, dict):
        return field(default_factory=lambda: dict(default), metadata=metadata)
    return field(default=default, metadata=metadata)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The options of one application. :meth:`load` reads and validates them."""

    issuer: str | None = _option(
        None,
        "The issuer identifier: an https URL without query and fragment. Optional in debug mode, in tests and on a "
        "loopback address: there it follows the Host header if that contains a loopback host. In all other cases the "
        "extension ignores the Host header.",
        "rfc8414 2",
    )
    scopes: Mapping[str, str] = _option(
        {},
        "A description of each scope value for users. Empty: clients may request any scope they are registered for.",
        "rfc6749 3.3",
    )
    default_scope: Scope = _option(
        (), "The scope of a request without scope. Empty: the full scope of the client.", "rfc6749 3.3"
    )
    grant_types: tuple[str, ...] = _option(
        ("authorization_code", "client_credentials", "refresh_token"),
        "The enabled grant types. implicit, password and device_code are disabled by default.",
        "rfc9700 2.1.2, 2.4, rfc8628 5.4",
    )
    pkce_required: str = _option("all", "The clients that must use PKCE: all or public.", "rfc9700 2.1.1")
    authorization_code_lifetime: int = _option(
        60, "The lifetime of an authorization code in seconds, at most 600.", "rfc6749 4.1.2"
    )
    device_code_lifetime: int = _option(
        600, "The lifetime of a device code and its user code in seconds, from 60 to 3600.", "rfc8628 3.2"
    )
    device_interval: int = _option(
        5, "The initial polling interval of a device in seconds, from 1 to 60.", "rfc8628 3.2"
    )
    access_token_lifetime: int = _option(3600, "The lifetime of an access token in seconds.", "rfc6750 5.3")
    refresh_token_lifetime: int = _option(
        30 * 86400, "The lifetime of an unused refresh token in seconds.", "rfc9700 4.14.2"
    )
    refresh_token_grace_period: int = _option(
        30,
        "Seconds within which a confidential client may repeat a refresh if it lost the response.",
        "rfc9700 4.14.2",
    )
    refresh_token_grace_period_public: int | None = _option(
        None,
        "Seconds within which a public client may repeat a refresh. Default: 10 if the application has an MCP server "
        "(protect_mcp), otherwise 0.",
        "oauth-v2-1 4.3.1",
    )
    access_token_format: str = _option(
        "opaque", "The default format of access tokens: opaque, signed, jwt or a registered format.", "rfc6749 1.4"
    )
    default_audience: str | None = _option(
        None,
        "The audience of JSON Web Tokens that are issued for no protected resource. Default: the issuer, followed by "
        "/resources.",
        "rfc9068 3",
    )
    resources: Mapping[str, Mapping[str, Any]] = _option(
        {},
        "Protected resources on other servers, by URL: {'https://files.example': {'scopes': ['files'], 'format': "
        "'jwt'}}. Clients name them with the parameter resource, and their tokens have this audience. Further keys: "
        "prefix (clients may name URLs below it), name (for users) and encryption_key (a public JWK to which JSON Web "
        "Tokens are encrypted).",
        "rfc8707 2",
    )
    token_prefixes: Mapping[str, str] = _option(
        DEFAULT_PREFIXES, "The prefixes of tokens, codes and secrets, by kind of value."
    )
    token_cache_ttl: int = _option(
        0,
        "Seconds for which guards cache a verified token, at most 60. A revocation takes effect at once in the same "
        "process, and within these seconds in others. 0: each request reads the store.",
        "rfc7662 4",
    )
    token_in_body: bool = _option(False, "Guards also accept access_token in a form body.", "rfc6750 2.2")
    guard_checks_user: bool = _option(
        False,
        "Guards reject the tokens of inactive users. They call user_is_active or, without it, the userloader.",
        "rfc6750 3.1",
    )
    dpop: str = _option(
        "off",
        "Bind access tokens to a key of the client with DPoP: off, optional (clients that send a proof) or required "
        "(all clients). Needs flask_oauth2[jose].",
        "rfc9449 5",
    )
    dpop_nonces: bool = _option(
        True,
        "DPoP proofs must contain a nonce of the server, so that no client, and no malware on its device, can make "
        "proofs in advance.",
        "rfc9449 8, 9, 11.2",
    )
    client_certificate_header: str = _option(
        "",
        "The header in which the proxy sends the client certificate of the TLS connection. The proxy must remove this "
        "header from the requests of clients. Empty: SSL_CLIENT_CERT of the WSGI environment.",
        "rfc8705 6.5",
    )
    client_certificate_format: str = _option(
        "pem",
        "The format of this header: pem (PEM, also percent-encoded, as nginx, Apache and AWS send it, or RFC 9440), "
        "der (base64 of DER, as HAProxy and Caddy send it) or envoy (x-forwarded-client-cert).",
        "rfc8705 6.5",
    )
    client_certificate_verify_header: str = _option(
        "",
        "The header in which the proxy sends SUCCESS if it has verified the chain of the client certificate. The proxy "
        "must remove it from the requests of clients. Empty: SSL_CLIENT_VERIFY of the WSGI environment. always: the "
        "proxy sends no certificate whose chain it has not verified.",
        "rfc8705 2.1",
    )
    mutual_tls: bool = _option(
        False,
        "Clients may authenticate with a client certificate, and bind access tokens to it. Needs flask_oauth2[jose].",
        "rfc8705 2, 3",
    )
    mutual_tls_origin: str | None = _option(
        None,
        "The origin at which the server accepts client certificates, such as https://mtls.login.example, if it differs "
        "from that of the issuer. The metadata list its endpoints as mtls_endpoint_aliases.",
        "rfc8705 5",
    )
    acr_values: tuple[str, ...] = _option(
        (),
        "The authentication context classes with which users can sign in, such as urn:example:two-factor. Clients "
        "request them with acr_values; @provider.current_user returns the one of the user. Empty: the server ignores "
        "acr_values.",
        "rfc9470 4, 7",
    )
    realm: str = _option("oauth2", "The realm of challenges.", "rfc6750 3")
    max_failed_attempts: int = _option(
        10,
        "Failed authentication attempts for one client or user from one network within the window before the server "
        "responds with 429. The limit for all clients and users from one network is 10 times as high, and for one "
        "client or user from all networks 100 times.",
        "rfc6749 2.3.1",
    )
    failed_attempt_window: int = _option(
        300, "The window in seconds in which failed authentication attempts are counted.", "rfc6749 2.3.1"
    )
    par_lifetime: int = _option(
        60,
        "The lifetime of a pushed authorization request in seconds, at most 600. A user who opens it in time has an "
        "hour to sign in and decide.",
        "rfc9126 2.2",
    )
    require_pushed_authorization_requests: bool = _option(
        False, "Reject authorization requests that the client has not pushed.", "rfc9126 5"
    )
    client_assertion_endpoint_audience: bool = _option(
        False,
        "Accept client assertions (private_key_jwt) whose audience is the URL of the token endpoint instead of the "
        "issuer. Enable it for clients that follow the rule of 2015.",
        "rfc7523 3",
    )
    client_id_metadata_documents: bool | None = _option(
        None,
        "Accept clients whose client ID is the https URL of a metadata document, which the server fetches. Requires "
        "flask_oauth2[documents].",
        "draft-ietf-oauth-client-id-metadata-document 3, 4",
    )
    client_id_metadata_document_allowed_hosts: tuple[str, ...] = _option(
        (),
        "Hosts of metadata documents and JWK sets that may have a loopback or private address, as host, host:port or "
        "``host:*``. Loopback hosts may use http.",
        "draft-ietf-oauth-client-id-metadata-document 6.5",
    )
    login_view: str | None = _option(
        None,
        "The Flask endpoint or path of the application's login page, which must redirect to the URL in the parameter "
        "next. Default: Flask-Login's login_view.",
        "rfc6749 3.1",
    )
    database_uri: str | None = _option(
        None, "The database URI if the provider has no db= argument. Default: oauth2.sqlite in the instance folder."
    )
    database_engine_options: Mapping[str, Any] = _option(
        {},
        "Arguments of SQLAlchemy's create_engine() for OAUTH2_DATABASE_URI and OAUTH2_READ_REPLICA, such as "
        "{'connect_args': {'prepare_threshold': None}} for psycopg behind a transaction pooler.",
    )
    metrics: str | None = _option(None, "The metrics backend: prometheus or opentelemetry. Off by default.")
    read_replica: str | None = _option(
        None,
        "A read replica of the database for guards: a URI or, with db=, a name in SQLALCHEMY_BINDS. Guards see a "
        "revocation after the replication lag.",
        "rfc7009 3",
    )
    redis_url: str | None = _option(
        None,
        "A Redis server that stores authorization codes and counters, for many workers on many machines: redis://, "
        "rediss:// or unix://.",
    )
    redis_prefix: str = _option("oauth2:", "The prefix of keys in Redis. Each application needs a different one.")
    cors_origins: tuple[str, ...] = _option(
        (),
        "Origins whose pages may call the endpoints, such as https://app.example, in addition to the origins of public "
        "clients' redirect URIs.",
        "oauth-v2-1 3.2",
    )
    dynamic_registration: str | None = _option(
        None,
        "Dynamic client registration: off, token (requires an initial access token) or open. Default: open if the "
        "application protects an MCP server (protect_mcp), otherwise off.",
        "rfc7591 3",
    )
    registration_scopes: Scope = _option(
        (),
        "The scope values that unverified clients may request. Empty: the scope values of the protected resources and "
        "the default scope.",
        "rfc7591 2",
    )
    registrations_per_hour: int = _option(
        10_000,
        "The maximum number of clients that register without an initial access token per hour. One network may "
        "register a tenth of this number, and a thousandth after half of it is used.",
        "rfc7591 3",
    )
    unused_client_lifetime: int = _option(
        7 * 86400,
        "Seconds after which a self-registered client that never received a token can be purged. 0: never.",
        "rfc7591 5",
    )
    developer_pages: bool = _option(
        False,
        "Signed-in users may register and manage their own clients on the developer pages (/developer).",
        "rfc6749 2",
    )
    max_clients_per_developer: int = _option(20, "The maximum number of clients of one developer.", "rfc6819 5.1.4.1")
    service_documentation: str | None = _option(
        None, "The URL of documentation for developers of clients.", "rfc8414 2"
    )
    signing_algorithms: tuple[str, ...] | None = _option(
        None,
        "The algorithms of signing keys: ES256, RS256, PS256, EdDSA and others. The first one signs unless another one "
        "is requested. Each has its own keys, which are created on first use. Default: ES256 and RS256. Needs "
        "flask_oauth2[jose].",
        "rfc8725 3.1, 3.2",
    )
    signing_keys: tuple[Any, ...] = field(
        default=(),
        repr=False,
        metadata={
            "doc": "Your own signing keys instead of generated ones: private keys as PEM text or JWK, or objects with "
            "``kid``, ``alg``, ``public_jwk()`` and ``sign(data)``, such as those of a hardware security module. The "
            "first key of an algorithm signs, and all are published. Nothing is stored.",
            "rule": "rfc7517 4",
        },
    )
    key_rotation_period: int | None = _option(
        None,
        "Seconds, or a timedelta, after which a new key takes over: at least two hours. It is published an hour "
        "before. None: keys change only with ``flask oauth2 keys rotate``.",
        "rfc8725 3.2",
    )
    client_attesters: tuple[Any, ...] = _option(
        (),
        "The parties that attest instances of clients, each a JWK set or the https URL of one. Clients can then have "
        "the token_endpoint_auth_method attest_jwt_client_auth. Needs flask_oauth2[jose].",
        "draft-ietf-oauth-attestation-based-client-auth 8, 9.8",
    )
    status_lists: bool = _option(
        False,
        "JSON Web Tokens name a status list, which the server publishes, so that resource servers learn of revocations "
        "without asking for each token. Each token is a row.",
        "draft-ietf-oauth-status-list 6.2",
    )
    status_list_ttl: int = _option(
        300,
        "Seconds for which a status list may be cached, from 15 to 3600. A revocation reaches resource servers within "
        "twice this time.",
        "draft-ietf-oauth-status-list 13.7",
    )
    secret_keys: tuple[bytes, ...] = field(default=(), metadata={"doc": "", "rule": ""}, repr=False)

    @property
    def longest_lifetime(self) -> int:
        """The longest lifetime of codes and tokens in seconds."""
        grants = max(self.authorization_code_lifetime, self.device_code_lifetime)
        return max(grants, self.access_token_lifetime, self.refresh_token_lifetime)

    @classmethod
    def load(cls, config: Mapping[str, Any], *, warns: bool = True) -> Settings:
        """Read the ``OAUTH2_*`` keys and the secret keys of an application's configuration.

        Raise :exc:`ConfigurationError` for an invalid value. Unless ``warns`` is false, warn about keys that are
        probably misspelled options. Ignore all other keys: an application that is also a client has ``OAUTH2_*`` keys
        for this purpose.
        """
        options = {f"OAUTH2_{name.upper()}": name for name in OPTIONS}
        given = {options[key]: value for key, value in config.items() if key in options and value is not None}
        if warns:
            for unknown in find_unknown(config):
                if unknown.is_likely_ours:
                    warnings.warn(unknown.what, stacklevel=3)
        for name, value in given.items():
            given[name] = _CHECKS[name](f"OAUTH2_{name.upper()}", value)
        fallbacks = config.get("SECRET_KEY_FALLBACKS") or ()
        if isinstance(fallbacks, str | bytes) or not all(fallbacks):
            raise ConfigurationError("SECRET_KEY_FALLBACKS must be a list of non-empty keys")
        secret = config.get("SECRET_KEY")
        keys = (*fallbacks, secret) if secret else ()
        return cls(**given, secret_keys=tuple(key.encode() if isinstance(key, str) else key for key in keys))


OPTIONS = {option.name: option for option in fields(Settings) if option.name != "secret_keys"}
"""The options by name. The metadata of each dataclass field has its description and its specification section."""


OF_ALL_ISSUERS = frozenset(
    {"issuer", "database_uri", "database_engine_options", "read_replica", "redis_url", "redis_prefix", "metrics"}
)
"""The options that an :class:`~flask_oauth2.Issuer` cannot set: all issuers share the store and the metrics."""


def default(name: str) -> Any:
    """Return the default of an option."""
    option = OPTIONS[name]
    return option.default if option.default is not MISSING else DEFAULT_PREFIXES if name == "token_prefixes" else {}


_MOVED = {
    "OAUTH2_PROVIDER_TOKEN_EXPIRES_IN": "OAUTH2_ACCESS_TOKEN_LIFETIME says it, in seconds",
    "OAUTH2_PROVIDER_TOKEN_GENERATOR": "provider.register_token_format() adds a format of your own",
    "OAUTH2_PROVIDER_REFRESH_TOKEN_GENERATOR": "refresh tokens are made here",
    "OAUTH2_PROVIDER_ERROR_URI": "the extension shows errors with templates/oauth2/error.html",
    "OAUTH2_PROVIDER_ERROR_ENDPOINT": "the extension shows errors with templates/oauth2/error.html",
    "OAUTH2_CACHE_TYPE": "codes are kept with the tokens",
    "OAUTH2_SCOPES_SUPPORTED": "OAUTH2_SCOPES says it, with a description of each",
    "OAUTH2_TOKEN_EXPIRES_IN": "OAUTH2_ACCESS_TOKEN_LIFETIME says it, in seconds",
    "OAUTH2_ACCESS_TOKEN_GENERATOR": "OAUTH2_ACCESS_TOKEN_FORMAT and register_token_format() say how tokens are made",
    "OAUTH2_REFRESH_TOKEN_GENERATOR": "refresh tokens are issued to clients with the grant refresh_token",
    "OAUTH2_ERROR_URIS": "errors have no page of their own here",
}
"""Options of other OAuth 2.0 libraries, and their replacements."""


class UnknownOption(NamedTuple):
    """An ``OAUTH2_*`` key of the configuration that this extension does not read."""

    what: str
    """One sentence with the name, the reason and the fix."""
    is_likely_ours: bool
    """True if the key is probably a misspelled option or an option of another provider library."""


_CLOSE = 0.85
"""The similarity of two names, without ``OAUTH2_``, from which one is probably a misspelling of the other."""


def find_unknown(config: Mapping[str, Any]) -> Iterator[UnknownOption]:
    """Yield the ``OAUTH2_*`` keys of a configuration that are not options of this extension."""
    prefix = "OAUTH2_"
    names = [name.upper() for name in OPTIONS]
    for key in config:
        if not key.startswith(prefix) or key.removeprefix(prefix) in names:
            continue
        if key in _MOVED:
            yield UnknownOption(f"{key} has no effect in flask_oauth2: {_MOVED[key]}", True)
            continue
        from difflib import get_close_matches  # rarely needed

        close = get_close_matches(key.removeprefix(prefix), names, n=1, cutoff=_CLOSE)
        hint = f"did you mean {prefix}{close[0]}?" if close else "it is not an option of flask_oauth2"
        yield UnknownOption(f"{key} has no effect in flask_oauth2: {hint}", bool(close))


SIGNING_ALGORITHMS = tuple(
    [f"{kind}{bits}" for kind in ("ES", "RS", "PS") for bits in (256, 384, 512)] + ["EdDSA", "Ed25519"]
)
"""The signature algorithms whose keys are published."""


_PATH = re.compile(r"(?:/[A-Za-z0-9\-._~!$&'()*+,;=:@%/]*)?\Z")


def _issuer(name: str, value: Any) -> str:
    parts = urls.parse(value) if isinstance(value, str) and not set(value) & {"?", "#"} else None
    if parts is None or parts.scheme not in urls.WEB_SCHEMES or not _PATH.match(parts.path):
        raise ConfigurationError(f"{name} must be a URL without query and fragment, such as https://login.example")
    fault = urls.find_host_fault(value)
    if fault is not None:
        raise ConfigurationError(f"{name} {fault}. Set it to a URL such as https://login.example")
    if not urls.is_https(value) and not urls.is_loopback(value):
        raise ConfigurationError(
            f"{name} must begin with https:// (RFC 8414 section 2). http is allowed only for loopback hosts"
        )
    # clients compare issuers as strings, so scheme and host are normalized
    return f"{parts.scheme}://{parts.netloc.lower()}{parts.path}"


def _scope_descriptions(name: str, value: Any) -> Mapping[str, str]:
    if not isinstance(value, Mapping):
        raise ConfigurationError(f"{name} must be a dict of scope to description, such as {{'profile': 'Your name'}}")
    _scope(name, value)
    return {str(scope): str(description) for scope, description in value.items()}


def _scope(name: str, value: Any) -> Scope:
    try:
        return scopes.parse_option(value)
    except (TypeError, ValueError) as error:
        raise ConfigurationError(f"{name}: {error}") from None


def full_grant_type(name: str) -> str:
    """Return the grant type for a name. ``device_code`` is short for the URN of the device authorization grant."""
    return _SHORT_NAMES.get(name, name)


def _grant_types(name: str, value: Any) -> tuple[str, ...]:
    given = () if isinstance(value, str) else tuple(map(full_grant_type, value))
    if isinstance(value, str) or not set(given) <= set(GRANT_TYPES):
        raise ConfigurationError(
            f"{name} must be a list of grant types: {', '.join(GRANT_TYPES)}. Register an extension grant with "
            "@provider.grant_type()"
        )
    return tuple(dict.fromkeys(given))


def _choice(*choices: str) -> Any:
    def check(name: str, value: Any) -> str:
        if value not in choices:
            raise ConfigurationError(f"{name} must be one of {', '.join(choices)}, not {value!r}")
        return str(value)

    return check


def _seconds(least: int, most: int | None = None) -> Any:
    def check(name: str, value: Any) -> int:
        if not isinstance(value, int) or isinstance(value, bool) or value < least or (most and value > most):
            limit = f"from {least} to {most}" if most else f"of {least} or more"
            raise ConfigurationError(f"{name} must be a whole number {limit}, not {value!r}")
        return value

    return check


def _flag(name: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise ConfigurationError(f"{name} must be True or False, not {value!r}")
    return value


_HOST = re.compile(r"([A-Za-z0-9.\-]+|\[[0-9A-Fa-f:.]+\])(:([0-9]{1,5}|\*))?\Z")


def _hosts(name: str, value: Any) -> tuple[str, ...]:
    if not isinstance(value, list | tuple) or not all(isinstance(host, str) and _HOST.match(host) for host in value):
        raise ConfigurationError(f"{name} must be a list of hosts, such as ['localhost:*', 'clients.intranet']")
    return tuple(host.lower() for host in value)


def _text(name: str, value: Any) -> str:
    if not isinstance(value, str) or not value or '"' in value or "\\" in value or not value.isprintable():
        raise ConfigurationError(f"{name} must be printable text without quotes and backslashes, not {value!r}")
    return value


def _header(name: str, value: Any) -> str:
    if not isinstance(value, str) or not re.fullmatch(r"[A-Za-z0-9-]*", value):
        raise ConfigurationError(f"{name} must be the name of a header, such as X-Client-Cert, not {value!r}")
    return value


def _uri(name: str, value: Any) -> str:
    if not isinstance(value, str):  # a URL object of SQLAlchemy hides its password when converted to a string
        raise ConfigurationError(f"{name} must be text, such as postgresql+psycopg://user@host/name")
    return value


def _keywords(name: str, value: Any) -> Mapping[str, Any]:
    if not isinstance(value, Mapping) or not all(isinstance(keyword, str) for keyword in value):
        raise ConfigurationError(f"{name} must be a dict of arguments of create_engine(), such as {{'pool_size': 10}}")
    return dict(value)


def _metrics(name: str, value: Any) -> str:
    metrics.check(value)
    return str(value)


def _replica(name: str, value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise ConfigurationError(f"{name} must be a database URI or, with db=, a name in SQLALCHEMY_BINDS")
    return value


def _redis_url(name: str, value: Any) -> str:
    if not isinstance(value, str) or not value.startswith(("redis://", "rediss://", "unix://")):
        # the message omits the value, which may contain a password
        raise ConfigurationError(f"{name} must be text that begins with redis://, rediss:// or unix://")
    return value


def _prefixes(name: str, value: Any) -> Mapping[str, str]:
    if not isinstance(value, Mapping) or not set(value) <= set(DEFAULT_PREFIXES):
        raise ConfigurationError(f"{name} must be a dict. Its keys can be: {', '.join(DEFAULT_PREFIXES)}")
    prefixes = {**DEFAULT_PREFIXES, **value}
    for prefix in prefixes.values():
        if not isinstance(prefix, str) or not prefix.isascii() or not prefix.isalnum() or prefix != prefix.lower():
            raise ConfigurationError(f"{name}: {prefix!r} must be lower-case letters and digits")
    if len(set(prefixes.values())) < len(prefixes):
        raise ConfigurationError(f"{name}: two kinds of values have the same prefix. Give each a different one")
    return prefixes


_RESOURCE_KEYS = ("scopes", "format", "prefix", "name", "encryption_key")


def _resources(name: str, value: Any) -> Mapping[str, Mapping[str, Any]]:
    is_valid = isinstance(value, Mapping) and all(
        isinstance(url, str) and isinstance(options, Mapping) and set(options) <= set(_RESOURCE_KEYS)
        for url, options in value.items()
    )
    if not is_valid:
        raise ConfigurationError(
            f"{name} must be a dict of URL to dict, such as {{'https://files.example': {{'scopes': ['files']}}}}. Its "
            f"keys can be: {', '.join(_RESOURCE_KEYS)}"
        )
    return {url: dict(options) for url, options in value.items()}


def _origins(name: str, value: Any) -> tuple[str, ...]:
    given = [] if isinstance(value, str) else list(value)
    if isinstance(value, str) or not all(map(_is_origin, given)):
        raise ConfigurationError(
            f"{name} must be a list of origins such as ['https://app.example'], without paths and wildcards"
        )
    # browsers send origins in lower case and without the default port
    return tuple(map(urls.origin, given))


def _origin(name: str, value: Any) -> str:
    if not _is_origin(value) or not (urls.is_https(value) or urls.is_loopback(value)):
        raise ConfigurationError(f"{name} must be an https origin without a path, such as https://mtls.login.example")
    return urls.origin(value)


def _is_origin(value: object) -> bool:
    parts = urls.parse(value) if isinstance(value, str) else None
    if parts is None or parts.scheme not in urls.WEB_SCHEMES or parts.path or set(str(value)) & {"?", "#"}:
        return False
    return urls.find_host_fault(str(value)) is None


def _signing_algorithms(name: str, value: Any) -> tuple[str, ...]:
    if isinstance(value, str) or not value or not all(one in SIGNING_ALGORITHMS for one in value):
        raise ConfigurationError(f"{name} must be a list of algorithms of: {', '.join(SIGNING_ALGORITHMS)}")
    return tuple(dict.fromkeys(value))


_SIGNER = ("kid", "alg", "public_jwk", "sign")


def _signing_keys(name: str, value: Any) -> tuple[Any, ...]:
    given = [] if isinstance(value, str | bytes | Mapping) else list(value)
    for key in given:
        if not isinstance(key, str | bytes | Mapping) and not all(hasattr(key, member) for member in _SIGNER):
            given = []
    if not given:  # the values are secret
        raise ConfigurationError(
            f"{name} must be a list of keys: PEM text, JWK dicts, or objects with {', '.join(_SIGNER)}"
        )
    return tuple(given)


def _key_sets(name: str, value: Any) -> tuple[Any, ...]:
    given = list(value) if isinstance(value, list | tuple) else [None]
    for one in given:
        is_url = isinstance(one, str) and (urls.is_https(one) or urls.is_loopback(one))
        if not is_url and not (isinstance(one, Mapping) and isinstance(one.get("keys"), list)):
            raise ConfigurationError(f"{name} must be a list of JWK sets and of https URLs of JWK sets")
    return tuple(given)


SHORTEST_ROTATION = 7200


def _period(name: str, value: Any) -> int:
    seconds = int(value.total_seconds()) if isinstance(value, timedelta) else value
    period: int = _seconds(SHORTEST_ROTATION, _TEN_YEARS)(name, seconds)
    return period


_TEN_YEARS = 315_360_000

_CHECKS: dict[str, Any] = {
    "issuer": _issuer,
    "scopes": _scope_descriptions,
    "default_scope": _scope,
    "grant_types": _grant_types,
    "pkce_required": _choice("all", "public"),
    "authorization_code_lifetime": _seconds(1, 600),
    "device_code_lifetime": _seconds(60, 3600),
    "device_interval": _seconds(1, 60),
    "access_token_lifetime": _seconds(1, _TEN_YEARS),
    "refresh_token_lifetime": _seconds(1, _TEN_YEARS),
    "refresh_token_grace_period": _seconds(0, 3600),
    "refresh_token_grace_period_public": _seconds(0, 3600),
    "access_token_format": _text,
    "default_audience": _text,
    "resources": _resources,
    "token_prefixes": _prefixes,
    "database_engine_options": _keywords,
    "token_cache_ttl": _seconds(0, 60),
    "token_in_body": _flag,
    "guard_checks_user": _flag,
    "dpop": _choice("off", "optional", "required"),
    "dpop_nonces": _flag,
    "client_certificate_header": _header,
    "client_certificate_format": _choice("pem", "der", "envoy"),
    "client_certificate_verify_header": _header,
    "mutual_tls": _flag,
    "mutual_tls_origin": _origin,
    "acr_values": _scope,
    "realm": _text,
    "max_failed_attempts": _seconds(1, 1_000_000),
    "failed_attempt_window": _seconds(1, _TEN_YEARS),
    "par_lifetime": _seconds(5, 600),
    "require_pushed_authorization_requests": _flag,
    "client_assertion_endpoint_audience": _flag,
    "client_id_metadata_documents": _flag,
    "client_id_metadata_document_allowed_hosts": _hosts,
    "login_view": _text,
    "database_uri": _uri,
    "read_replica": _replica,
    "metrics": _metrics,
    "redis_url": _redis_url,
    "redis_prefix": _text,
    "cors_origins": _origins,
    "dynamic_registration": _choice("off", "token", "open"),
    "registration_scopes": _scope,
    "registrations_per_hour": _seconds(1, 1_000_000),
    "unused_client_lifetime": _seconds(0, _TEN_YEARS),
    "developer_pages": _flag,
    "max_clients_per_developer": _seconds(1, 10_000),
    "service_documentation": _text,
    "signing_algorithms": _signing_algorithms,
    "signing_keys": _signing_keys,
    "key_rotation_period": _period,
    "client_attesters": _key_sets,
    "status_lists": _flag,
    "status_list_ttl": _seconds(15, 3600),
}
