"""Compare the speed of flask_oauth2 with that of other libraries: ``python -m benchmarks --help``."""
