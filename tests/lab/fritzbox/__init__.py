"""Tests of the simulated FRITZ!Box."""
