"""Tests of the protocol side: no Home Assistant, only the wire."""
