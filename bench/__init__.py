"""The measurements behind docs/performance.md and docs/reliability.md, as commands for anybody."""
