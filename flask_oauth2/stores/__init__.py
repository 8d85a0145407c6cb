"""Where clients, grants and tokens are kept."""
