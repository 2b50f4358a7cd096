"""The MikroTik driver against the simulated router."""
