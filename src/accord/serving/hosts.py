"""The names by which a service may be asked: pages of other sites get none by DNS rebinding."""

from __future__ import annotations

import ipaddress


def is_loopback(host: str) -> bool:
    """Whether an address is this machine's alone.

    Example:
        >>> [is_loopback(host) for host in ("127.0.0.1", "localhost", "::1", "0.0.0.0")]
        [True, True, True, False]
    """
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def name_of(header: str) -> str:
    """Return the name in a Host header, without its port.

    Example:
        >>> [name_of(host) for host in ("Accord.example.org:80", "[::1]:8000", "[::1]", "a.")]
        ['accord.example.org', '::1', '::1', 'a']
    """
    name = header.strip().lower()
    if name.startswith("["):
        return name[1:].partition("]")[0]
    return name.partition(":")[0].removesuffix(".")


def checked_hosts(
    address: str, with_token: bool, allowed: tuple[str, ...]
) -> frozenset[str] | None:
    """Return the names that requests may have for their host, beside this machine's own; None
    where any will do.

    A page of any site can have its own name lead to 127.0.0.1, and its scripts then read what a
    service there answers. A token keeps them out; without one the name has to be known.

    Args:
        address: at which the service listens.
        with_token: whether requests have to name one.
        allowed: names that somebody chose; with one or more they are always checked.
    """
    if not allowed and (with_token or not is_loopback(address)):
        return None
    return frozenset(map(name_of, allowed))
