"""Parameters that refine a request, one specification each: plain functions that read and refuse."""
