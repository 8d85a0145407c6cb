"""Options are checked at start, and a mistake names the option and the hint."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from flask_oauth2 import ConfigurationError
from flask_oauth2.settings import DEFAULT_PREFIXES, DEVICE_CODE, OPTIONS, Settings


def test_the_defaults_are_safe() -> None:
    settings = Settings.load({})
    assert settings.pkce_required == "all"
    assert settings.grant_types == ("authorization_code", "client_credentials", "refresh_token")
    assert settings.authorization_code_lifetime <= 600
    assert settings.access_token_lifetime <= 3600
    assert settings.refresh_token_grace_period_public is None
    assert settings.token_cache_ttl == 0
    assert settings.token_in_body is False


class Signer:
    """A key that the application signs with."""

    kid, alg = "1", "ES256"

    def public_jwk(self) -> dict[str, str]:
        return {}

    def sign(self, data: bytes) -> bytes:
        return data


GOOD: dict[str, list[Any]] = {
    "issuer": ["https://login.example", "https://login.example/eu", "http://localhost:5000", "http://127.0.0.1"],
    "scopes": [{"a": "A"}, {}],
    "default_scope": ["a b", ["a", "b"]],
    "grant_types": [["authorization_code"], ("password",), ["device_code"], [DEVICE_CODE]],
    "pkce_required": ["all", "public"],
    "authorization_code_lifetime": [1, 600],
    "access_token_lifetime": [60],
    "refresh_token_lifetime": [60],
    "refresh_token_grace_period": [0, 60],
    "refresh_token_grace_period_public": [0, 5],
    "access_token_format": ["opaque", "signed"],
    "default_audience": ["https://api.example"],
    "resources": [{}, {"https://files.example": {"scopes": ["profile"]}}],
    "token_prefixes": [{"code": "acme"}],
    "token_cache_ttl": [0, 60],
    "token_in_body": [True],
    "guard_checks_user": [True, False],
    "dpop": ["off", "optional", "required"],
    "dpop_nonces": [True, False],
    "client_certificate_header": ["X-Client-Cert", ""],
    "client_certificate_format": ["pem", "der", "envoy"],
    "client_certificate_verify_header": ["X-Client-Verify", "always", ""],
    "mutual_tls": [True, False],
    "mutual_tls_origin": ["https://mtls.login.example", "https://login.example:8443", "http://127.0.0.1:5001"],
    "acr_values": ["urn:example:two-factor", ["a", "b"]],
    "realm": ["api"],
    "device_code_lifetime": [60, 600, 3600],
    "device_interval": [1, 60],
    "max_failed_attempts": [1],
    "failed_attempt_window": [1],
    "par_lifetime": [5, 600],
    "require_pushed_authorization_requests": [True, False],
    "client_assertion_endpoint_audience": [True, False],
    "client_id_metadata_documents": [True, False],
    "client_id_metadata_document_allowed_hosts": [["127.0.0.1:8000", "[::1]:8000"], ("clients.intranet",), []],
    "login_view": ["login", "/login"],
    "database_uri": ["sqlite:///x"],
    "database_engine_options": [{}, {"connect_args": {"prepare_threshold": None}}],
    "read_replica": ["postgresql+psycopg://reader@replica/name", "copy"],
    "metrics": ["prometheus", "opentelemetry"],
    "redis_url": ["redis://127.0.0.1:6379/0", "rediss://:secret@redis.example", "unix:///run/redis.sock"],
    "redis_prefix": ["notes:"],
    "cors_origins": [["https://app.example", "http://localhost:3000"], ()],
    "dynamic_registration": ["off", "token", "open"],
    "registration_scopes": ["a b", ["a"], []],
    "registrations_per_hour": [1, 1000],
    "unused_client_lifetime": [0, 60],
    "developer_pages": [True, False],
    "max_clients_per_developer": [1, 10_000],
    "service_documentation": ["https://docs.example"],
    "client_attesters": [[], [{"keys": []}, "https://attester.example/jwks"]],
    "status_lists": [True, False],
    "status_list_ttl": [15, 3600],
    "signing_algorithms": [["ES256"], ("PS256", "EdDSA")],
    "signing_keys": [["-----BEGIN PRIVATE KEY-----"], [b"-----BEGIN"], ({"kty": "EC"},), [Signer()]],
    "key_rotation_period": [7200, 86400, timedelta(days=90)],
}

BAD: dict[str, list[Any]] = {
    "issuer": [
        "login.example",
        "http://login.example",
        "https://a.example?x=1",
        "https://a.example#x",
        7,
        "https://",
        "https://user@a.example",
        "ftp://a.example",
    ],
    "scopes": [["a"], "a b", {"a b": "x"}, {'"': "x"}],
    "default_scope": ['a"', 7],
    "grant_types": ["authorization_code", [7], ["device"], ["urn:x:y"]],
    "pkce_required": ["none", True],
    "authorization_code_lifetime": [0, 601, "60", True, 1.5],
    "access_token_lifetime": [0, -1],
    "refresh_token_lifetime": [0],
    "refresh_token_grace_period": [-1],
    "refresh_token_grace_period_public": [-1],
    "access_token_format": [7],
    "default_audience": [7, ""],
    "resources": [
        7,
        ["https://files.example"],
        {7: {}},
        {"https://a.example": 7},
        {"https://a.example": {"scope": "a"}},
    ],
    "token_prefixes": [{"nonsense": "x"}, {"code": "a_b"}, {"code": "ort"}, {"code": ""}, "x"],
    "token_cache_ttl": [-1, 61, "5", True, 1.5],
    "token_in_body": ["yes", 1],
    "guard_checks_user": ["yes", 1],
    "dpop": ["on", True, ""],
    "dpop_nonces": ["yes", 1],
    "client_certificate_header": ["X Cert", "X-Cert:", 7],
    "client_certificate_format": ["nginx", "", True],
    "client_certificate_verify_header": ["X Verify", "SSL_CLIENT_VERIFY", 7],
    "mutual_tls": ["yes", 1],
    "mutual_tls_origin": ["mtls.login.example", "http://mtls.login.example", "https://mtls.login.example/x", 7, ""],
    "acr_values": ['a"', 7],
    "realm": ['a"b', "", 7],
    "device_code_lifetime": [0, 59, 3601, "600", True],
    "device_interval": [0, 61, 1.5],
    "max_failed_attempts": [0],
    "failed_attempt_window": [0],
    "par_lifetime": [4, 601, "60", True],
    "require_pushed_authorization_requests": ["yes", 1],
    "client_assertion_endpoint_audience": ["yes", 1],
    "client_id_metadata_documents": ["yes", 1],
    "client_id_metadata_document_allowed_hosts": ["127.0.0.1", ["https://a.example"], ["a.example/c"], [7], ["a:b"], 7],
    "login_view": [""],
    "database_uri": [7],
    "database_engine_options": ["pool_size=1", {1: 2}, [("pool_size", 1)]],
    "read_replica": [7, ""],
    "metrics": ["graphite", 7],
    "redis_url": [7, "127.0.0.1:6379", "http://127.0.0.1"],
    "redis_prefix": ["", 7],
    "cors_origins": [
        "https://app.example",
        ["*"],
        ["https://app.example/"],
        ["https://app.example/x"],
        ["app.example"],
        [7],
    ],
    "dynamic_registration": ["on", True, ""],
    "registration_scopes": ['a"', 7],
    "registrations_per_hour": [0, "5", True],
    "unused_client_lifetime": [-1, 1.5],
    "developer_pages": ["yes", 1],
    "max_clients_per_developer": [0, 10_001, "5", True],
    "service_documentation": [7],
    "signing_algorithms": [[], "ES256", ["none"], ["HS256"], ["es256"], [7], [["ES256"]]],
    "client_attesters": ["https://a.example", [7], [{}], ["http://a.example"], {"keys": []}],
    "status_lists": ["yes", 1],
    "status_list_ttl": [0, 14, 3601, "300", True],
    "signing_keys": [[], "-----BEGIN PRIVATE KEY-----", {"kty": "EC"}, [7], [None], ["x", object()]],
    "key_rotation_period": [0, 7199, "90 days", True, timedelta(seconds=7199)],
}


def test_every_option_is_tried_here() -> None:
    assert set(GOOD) == set(BAD) == set(OPTIONS)
    for name, option in OPTIONS.items():
        assert option.metadata["doc"], name


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, good in GOOD.items() for value in good])
def test_a_good_value_is_taken(name: str, value: Any) -> None:
    Settings.load({f"OAUTH2_{name.upper()}": value})


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, bad in BAD.items() for value in bad])
def test_a_bad_value_is_refused_by_the_name_of_its_option(name: str, value: Any) -> None:
    with pytest.raises(ConfigurationError, match=f"OAUTH2_{name.upper()}"):
        Settings.load({f"OAUTH2_{name.upper()}": value})


def test_none_is_as_good_as_absent() -> None:
    assert Settings.load({f"OAUTH2_{name.upper()}": None for name in OPTIONS}) == Settings.load({})


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("OAUTH2_ACCES_TOKEN_LIFETIME", "OAUTH2_ACCESS_TOKEN_LIFETIME"),
        ("OAUTH2_ISUER", "OAUTH2_ISSUER"),
        ("OAUTH2_SCOPE", "OAUTH2_SCOPES"),
        ("OAUTH2_DATABASE_URL", "OAUTH2_DATABASE_URI"),
        ("OAUTH2_GRANT_TYPE", "OAUTH2_GRANT_TYPES"),
    ],
)
def test_a_misspelled_name_is_warned_about_with_the_right_name(name: str, meant: str) -> None:
    with pytest.warns(UserWarning, match=f"{name} has no effect in flask_oauth2: did you mean {meant}"):
        assert Settings.load({name: "x"}) == Settings.load({})


@pytest.mark.parametrize(
    "name",
    [
        *("OAUTH2_REDIRECT_URL", "OAUTH2_REDIRECT_URI", "OAUTH2_ACCESS_TOKEN_URL", "OAUTH2_AUTHORIZE_URL"),
        *("OAUTH2_CLIENT_ID", "OAUTH2_CLIENT_SECRET", "OAUTH2_PROVIDERS", "OAUTH2_TOKEN_URL", "OAUTH2_API_BASE_URL"),
        *("OAUTH2_REFRESH_TOKEN_URL", "OAUTH2_CLIENT_KWARGS", "OAUTH2_USERINFO_ENDPOINT", "OAUTH2_LOGOUT_URL"),
        *("OAUTH2_PROXY_URL", "OAUTH2_REQUEST_TOKEN_URL", "OAUTH2_SERVER_METADATA_URL", "OAUTH2_SOMETHING"),
    ],
)
def test_a_name_of_another_part_of_the_application_is_ignored(name: str, recwarn: pytest.WarningsRecorder) -> None:
    assert Settings.load({name: "https://other.example"}) == Settings.load({})
    assert list(recwarn) == []


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("OAUTH2_PROVIDER_TOKEN_EXPIRES_IN", "OAUTH2_ACCESS_TOKEN_LIFETIME"),
        ("OAUTH2_PROVIDER_ERROR_URI", "templates/oauth2/error.html"),
        ("OAUTH2_SCOPES_SUPPORTED", "OAUTH2_SCOPES"),
        ("OAUTH2_REFRESH_TOKEN_GENERATOR", "refresh_token"),
    ],
)
def test_a_name_of_another_library_is_warned_about_with_what_to_use(name: str, hint: str) -> None:
    with pytest.warns(UserWarning, match=f"{name} has no effect in flask_oauth2: .*{hint}"):
        Settings.load({name: "x"})


def test_names_are_warned_about_once(recwarn: pytest.WarningsRecorder) -> None:
    Settings.load({"OAUTH2_SOMETHING": 1, "OAUTH2_SCOPES_SUPPORTED": 1}, warns=False)
    assert list(recwarn) == []
    Settings.load({"OAUTH2_ISUER": "x"}, warns=False)
    assert list(recwarn) == []


def test_secret_keys_are_oldest_first_and_never_shown() -> None:
    settings = Settings.load({"SECRET_KEY": "new", "SECRET_KEY_FALLBACKS": ["old", b"bytes"]})
    assert settings.secret_keys == (b"old", b"bytes", b"new")
    assert "old" not in repr(settings)
    assert "private" not in repr(Settings.load({"OAUTH2_SIGNING_KEYS": ["private"]}))


@pytest.mark.parametrize("fallbacks", ["old", b"old", [""], ["old", None]])
def test_fallback_keys_that_anybody_could_guess_are_refused(fallbacks: Any) -> None:
    with pytest.raises(ConfigurationError, match="SECRET_KEY_FALLBACKS"):
        Settings.load({"SECRET_KEY": "new", "SECRET_KEY_FALLBACKS": fallbacks})


@pytest.mark.parametrize("issuer", ["https://a.example\n", " https://a.example", "https://a.example:x", "https://a b"])
def test_an_issuer_is_a_url_and_nothing_else(issuer: str) -> None:
    with pytest.raises(ConfigurationError, match="OAUTH2_ISSUER"):
        Settings.load({"OAUTH2_ISSUER": issuer})


@pytest.mark.spec("rfc8414", "2")
@pytest.mark.parametrize(
    ("issuer", "expected"),
    [
        ("HTTPS://Login.Example/Auth", "https://login.example/Auth"),
        ("HTTP://LOCALHOST:5000", "http://localhost:5000"),
        ("https://[2606:2800:220:1::AB]:8443", "https://[2606:2800:220:1::ab]:8443"),
        ("https://login.example/", "https://login.example/"),
    ],
)
def test_scheme_and_host_of_an_issuer_are_lower_case(issuer: str, expected: str) -> None:
    assert Settings.load({"OAUTH2_ISSUER": issuer}).issuer == expected


@pytest.mark.parametrize(
    "host",
    ["login%2eexample", "2130706433", "login.example.", "login.example:0443", "[::ffff:7f00:1]", "xn--login-.ch"],
)
def test_hosts_that_browsers_change_are_rejected(host: str) -> None:
    with pytest.raises(ConfigurationError, match="OAUTH2_ISSUER"):
        Settings.load({"OAUTH2_ISSUER": f"https://{host}"})
    with pytest.raises(ConfigurationError, match="OAUTH2_CORS_ORIGINS"):
        Settings.load({"OAUTH2_CORS_ORIGINS": [f"https://{host}"]})


def test_browser_origins_are_as_browsers_write_them() -> None:
    given = ["HTTPS://App.Example:443", "http://localhost:80", "https://app.example:8443"]
    expected = ("https://app.example", "http://localhost", "https://app.example:8443")
    assert Settings.load({"OAUTH2_CORS_ORIGINS": given}).cors_origins == expected


@pytest.mark.spec("rfc8628", "4")
def test_the_device_grant_has_a_short_spelling() -> None:
    named = Settings.load({"OAUTH2_GRANT_TYPES": ["device_code", "refresh_token", DEVICE_CODE]}).grant_types
    assert named == ("urn:ietf:params:oauth:grant-type:device_code", "refresh_token")
    assert DEVICE_CODE not in Settings.load({}).grant_types


def test_prefixes_are_completed() -> None:
    assert Settings.load({"OAUTH2_TOKEN_PREFIXES": {"code": "acme"}}).token_prefixes == {
        **DEFAULT_PREFIXES,
        "code": "acme",
    }
