"""The measurements behind docs/reliability.md, as commands that anybody can run."""
