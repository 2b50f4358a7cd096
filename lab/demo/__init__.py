"""The demo: a virtual router, a camera and a real Home Assistant, all on 127.0.0.1.

`scripts/demo` runs it. A new user is to see in a browser what the integration
does, with a port that really opens and closes, and nothing outside this
machine involved.
"""
