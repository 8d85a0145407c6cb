"""Metrics: ``OAUTH2_METRICS``."""

from __future__ import annotations

import re
import subprocess
import sys
from base64 import b64encode
from collections.abc import Callable, Iterator
from io import BytesIO
from typing import Any

import pytest
from devices import Device, Person, add_device_client
from opentelemetry import metrics as opentelemetry
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from prometheus_client import REGISTRY

from flask_oauth2 import ConfigurationError, MemoryStore, metrics
from flask_oauth2.settings import DEVICE_CODE
from oauth_site import Site, make_site


@pytest.fixture
def site(new_site: Callable[..., Site]) -> Site:
    return new_site(OAUTH2_METRICS="prometheus", OAUTH2_SCOPES={})


@pytest.fixture
def counted() -> Callable[..., float]:
    """Return the increase of a counter since the start of the test."""

    def value(name: str, labels: dict[str, str]) -> float:
        return REGISTRY.get_sample_value(name, labels) or 0.0

    before: dict[str, float] = {}
    for family in REGISTRY.collect():
        before.update({f"{sample.name}{sorted(sample.labels.items())}": sample.value for sample in family.samples})

    def count(name: str, **labels: str) -> float:
        return value(name, labels) - before.get(f"{name}{sorted(labels.items())}", 0.0)

    return count


def requests_of(counted: Callable[..., float], endpoint: str, **labels: str) -> float:
    return counted(
        "flask_oauth2_requests_total",
        **{"endpoint": endpoint, "grant_type": "", "client": "", "error": "", **labels},
    )


def test_requests_are_counted_by_endpoint_grant_client_and_error(site: Site, counted: Callable[..., float]) -> None:
    secret = site.add_client()
    site.add_client("public", None)
    tokens = site.tokens(secret)
    site.refresh(tokens["refresh_token"], secret)
    site.tokens(client_id="public")
    site.call(tokens["access_token"])
    site.post("/introspect", ("web", secret), token=tokens["access_token"])
    site.post("/revoke", ("web", secret), token=tokens["access_token"])
    site.call(tokens["access_token"])
    site.redeem("oac_wrong", ("web", secret))
    site.token("client_credentials", ("web", "wrong"))
    site.token("password_of_a_stranger", ("web", secret))
    site.http.get("/.well-known/oauth-authorization-server")
    site.ask(prompt="none", scope="write")
    ours = {"client": "confidential"}
    code = {"grant_type": "authorization_code"}
    expected = [
        (("token", ours | code), 1),
        (("token", code | {"client": "public"}), 1),
        (("token", ours | {"grant_type": "refresh_token"}), 1),
        (("token", ours | code | {"error": "invalid_grant"}), 1),
        (("token", {"grant_type": "client_credentials", "error": "invalid_client"}), 1),
        (("token", ours | {"error": "unsupported_grant_type"}), 1),
        (("introspection", ours), 1),
        (("revocation", ours), 1),
        (("metadata", {}), 1),
        (("resource", {}), 1),
        (("resource", {"error": "invalid_token"}), 1),
        (("consent", {}), 2),
        (("authorize", {}), 2),
        (("authorize", {"error": "consent_required"}), 1),
    ]
    assert [requests_of(counted, endpoint, **labels) for (endpoint, labels), _ in expected] == [n for _, n in expected]
    assert counted("flask_oauth2_request_seconds_count", endpoint="token", grant_type="refresh_token") == 1
    assert counted("flask_oauth2_request_seconds_sum", endpoint="token", grant_type="refresh_token") > 0


def test_events_are_counted(site: Site, counted: Callable[..., float]) -> None:
    secret = site.add_client()
    code = site.authorize()["code"]
    site.redeem(code, ("web", secret))
    site.redeem(code, ("web", secret))
    site.authorize(scope="mail", prompt="consent")
    events = ("token_issued", "code_replayed", "consent_given", "consent_denied")
    assert [counted("flask_oauth2_events_total", event=event) for event in events] == [1, 1, 2, 0]


@pytest.mark.spec("rfc8628", "3.5")
def test_a_waiting_device_is_counted_as_waiting(new_site: Callable[..., Site], counted: Callable[..., float]) -> None:
    site = new_site(OAUTH2_METRICS="prometheus", OAUTH2_GRANT_TYPES=["device_code"])
    add_device_client(site)
    device = Device(site)
    for _ in range(2):
        device.poll()
    Person(site).decide(device.user_code)
    device.poll()
    assert requests_of(counted, "device_authorization", client="public") == 1
    polls = {"client": "public", "grant_type": DEVICE_CODE}
    for error in ("authorization_pending", "slow_down", ""):
        assert requests_of(counted, "token", **polls, error=error) == 1
    assert requests_of(counted, "device") == 4
    for event in ("device_code_issued", "consent_given", "token_issued"):
        assert counted("flask_oauth2_events_total", event=event) == 1


def test_strangers_make_no_new_series(site: Site) -> None:
    def series() -> int:
        return sum(len(list(family.samples)) for family in REGISTRY.collect())

    def come(number: int) -> int:
        site.token(f"grant-{number}", ("web", secret))
        site.token("client_credentials", (f"client-{number}", "wrong"))
        return series()

    secret = site.add_client()
    assert come(1) == come(2)


def test_a_body_that_cannot_be_read_is_counted_too(site: Site, counted: Callable[..., float]) -> None:
    site.http.post("/oauth/token", data={"grant_type": "x" * 70_000})
    site.http.post("/oauth/token", data=b"\xff", content_type="application/x-www-form-urlencoded")
    assert requests_of(counted, "token", error="invalid_request") == 2


def test_an_exception_of_the_applications_own_is_counted(site: Site, counted: Callable[..., float]) -> None:
    def fail() -> None:
        raise LookupError

    site.provider.token_handler(fail)
    secret = site.add_client()
    with pytest.raises(LookupError):
        site.token("client_credentials", ("web", secret))
    labels = {"grant_type": "client_credentials", "client": "confidential", "error": "server_error"}
    assert requests_of(counted, "token", **labels) == 1


def test_a_request_without_a_token_is_no_success(site: Site, counted: Callable[..., float]) -> None:
    assert site.http.get("/api/me").status_code == 401
    assert requests_of(counted, "resource") == 0
    assert requests_of(counted, "resource", error="no_token") == 1


def test_a_form_in_chunks_names_its_grant_too(site: Site, counted: Callable[..., float]) -> None:
    secret = site.add_client()
    basic = b64encode(f"web:{secret}".encode()).decode()
    answer = site.http.post(
        "/oauth/token",
        input_stream=BytesIO(b"grant_type=client_credentials"),
        content_type="application/x-www-form-urlencoded",
        headers={"Authorization": f"Basic {basic}", "Transfer-Encoding": "chunked"},
        environ_overrides={"wsgi.input_terminated": True},
    )
    assert answer.status_code == 200
    assert requests_of(counted, "token", client="confidential", grant_type="client_credentials") == 1


def test_a_failure_of_the_backend_does_not_change_the_response(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    secret = site.add_client()
    site.server.events.metrics.recorder.record_request = site.server.events.metrics.recorder.record_event = fail
    answer = site.token("client_credentials", ("web", secret))
    assert site.is_alive(answer.get_json()["access_token"])
    assert "the metrics backend failed to record a request" in caplog.text
    assert "the metrics backend failed to record an event" in caplog.text


def test_the_text_for_prometheus(site: Site) -> None:
    site.app.add_url_rule("/metrics", view_func=site.provider.metrics)
    site.token("client_credentials", ("web", site.add_client()))
    answer = site.http.get("/metrics")
    assert answer.content_type.startswith("text/plain; version=0.0.4")
    assert re.search(
        r'^flask_oauth2_requests_total\{client="confidential",endpoint="token",error="",'
        r'grant_type="client_credentials"\} [0-9.]+$',
        answer.text,
        re.MULTILINE,
    )
    assert (
        'flask_oauth2_request_seconds_bucket{endpoint="token",grant_type="client_credentials",le="0.0005"}'
        in answer.text
    )


def test_without_prometheus_there_is_no_text(new_site: Callable[..., Site]) -> None:
    site = new_site()
    assert site.server.events.metrics is None
    with site.app.test_request_context(), pytest.raises(ConfigurationError, match='set OAUTH2_METRICS = "prometheus"'):
        site.provider.metrics()


WORKERS = """
import os, sys, tempfile
from flask_oauth2.metrics import open_recorder
from flask_oauth2.metrics.base import Labels
from flask_oauth2.metrics.prometheus import write_text
for _ in range(2):
    if os.fork() == 0:
        open_recorder("prometheus").record_request(Labels("token", "", "public", ""), 0.25)
        os._exit(0)
    os.wait()
sys.stdout.buffer.write(write_text())
"""


def test_workers_are_counted_together(tmp_path: Any) -> None:
    written = subprocess.run(
        [sys.executable, "-c", WORKERS],
        env={"PROMETHEUS_MULTIPROC_DIR": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert 'flask_oauth2_requests_total{client="public",endpoint="token",error="",grant_type=""} 2.0' in written
    assert 'flask_oauth2_request_seconds_sum{endpoint="token",grant_type=""} 0.5' in written


@pytest.fixture
def reader(monkeypatch: pytest.MonkeyPatch) -> Iterator[InMemoryMetricReader]:
    """Record the calls of the OpenTelemetry API, whose global provider can only be set once in a process."""
    reader = InMemoryMetricReader()
    provider = MeterProvider([reader])
    monkeypatch.setattr(opentelemetry._internal, "_METER_PROVIDER", provider)
    yield reader
    provider.shutdown()


def test_opentelemetry_gets_the_same(reader: InMemoryMetricReader, tmp_path: Any) -> None:
    site = make_site(tmp_path, store=MemoryStore(), OAUTH2_METRICS="opentelemetry")
    secret = site.add_client()
    site.token("client_credentials", ("web", secret))
    site.token("client_credentials", ("web", "wrong"))
    data: Any = reader.get_metrics_data()
    found = {
        metric.name: [(dict(point.attributes), point) for point in metric.data.data_points]
        for metric in data.resource_metrics[0].scope_metrics[0].metrics
    }
    requests = [attributes for attributes, point in found["flask_oauth2.requests"] if point.value == 1]
    grant = {"endpoint": "token", "grant_type": "client_credentials"}
    assert requests == [grant | {"client": "confidential"}, grant | {"error": "invalid_client"}]
    [(attributes, point)] = found["flask_oauth2.request.duration"]
    assert (attributes, point.count) == (grant, 2)
    assert [attributes for attributes, _ in found["flask_oauth2.events"]] == [{"event": "token_issued"}]


def test_another_system_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="OAUTH2_METRICS must be one of prometheus, opentelemetry"):
        metrics.check("graphite")


@pytest.mark.parametrize("system", list(metrics.SYSTEMS))
def test_a_missing_package_is_named_with_its_extra(system: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, metrics.SYSTEMS[system][0], None)
    with pytest.raises(ConfigurationError, match=rf"install flask_oauth2\[{system}\]"):
        metrics.check(system)
