"""Binding a port: which addresses it answers on."""

import socket

import pytest

from service.process.sockets import listen

LOOPBACKS = {socket.AF_INET: "127.0.0.1", socket.AF_INET6: "::1"}


def has_ipv6() -> bool:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        return False
    return True


needs_ipv6 = pytest.mark.skipif(not has_ipv6(), reason="this machine has no IPv6")


def reachable(listener: socket.socket) -> set[str]:
    port = listener.getsockname()[1]
    answering = set()
    for family, address in LOOPBACKS.items():
        with socket.socket(family) as client:
            if client.connect_ex((address, port)) == 0:
                answering.add(address)
    return answering


@needs_ipv6
@pytest.mark.parametrize("host", ["::", "[::]", "0:0:0:0:0:0:0:0"])
def test_all_of_ipv6_is_all_of_ipv4_too(host: str) -> None:
    with listen(host, 0) as listener:
        assert reachable(listener) == {"::1", "127.0.0.1"}


@needs_ipv6
@pytest.mark.parametrize(("host", "address"), [("::1", "::1"), ("[::1]", "::1"), ("127.0.0.1", "127.0.0.1")])
def test_one_address_is_no_other(host: str, address: str) -> None:
    with listen(host, 0) as listener:
        assert reachable(listener) == {address}


def test_all_of_ipv4_needs_no_ipv6() -> None:
    with listen("0.0.0.0", 0) as listener:
        assert "127.0.0.1" in reachable(listener)
