"""Tests of the simulated OPNsense."""
