"""Stores for clients, grants and tokens."""
