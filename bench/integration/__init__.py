"""What the integration costs a real Home Assistant."""
