"""The steps of the flow that adds a router, by what is spoken to it."""
