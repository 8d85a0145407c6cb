"""Tokens: issue them for an authorization, bind them to their holder, and read them. Types, formats and bindings."""
