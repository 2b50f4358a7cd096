"""Tests of the driver for FRITZ!Box."""
