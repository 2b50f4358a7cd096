"""End-to-end tests: a real `hass` process, driven as its frontend drives it."""
