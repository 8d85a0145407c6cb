"""Simulated clients that run against the application in its own process, and stop where a real client would fail.

Each kind of client has one module. The command ``flask oauth2 simulate`` runs them.
"""

from __future__ import annotations

from .base import Simulation, Step, Stop
from .cli import CommandLine
from .mcp import MCPClient
from .sandbox import open_sandbox
from .server import WebServer
from .spa import SinglePageApplication

PROFILES: dict[str, type[Simulation]] = {
    "mcp": MCPClient,
    "spa": SinglePageApplication,
    "cli": CommandLine,
    "server": WebServer,
}
"""The clients by their name in the command."""

__all__ = ["PROFILES", "Simulation", "Step", "Stop", "open_sandbox"]
