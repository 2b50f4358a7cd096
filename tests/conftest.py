"""What all tests share, which is only the way to the integration."""

# Home Assistant's test harness has a custom_components package of its own,
# which hides ours unless ours is imported first.
import custom_components.port_forward.const  # noqa: F401
