"""Nobody is asked while the network is blocked, but for this machine itself."""

from __future__ import annotations

import socket
import urllib.request

import pytest

from flash.testing._network import blocked_network


def test_other_machines_are_refused_and_noted() -> None:
    with blocked_network() as attempts:
        with pytest.raises(OSError, match="Expected no use of the network, but 'example.com' was asked for"):
            urllib.request.urlopen("http://example.com", timeout=1)
        with socket.socket() as made, pytest.raises(OSError, match="192.0.2.1"):
            made.connect(("192.0.2.1", 80))
    assert attempts == ["example.com", "192.0.2.1"]


def test_this_machine_is_reached() -> None:
    with blocked_network() as attempts, socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        with socket.create_connection(server.getsockname(), timeout=5) as client:
            assert client.getpeername() == server.getsockname()
    assert attempts == []


def test_afterwards_all_is_as_before() -> None:
    before = socket.socket.connect, socket.getaddrinfo
    with blocked_network():
        assert socket.getaddrinfo is not before[1]
    assert (socket.socket.connect, socket.getaddrinfo) == before
