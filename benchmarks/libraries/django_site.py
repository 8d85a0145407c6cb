"""django-oauth-toolkit with Django's own sessions and users, as its documentation builds a provider.

The client secret is stored unhashed, because Django's default hash takes a large part of a second per request. The
client needs no consent (``skip_authorization``), so no consent is looked up.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import django
from django.conf import settings

from ..site import CALLBACK, CLIENT_ID, SCOPE, SECRET, USER, Place, Site

PATHS = {
    "authorize": "/o/authorize/",
    "token": "/o/token/",
    "introspect": "/o/introspect/",
    "revoke": "/o/revoke_token/",
}
MACHINE_ID = "machine"
"""The client for client credentials. A client has only one grant type in django-oauth-toolkit."""

WAL = "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL"


def configure(place: Place) -> None:
    """Configure Django with the settings of ``django-admin startproject`` and of the tutorial."""
    database = {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": str(place.folder / "django.sqlite"),
        "CONN_MAX_AGE": None,
        "OPTIONS": {"init_command": WAL, "transaction_mode": "IMMEDIATE"},
    }
    middleware = [
        "django.middleware.security.SecurityMiddleware",
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.middleware.common.CommonMiddleware",
        "django.middleware.csrf.CsrfViewMiddleware",
        "django.contrib.auth.middleware.AuthenticationMiddleware",
        "django.contrib.messages.middleware.MessageMiddleware",
        "django.middleware.clickjacking.XFrameOptionsMiddleware",
    ]
    apps = ["django.contrib.auth", "django.contrib.contenttypes", "django.contrib.sessions", "django.contrib.messages"]
    settings.configure(
        SECRET_KEY="a secret key of the benchmarks",
        DEBUG=False,
        ALLOWED_HOSTS=["*"],
        ROOT_URLCONF=__name__,
        DATABASES={"default": database},
        DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
        INSTALLED_APPS=[*apps, "oauth2_provider"],
        MIDDLEWARE=middleware,
        TEMPLATES=[{"BACKEND": "django.template.backends.django.DjangoTemplates", "APP_DIRS": True}],
        USE_TZ=True,
        LOGIN_URL="/login",
        OAUTH2_PROVIDER={
            "SCOPES": {SCOPE: "See your name", "introspection": "Introspect tokens"},
            "DEFAULT_SCOPES": [SCOPE],
            "ACCESS_TOKEN_EXPIRE_SECONDS": 3600,
            "REFRESH_TOKEN_EXPIRE_SECONDS": 30 * 86400,
            "REFRESH_TOKEN_REUSE_PROTECTION": True,
            "COMPLIANT_BCP_RFC9700_AUTHZ_RESPONSE_ISS": True,
        },
    )
    django.setup()


urlpatterns: list[Any] = []
"""The URL patterns, added after Django is set up, which the views require."""


def _add_urls() -> None:
    from django.contrib.auth import get_user_model
    from django.contrib.auth import login as sign_in
    from django.http import HttpResponse, JsonResponse
    from django.urls import include, path
    from django.views.decorators.csrf import csrf_exempt
    from oauth2_provider.decorators import protected_resource

    @csrf_exempt
    def login(request: Any) -> Any:
        user = get_user_model().objects.get(username=request.POST["user"])
        sign_in(request, user, backend="django.contrib.auth.backends.ModelBackend")
        return HttpResponse(status=204)

    @protected_resource(scopes=[SCOPE])
    def me(request: Any) -> Any:
        token = request.auth if hasattr(request, "auth") else None
        return JsonResponse({"user": str(request.resource_owner), "client": CLIENT_ID, "scope": token and token.scope})

    urlpatterns.extend(
        [
            path("login", login),
            path("api/me", me),
            path("o/", include("oauth2_provider.urls", namespace="oauth2_provider")),
        ]
    )


def _fill(user: Any, application: Any) -> None:
    for client_id, grant_type in (
        (CLIENT_ID, application.GRANT_AUTHORIZATION_CODE),
        (MACHINE_ID, application.GRANT_CLIENT_CREDENTIALS),
    ):
        application.objects.create(
            client_id=client_id,
            client_secret=SECRET,
            hash_client_secret=False,
            user=user,
            client_type=application.CLIENT_CONFIDENTIAL,
            authorization_grant_type=grant_type,
            redirect_uris=CALLBACK,
            skip_authorization=True,
        )


def open_site(place: Place) -> Site:
    """Return a site with a client and a user."""
    configure(place)
    _add_urls()
    from django.contrib.auth import get_user_model
    from django.core.management import call_command
    from django.core.wsgi import get_wsgi_application
    from oauth2_provider.models import get_access_token_model, get_application_model, get_grant_model

    call_command("migrate", verbosity=0)
    if not get_user_model().objects.exists():
        _fill(get_user_model().objects.create_user(USER), get_application_model())

    @contextmanager
    def expire() -> Iterator[None]:
        long_ago = datetime(2001, 1, 1, tzinfo=UTC)
        for model in (get_access_token_model(), get_grant_model()):
            model.objects.update(expires=long_ago)
        yield

    return Site(
        get_wsgi_application(),
        expire,
        machine_id=MACHINE_ID,
        paths={**PATHS, "metadata": "/o/.well-known/oauth-authorization-server"},
    )
