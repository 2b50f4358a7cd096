"""Routers to run against, and what the demo and the end-to-end tests start them with."""
