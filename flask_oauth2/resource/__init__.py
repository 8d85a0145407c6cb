"""Protected resources: guards of views, and the verification of tokens."""
