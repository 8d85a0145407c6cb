"""A page of the documentation, whose code blocks are run in order as a reader does. docs/README.md has the rules."""

from __future__ import annotations

import gc
import importlib
import importlib.util
import inspect
import os
import re
import shlex
import subprocess
import sys
from contextlib import chdir, redirect_stdout
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, metadata
from io import StringIO
from pathlib import Path
from textwrap import dedent
from threading import Thread
from types import ModuleType
from typing import Any

from servers import PATIENCE, reserve_port
from sqlalchemy import Engine

ROOT = Path(__file__).parent.parent
COMPANIONS = Path(__file__).parent / "docs"

_LEAD = r"(?: |[*-] |#\. |\d+\. )*"  # a block may be the first thing in an item of a list
_BLOCK = re.compile(rf"({_LEAD})\.\. (?:code-block::|(hidden-code-block):) *(\S*)$")
_OPTION = re.compile(r" +:(\w+): *(.*)$")
_INCLUDE = re.compile(r" *\.\. literalinclude:: (?:\.\./)+examples/(\S+)$")
_NEVER_RUN = re.compile(
    rf"{_LEAD}\.\. (?:code|sourcecode|parsed-literal|literalinclude|highlight|doctest|testcode|prompt)::"
    rf"|{_LEAD}>>> |(?!{_LEAD}\.\. ).*::$"
)
_FILE = re.compile(r"([\w./-]+\.\w+)(, continued)?$")
_SERVER = re.compile(r"\S*flask (?:.* )?run\b|redis-server\b")
_RUNS = re.compile("Running on|Ready to accept connections")
_SETUP = re.compile(r"(python3? -m venv|\.|source|deactivate)( |$)")
_ADDRESS = re.compile(r"\b(127\.0\.0\.1|localhost):(\d{2,5})\b")

OUTPUT = ("text", "json", "http")
"""Languages of blocks with the output of the previous block."""


class PageError(Exception):
    """A page breaks the rules, or its code does not work as described."""


@dataclass(frozen=True)
class Block:
    """One block of code."""

    language: str
    code: str
    line: int
    file: str = ""
    is_continued: bool = False
    name: str = ""
    is_hidden: bool = False


def find_pages() -> list[Path]:
    """Return all pages to run."""
    return [ROOT / "README.rst", *sorted((ROOT / "docs").rglob("*.rst"))]


def page_id(path: Path) -> str:
    """Return the ID of a page, which is also the name of its companion."""
    return path.relative_to(ROOT).with_suffix("").as_posix().removeprefix("docs/")


def read_blocks(path: Path) -> list[Block]:
    """Return the blocks of a page. Raise :exc:`PageError` for code that would not run."""
    lines = path.read_text().splitlines()
    blocks = []
    number = 0
    while number < len(lines):
        line = lines[number]
        number += 1
        found = _BLOCK.match(line)
        if found is None:
            included = _INCLUDE.match(line)
            if included is not None and (ROOT / "examples" / included[1]).is_file():
                continue  # the examples have tests of their own
            if _NEVER_RUN.match(line):
                raise PageError(f"{path.name}:{number}: this code does not run. Use a code-block: {line.strip()}")
            continue
        start, options, body = number, {}, []
        while number < len(lines) and (option := _OPTION.match(lines[number])):
            options[option[1]] = option[2].strip()
            number += 1
        depth = len(found[1])
        while number < len(lines) and (not lines[number].strip() or lines[number].startswith(" " * (depth + 1))):
            body.append(lines[number])
            number += 1
        blocks.append(_new_block(path, found, options, dedent("\n".join(body)).strip("\n") + "\n", start))
    return blocks


def _new_block(path: Path, found: re.Match[str], options: dict[str, str], code: str, line: int) -> Block:
    label = options.get("caption") or options.get(
        "name", ""
    )  # README.rst has no captions, because docutils does not support them
    file = _FILE.match(label)
    if options.get("caption") and file is None:
        raise PageError(f"{path.name}:{line}: the caption is not the name of a file")
    return Block(
        language=found[3],
        code=code,
        line=line + len(options) + 1,
        file=file[1] if file else "",
        is_continued=bool(file and file[2]),
        name="" if file and not options.get("caption") else options.get("name", ""),
        is_hidden=bool(found[2]),
    )


class Page:
    """A page that runs in its own folder.

    :ivar folder: the folder of its files and commands.
    :ivar namespace: the namespace of its Python blocks.
    :ivar output: the output of the last block.
    :ivar env: the environment variables of its commands.
    :ivar replace: replacements in the text of the page before it runs, such as an address or a secret.
    """

    def __init__(self, path: Path, folder: Path, companion: Any = None) -> None:
        self.path = path
        self.folder = self._cwd = folder
        self.blocks = read_blocks(path)
        self.output: str | None = None
        programs = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        self.env = dict(os.environ) | {"PATH": programs, "PYTHONWARNINGS": "error", "PYTHONDONTWRITEBYTECODE": "1"}
        self.env.pop("PYTEST_ADDOPTS", None)  # options of this test run do not apply to the reader
        self._ports = {port: reserve_port() for _, port in _ADDRESS.findall(path.read_text())}
        self.replace: dict[str, str] = {}
        self._servers: list[tuple[subprocess.Popen[str], Thread]] = []
        self._files: dict[str, bool] = {}
        self._companion = companion
        self._module = ModuleType(f"page_{path.stem.lower()}")
        self._module.__file__ = str(folder / "page.py")  # so that Flask finds the templates in the folder
        self.namespace = vars(self._module)

    def address(self, port: int = 5000) -> str:
        """Return the URL of the server that the page runs on a port."""
        return f"http://127.0.0.1:{self._ports[str(port)]}"

    def substitute(self, text: str) -> str:
        """Return a text of the page with its replacements."""
        text = _ADDRESS.sub(lambda found: f"{found[1]}:{self._ports[found[2]]}", text)
        for shown, real in self.replace.items():
            text = text.replace(shown, real)
        return text

    def run(self) -> None:
        """Run every block of the page, then the checks of its companion."""
        sys.modules[self._module.__name__] = self._module
        gc.freeze()  # to find the objects that the page creates
        before = list(sys.path)  # Flask commands change it
        sys.path.insert(0, str(self.folder))
        try:
            with chdir(self.folder):
                named = {block.name for block in self.blocks}
                for name, _ in inspect.getmembers(self._companion, inspect.isfunction):
                    if name.startswith("run_") and name.removeprefix("run_") not in named:
                        raise PageError(f"{self.path.name} has no block named {name.removeprefix('run_')}")
                for block in self.blocks:
                    self._run_block(block)
                self._import_the_rest()
                check = getattr(self._companion, "check", None)
                if check is not None:
                    check(self)
        finally:
            sys.path[:] = before
            self._close()

    def _run_block(self, block: Block) -> None:
        own = getattr(self._companion, f"run_{block.name}", None) if block.name else None
        if own is not None:
            own(self, block)
        elif block.file:
            self._save(block)
        elif block.language == "python":
            self.run_python(block)
        elif block.language == "sh":
            self.run_commands(block.code)
        elif block.language in OUTPUT:
            self._compare(block)
        else:
            raise self._wrong(block, f"blocks of {block.language or 'no language'} are not supported")

    def _wrong(self, block: Block, reason: str) -> PageError:
        return PageError(f"{self.path.name}:{block.line}: {reason}")

    def _save(self, block: Block) -> None:
        if not block.file.endswith(".py") and self._companion is None:
            raise self._wrong(block, f"{block.file} needs a companion of the page that tests it")
        path = self.folder / block.file
        if block.is_continued and not path.exists():
            raise self._wrong(block, f"{block.file} does not exist and cannot be continued")
        path.parent.mkdir(parents=True, exist_ok=True)
        before = f"{path.read_text()}\n\n" if block.is_continued else ""
        path.write_text(before + self.substitute(block.code))
        self._files[block.file] = False

    def run_python(self, block: Block) -> None:
        """Run a block in the namespace of the page."""
        answer = getattr(self._companion, "answer", None)
        if answer is not None:
            self.namespace["input"] = lambda prompt="": answer(self, prompt)
        if block.is_hidden:
            self.namespace["page"] = self
        else:
            self.namespace.pop("page", None)  # a reader does not have it
        code = compile("\n" * (block.line - 1) + self.substitute(block.code), str(self.path), "exec")
        with redirect_stdout(StringIO()) as printed:
            exec(code, self.namespace)
        self.output = printed.getvalue()

    def run_commands(self, code: str) -> None:
        """Run commands in the folder of the page. Start servers in the background, and skip installations."""
        output = []
        lines = re.sub(r"\\\n\s*", "", code).splitlines()
        for command in (command.strip() for line in lines for command in line.split(" && ")):
            if not command or command.startswith("#") or _SETUP.match(command):
                continue
            if re.match(r"\S*pip install ", command):
                _verify_installed(command)
            elif _SERVER.match(command):
                output.append(self._start(command))
            else:
                output.append(self._run(command))
        self.output = "".join(output)

    def _run(self, command: str) -> str:
        state = self.folder.parent / f"{self.folder.name}.state"
        script = f"{self.substitute(command)}\ncode=$?; {{ pwd; env -0; }} > {shlex.quote(str(state))}; exit $code"
        done = subprocess.run(
            ["bash", "-c", script],
            cwd=self._cwd,
            env=self.env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=PATIENCE,
        )
        self._used(command)
        if done.returncode != 0:
            raise PageError(f"{self.path.name}: {command!r} failed:\n{done.stdout}")
        folder, _, variables = state.read_text().partition("\n")
        self._cwd = Path(folder)
        self.env = dict(variable.split("=", 1) for variable in variables.split("\0") if "=" in variable)
        return done.stdout

    def _start(self, command: str) -> str:
        """Start a server and wait until its log reports that it runs."""
        given = re.search(r"--port[ =](\d+)", command)
        options = ["--no-reload"] if "flask" in command else []
        port = self._ports.setdefault(given[1] if given else "5000", reserve_port())
        arguments = shlex.split(self.substitute(re.sub(r"--port[ =]\d+", "", command)))
        arguments[0] = Path(arguments[0]).name
        process = subprocess.Popen(
            [*arguments, "--port", str(port), *options],
            cwd=self._cwd,
            env=self.env,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self._used(command)
        assert process.stdout is not None
        log = []
        for line in process.stdout:
            log.append(line)
            if _RUNS.search(line):
                break
        else:
            process.wait(PATIENCE)
        drain = Thread(target=log.extend, args=(process.stdout,))
        drain.start()
        self._servers.append((process, drain))
        if process.poll() is not None:
            raise PageError(f"{self.path.name}: {command!r} did not start:\n{''.join(log)}")
        return "".join(log)

    def _used(self, command: str) -> None:
        for file in self._files:
            if re.search(rf"\b{re.escape(Path(file).stem)}\b", command):
                self._files[file] = True

    def _compare(self, block: Block) -> None:
        """Compare the output. ``…`` matches any text, and white space is ignored."""
        if self.output is None:
            raise self._wrong(block, "no block before this one has an output")
        shown = "".join(self.substitute(block.code).split())
        pattern = ".*?".join(re.escape(part) for part in shown.split("…"))
        if not re.search(pattern, "".join(self.output.split()), re.DOTALL):
            raise self._wrong(block, f"the output differs. It is:\n{self.output}")

    def _import_the_rest(self) -> None:
        """Import the Python files that no command has run."""
        for file, is_used in self._files.items():
            if file.endswith(".py") and not is_used:
                importlib.import_module(file.removesuffix(".py").removesuffix("/__init__").replace("/", "."))

    def _close(self) -> None:
        for process, drain in self._servers:
            process.terminate()
            process.wait(PATIENCE)
            drain.join()
            assert process.stdout is not None
            process.stdout.close()
        for name, module in list(sys.modules.items()):
            file = getattr(module, "__file__", None)
            if file and Path(file).is_relative_to(self.folder):
                del sys.modules[name]
        for thing in gc.get_objects():
            if type(thing) is Engine:
                thing.dispose()
        gc.unfreeze()


def load_companion(page: Path) -> Any:
    """Return the companion module with the input and the checks of a page, or None."""
    name = page_id(page)
    path = COMPANIONS / f"{name}.py"
    if not path.exists():
        return None
    spec = importlib.util.spec_from_file_location(f"companion_{name.replace('/', '_').replace('-', '_')}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _verify_installed(command: str) -> None:
    """Verify that the packages of an install command are installed, because tests download nothing."""
    for argument in shlex.split(command)[2:]:
        name, _, extras = argument.removesuffix("]").partition("[")
        if argument.startswith("-") or name in ("pip", "install"):
            continue
        try:
            known = metadata("flask_oauth2" if "/" in name or name == "." else name)
        except PackageNotFoundError:
            raise PageError(f"{name!r} is not installed. Add it to the dependency group of the tests") from None
        unknown = set(filter(None, extras.split(","))) - set(known.get_all("Provides-Extra") or ())
        if unknown:
            raise PageError(f"{name} has no extra {', '.join(unknown)}")
