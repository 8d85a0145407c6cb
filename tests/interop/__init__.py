"""Clients that others have written, over HTTP, against a server that runs."""
