"""A month in the life of the integration, in minutes, and what has grown by its end.

`clock` has the loop whose time jumps, `house` the Home Assistant and its router in this process,
`life` what happens to them, `figures` what is measured each day.
"""
