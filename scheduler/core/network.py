"""Where on the network somebody is, as far as it can be counted."""

from ipaddress import IPv6Address, ip_address, ip_network

#: One household or office gets at least this much of IPv6, and may use any address in it.
ONE_PLACE = 64


def place(address: str) -> str:
    """Return what counts as one place: an IPv4 address, or the /64 network of an IPv6 one.

    What is no address comes back as it is.
    """
    try:
        known = ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if not isinstance(known, IPv6Address):
        return str(known)
    if known.ipv4_mapped is not None:
        return str(known.ipv4_mapped)
    return str(ip_network((int(known), ONE_PLACE), strict=False))
