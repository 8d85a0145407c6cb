"""How fast we are, measured beside others that do the same work: ``python -m benchmarks --help``."""
