"""HTTP without a framework: messages, URLs, and requests to other servers."""
