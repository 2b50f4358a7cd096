"""Tests of the simulated UniFi controller."""
