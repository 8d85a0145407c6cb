"""An environment for each library that needs more than we do, made when it is first asked for."""

from __future__ import annotations

import subprocess
import sys
import venv
from pathlib import Path

from .libraries import Library

ROOT = Path(__file__).parent.parent
BUILD = ROOT / "build" / "benchmarks"


def find_python(library: Library) -> Path:
    """The interpreter of a library; an environment that has other needs than are named now is made anew."""
    needs = library.needs
    if not needs:
        return Path(sys.executable)
    folder = BUILD / "environments" / library.module
    python, made_for = folder / "bin" / "python", folder / "needs.txt"
    text = "\n".join(needs)
    if not made_for.exists() or made_for.read_text() != text:
        venv.create(folder, clear=True, with_pip=True)
        subprocess.run([python, "-m", "pip", "install", "-q", *needs], check=True)
        made_for.write_text(text)
    return python
