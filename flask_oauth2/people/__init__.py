"""Users: whether one is active, and what they have consented to."""
