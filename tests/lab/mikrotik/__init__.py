"""Tests of the simulated MikroTik router."""
