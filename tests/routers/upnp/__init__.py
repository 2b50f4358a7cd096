"""Tests of the UPnP driver against the virtual router."""
