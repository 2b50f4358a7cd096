"""The virtual router and the camera, looked at from the wire."""
