"""Clients: their metadata, how they are registered and found, and how they authenticate."""
