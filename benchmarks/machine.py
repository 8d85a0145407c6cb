"""The machine and the versions of a run."""

from __future__ import annotations

import os
import platform
import sqlite3
import subprocess
from collections.abc import Iterable, Iterator
from pathlib import Path

from .environments import find_python
from .libraries import LIBRARIES
from .postgresql import find_programs

_LIBRARIES = (
    "Flask",
    "Werkzeug",
    "SQLAlchemy",
    "psycopg",
    "Authlib",
    "Flask-SQLAlchemy",
    "Django",
    "django-oauth-toolkit",
    "gunicorn",
)


def describe(names: Iterable[str], day: str) -> Iterator[tuple[str, str]]:
    """Yield the name and value of each line."""
    yield "processor", f"{_processor()}, {os.cpu_count()} cores"
    yield "system", f"Linux {platform.release().partition('-')[0]}, Python {platform.python_version()}"
    programs = find_programs()
    databases = [f"SQLite {sqlite3.sqlite_version}"]
    if programs is not None and any(LIBRARIES[name].database == "postgresql" for name in names):
        text = subprocess.run([programs / "postgres", "--version"], check=True, capture_output=True, text=True).stdout
        databases.append(f"PostgreSQL {text.split()[2]}")
    yield "databases", ", ".join(databases)
    yield "libraries", ", ".join(f"{name} {version}" for name, version in _versions(names).items())
    yield "day", day


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())


def _versions(names: Iterable[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    code = "import sys; from importlib.metadata import distributions as all\n"
    code += "print(*(f'{d.name} {d.version}' for d in all() if d.name in sys.argv[1:]), sep='\\n')"
    for python in dict.fromkeys(find_python(LIBRARIES[name]) for name in names):
        command = [str(python), "-c", code, *_LIBRARIES, *(name.lower() for name in _LIBRARIES)]
        output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        for name, _, version in (line.partition(" ") for line in output.splitlines()):
            title = next(library for library in _LIBRARIES if library.lower() == name.lower())
            found.setdefault(title, version)
    return {name: found[name] for name in _LIBRARIES if name in found}
