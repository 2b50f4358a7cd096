"""What the tests of the MikroTik driver share."""

from tests.lab.conftest import inside

__all__ = ["inside"]
