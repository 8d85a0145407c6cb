"""The application of a library for gunicorn, from ``BENCHMARK_MODULE`` and ``BENCHMARK_PLACE``."""

from __future__ import annotations

import os

from .child import open_site

app = open_site(os.environ["BENCHMARK_MODULE"], os.environ["BENCHMARK_PLACE"]).wsgi
