"""How an authorization is written as tokens, bound to its holder, and read back: types, formats and bindings."""
