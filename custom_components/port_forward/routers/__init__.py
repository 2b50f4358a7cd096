"""The protocol side: speaks to routers and knows nothing of Home Assistant."""
