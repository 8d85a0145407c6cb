"""A virtual environment for each library with its own requirements, created at the first use."""

from __future__ import annotations

import subprocess
import sys
import venv
from pathlib import Path

from .libraries import Library

ROOT = Path(__file__).parent.parent
BUILD = ROOT / "build" / "benchmarks"


def find_python(library: Library) -> Path:
    """Return the interpreter of a library. An environment with other requirements is created again."""
    needs = library.needs
    if not needs:
        return Path(sys.executable)
    folder = BUILD / "environments" / library.module
    python, created_for = folder / "bin" / "python", folder / "needs.txt"
    text = "\n".join(needs)
    if not created_for.exists() or created_for.read_text() != text:
        venv.create(folder, clear=True, with_pip=True)
        subprocess.run([python, "-m", "pip", "install", "-q", *needs], check=True)
        created_for.write_text(text)
    return python
