"""Keys: the JOSE policy, signing keys and their life cycle, and the key sets of other parties."""
