"""Tests of the driver for OPNsense."""
