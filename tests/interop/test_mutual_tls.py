"""Clients with certificates, and nginx, which verifies them and sends them to the application."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
import requests
from certificates import jwk_of, key_of
from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from requests_oauth2client import InvalidClient, OAuth2Client
from servers import await_port, require, reserve_port
from werkzeug.serving import make_server

from flask_oauth2 import MemoryStore
from oauth_site import Site, make_site

from .test_node import NodeClient, node, refused  # noqa: F401

NGINX = """
daemon off;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{}}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    server {{
        listen 127.0.0.1:{port} ssl;
        ssl_certificate {folder}/server.pem;
        ssl_certificate_key {folder}/server.key;
        ssl_client_certificate {folder}/ca.pem;
        ssl_verify_client optional_no_ca;
        location / {{
            proxy_pass http://127.0.0.1:{upstream};
            proxy_set_header Host $http_host;
            proxy_set_header X-Client-Cert $ssl_client_escaped_cert;
            proxy_set_header X-Client-Verify $ssl_client_verify;
        }}
    }}
}}
"""

MEMBER = "tls_client_certificate_bound_access_tokens"


def write_certificate(folder: Path, name: str, number: int, issuer: int, *names: x509.GeneralName) -> bytes:
    """Write a certificate for the key of a number, and the key. Return the certificate in DER.

    :param issuer: the number of the certificate authority.
    """
    native: Any = key_of(number).native.private_key
    own, signer = (x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, f"{one}")]) for one in (number, issuer))
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(signer, own, native.public_key(), number, now - timedelta(1), now + timedelta(1))
        .add_extension(x509.BasicConstraints(ca=number == issuer and not names, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName(names or [x509.DNSName("ca.example")]), critical=False)
        .sign(key_of(issuer).native.private_key, SHA256())
    )
    (folder / f"{name}.pem").write_bytes(certificate.public_bytes(Encoding.PEM))
    (folder / f"{name}.key").write_bytes(native.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return certificate.public_bytes(Encoding.DER)


@dataclass
class Served:
    """A provider behind nginx."""

    site: Site
    folder: Path
    issuer: str
    """The URL of the application without the proxy."""
    origin: str
    """The URL of the proxy."""

    def session(self, certificate: str | None) -> requests.Session:
        session = requests.Session()
        session.verify = str(self.folder / "ca.pem")
        session.trust_env = False
        if certificate is not None:
            session.cert = (str(self.folder / f"{certificate}.pem"), str(self.folder / f"{certificate}.key"))
        return session

    def client(self, client_id: str, certificate: str | None) -> OAuth2Client:
        return OAuth2Client(
            f"{self.origin}/oauth/token", client_id=client_id, session=self.session(certificate), testing=True
        )

    def call(self, token: str, certificate: str | None) -> int:
        headers = {"Authorization": f"Bearer {token}"}
        with self.session(certificate) as session:
            return session.get(f"{self.origin}/api/me", headers=headers, timeout=10).status_code


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """Yield a provider behind nginx, and the certificates of its clients."""
    program = require(shutil.which("nginx") or "/usr/sbin/nginx", "nginx")
    folder = tmp_path_factory.mktemp("nginx")
    port, upstream = reserve_port(), reserve_port()
    issuer, origin = f"http://127.0.0.1:{upstream}", f"https://127.0.0.1:{port}"
    write_certificate(folder, "ca", 1, 1)
    write_certificate(folder, "server", 2, 1, x509.IPAddress(ip_address("127.0.0.1")))
    write_certificate(folder, "bank", 3, 1, x509.DNSName("bank.example"))
    write_certificate(folder, "forged", 4, 4, x509.DNSName("bank.example"))
    shop = write_certificate(folder, "shop", 5, 5, x509.DNSName("shop.example"))
    site = make_site(
        tmp_path_factory.mktemp("site"),
        store=MemoryStore(),
        OAUTH2_ISSUER=issuer,
        OAUTH2_MUTUAL_TLS=True,
        OAUTH2_MUTUAL_TLS_ORIGIN=origin,
        OAUTH2_CLIENT_CERTIFICATE_HEADER="X-Client-Cert",
        OAUTH2_CLIENT_CERTIFICATE_VERIFY_HEADER="X-Client-Verify",
    )
    grants = {"grant_types": ("client_credentials",), "response_types": (), "scope": ("profile",)}
    bank = {"tls_client_auth_san_dns": "bank.example", MEMBER: True}
    site.add_client("bank", secret=None, auth_method="tls_client_auth", metadata=bank, **grants)
    keys = {"jwks": {"keys": [jwk_of(shop, 5)]}, MEMBER: True}
    site.add_client("shop", secret=None, auth_method="self_signed_tls_client_auth", metadata=keys, **grants)
    server = make_server("127.0.0.1", upstream, site.app, threaded=True)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    (folder / "nginx.conf").write_text(NGINX.format(folder=folder, port=port, upstream=upstream))
    proxy = subprocess.Popen([program, "-c", str(folder / "nginx.conf"), "-e", str(folder / "error.log")])
    try:
        await_port(port)
        yield Served(site, folder, issuer, origin)
    finally:
        proxy.terminate()
        proxy.wait()
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.mark.spec("rfc8705", "2.1")
@pytest.mark.spec("rfc8705", "2.2")
@pytest.mark.spec("rfc8705", "6.5")
def test_nginx_sends_certificates(served: Served) -> None:
    for client_id, certificate in [("bank", "bank"), ("shop", "shop")]:
        token = served.client(client_id, certificate).client_credentials(scope="profile")
        assert token.token_type == "Bearer"
        assert [served.call(token.access_token, one) for one in (certificate, "forged", None)] == [200, 401, 401]
    for client_id, other in [("bank", "forged"), ("bank", "shop"), ("bank", None), ("shop", "bank"), ("shop", None)]:
        with pytest.raises(InvalidClient):
            served.client(client_id, other).client_credentials(scope="profile")


@pytest.mark.spec("rfc8705", "6.5")
def test_nginx_replaces_the_headers_of_a_client(served: Served) -> None:
    pem = (served.folder / "bank.pem").read_text()
    headers = {"X-Client-Cert": requests.utils.quote(pem), "X-Client-Verify": "SUCCESS"}
    form = {"grant_type": "client_credentials", "client_id": "bank"}
    url = "/oauth/token"
    with served.session(None) as session:
        assert session.post(served.origin + url, data=form, headers=headers, timeout=10).status_code == 401
    assert served.site.http.post(url, data=form, headers=headers).status_code == 200, "without the proxy they count"


@pytest.mark.spec("rfc8705", "5")
def test_oauth4webapi_uses_the_aliases(served: Served, node: str) -> None:  # noqa: F811
    folder = served.folder
    command = [node, "oauth4webapi.mjs"]
    environment = {**os.environ, "NODE_EXTRA_CA_CERTS": str(folder / "ca.pem")}
    with subprocess.Popen(
        command,
        cwd=Path(__file__).parent / "node",
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
    ) as process:
        client = NodeClient(process)
        files = {"cert": str(folder / "bank.pem"), "key": str(folder / "bank.key")}
        client.discover(issuer=served.issuer, client_id="bank", secret=None, certificate=files)
        token = client.client_credentials(scope="profile")["access_token"]
        assert served.call(token, "bank") == 200
        files = {"cert": str(folder / "forged.pem"), "key": str(folder / "forged.key")}
        client.discover(issuer=served.issuer, client_id="bank", secret=None, certificate=files)
        with refused("invalid_client"):
            client.client_credentials(scope="profile")
        process.kill()


def test_the_other_origin_is_no_mistake(served: Served, caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(InvalidClient):
        served.client("bank", None).client_credentials(scope="profile")
    assert "client authentication failed" in caplog.text
    assert "the client sent the request to the host" not in caplog.text
