"""What most tests of plans begin with."""

import pytest

from tests import course
from tests.conftest import Once


@pytest.fixture
def where(once: Once) -> course.Clinic:
    """Two sites and staff."""
    return once(course.clinic)
