"""What counts as one place on the network."""

import pytest

from scheduler.core.network import place


@pytest.mark.parametrize(
    ("address", "counted_as"),
    [
        ("203.0.113.7", "203.0.113.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("::ffff:203.0.113.7", "203.0.113.7"),
        ("fe80::1%eth0", "fe80::/64"),
        ("process", "process"),
    ],
)
def test_an_ipv6_network_is_one_place(address: str, counted_as: str) -> None:
    assert place(address) == counted_as
