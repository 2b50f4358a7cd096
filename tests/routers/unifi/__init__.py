"""The UniFi driver against the simulated controller."""
