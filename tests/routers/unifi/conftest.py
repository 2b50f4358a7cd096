"""What the tests of the UniFi driver share."""

from tests.lab.conftest import inside

__all__ = ["inside"]
