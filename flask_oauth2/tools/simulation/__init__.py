"""Clients that are played against the application in its own process: what each does, and where it would stop.

One file for each kind of client; ``flask oauth2 simulate`` runs them.
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
"""The clients by the name that the command takes."""

__all__ = ["PROFILES", "Simulation", "Step", "Stop", "open_sandbox"]
