"""A program on the user's own machine, :rfc:`8252`, and a device without a browser, :rfc:`8628`.

The program listens on a loopback address with any port and has no secret.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import Any

from ... import addresses
from ...settings import DEVICE_CODE
from .base import ALL_PATHS, Stop, stop_at
from .exchange import Exchange
from .flow import LOGIN_REQUIRED
from .forms import Button, Form, find_allow, read_forms
from .registered import RegisteredClient


class CommandLine(RegisteredClient):
    """A command-line program, which listens on a different free port each time."""

    description = "a program on the user's own machine"
    registered_uri = "http://127.0.0.1/callback"
    redirect_uri = "http://127.0.0.1:51004/callback"
    application_type = "native"

    def needed_endpoints(self, metadata: Mapping[str, Any]) -> tuple[str, ...]:
        """Return the endpoints that the program needs. A device needs no authorization endpoint."""
        if not metadata.get("authorization_endpoint") and metadata.get("device_authorization_endpoint"):
            return ("token_endpoint",)
        return super().needed_endpoints(metadata)

    def sign_in(self) -> str:
        """Open the provider in a signed-out browser, or the page for the user code if it only supports devices."""
        return self.visit_signed_out(
            "" if self.uses_browser else addresses.url_of(self.server, "device", self.sandbox.mount)
        )

    def allow(self) -> str:
        """Authorize with an unregistered port. Check that the code requires its verifier, :rfc:`7636`."""
        if not self.uses_browser:
            return self._connect(self.metadata["device_authorization_endpoint"])
        code, verifier = self.authorize()
        wrong = self.request_token(
            grant_type="authorization_code",
            code=code,
            redirect_uri=self.redirect_uri,
            code_verifier=secrets.token_urlsafe(96),
        )
        if wrong.status == 200:
            raise Stop(
                "the token endpoint accepts the code with a wrong code verifier",
                "rfc7636 4.6",
                "store the code challenge with the code unchanged: flask_oauth2.testing has the contract of a store",
            )
        learned = self.redeem(code, verifier)
        return (
            f"{learned}; the provider accepted port {self.redirect_uri.split(':')[2].partition('/')[0]}, which is "
            "not the registered one"
        )

    def connect_device(self) -> str:
        """Connect a device: it shows a user code, which the user types in a browser."""
        endpoint = self.metadata.get("device_authorization_endpoint")
        if not endpoint:
            return "the provider does not support devices: OAUTH2_GRANT_TYPES does not contain device_code"
        return (
            self._connect(endpoint)
            if self.uses_browser
            else ("done in an earlier step, because the provider only supports devices")
        )

    def _connect(self, endpoint: str) -> str:
        more = {"resource": self.resource} if self.resource else {}
        scope = {"scope": self.scope} if self.scope else {}
        answer = self.http("POST", endpoint, form={**self.identity.form, **scope, **more})
        codes = answer.json
        if answer.status != 200 or not codes.get("user_code"):
            raise stop_at(
                answer,
                f"the device authorization endpoint responds with {answer.status} and no user code",
                "rfc8628 3.2",
                ALL_PATHS,
            )
        early = self._poll(codes["device_code"])
        if early.json.get("error") != "authorization_pending":
            raise stop_at(
                early,
                f"the token endpoint responds with {early.status} to a device whose user has not decided yet",
                "rfc8628 3.5",
                ALL_PATHS,
            )
        self._type_code(codes.get("verification_uri_complete") or codes["verification_uri"])
        self.sandbox.clock.forward(int(codes.get("interval", 5)) + 1)
        self.tokens = type(self.tokens)()
        return (
            f"after the user entered {codes['user_code']} and allowed access: "
            f"{self.save_tokens(self._poll(codes['device_code']))}"
        )

    def _poll(self, device_code: str) -> Exchange:
        return self.request_token(grant_type=DEVICE_CODE, device_code=device_code)

    def _type_code(self, url: str) -> None:
        page = self.browser("GET", url)
        forms = [form for form in read_forms(page) if "user_code" in form.fields]
        if not forms:
            raise self._no_form(page, "for the user code")
        page = self._send(forms[0], None)
        found = find_allow(page)
        if found is None:
            raise self._no_form(page, "that allows access")
        done = self._send(*found)
        if done.status >= 400:
            raise stop_at(done, f"the page responds to the decision with {done.status}", "rfc8628 3.3", ALL_PATHS)

    def _send(self, form: Form, button: Button | None) -> Exchange:
        pressed = {button.name: button.value} if button and button.name else {}
        return self.browser("POST", form.action, form=form.fields | pressed)

    def _no_form(self, page: Exchange, purpose: str) -> Stop:
        if page.location:
            return stop_at(
                page,
                f"the provider redirects a signed-in user to {page.location.partition('?')[0]} instead of the "
                "page for the user code",
                "rfc8628 3.3",
                f"{LOGIN_REQUIRED}; with Flask-Login pass --user with one of its users",
            )
        return stop_at(
            page,
            f"the device page, status {page.status}, has no form {purpose}",
            "rfc8628 3.3",
            "include the form in your template of that page",
        )

    steps = (
        ("Read the metadata", RegisteredClient.read_metadata),
        ("Call a view without a valid token", RegisteredClient.call_view_without),
        ("Redirect a signed-out user", sign_in),
        ("Authorize, and redeem the code", allow),
        ("Call a view", RegisteredClient.call_view),
        ("Refresh the token", RegisteredClient.refresh_token),
        ("Connect without a browser", connect_device),
        ("Revoke the token", RegisteredClient.revoke_token),
    )
