"""Whether the internet reaches the router, and whether the targets behind it answer."""
