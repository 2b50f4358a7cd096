"""Home Assistant is killed again and again while it opens, extends and closes ports.

`python -m bench.crash` runs a real `hass` against virtual routers that live in this process, and so
survive it. `book` holds what was promised, `home` the house, `storm` the calls and the kill, and
`trial` puts them together.
"""
