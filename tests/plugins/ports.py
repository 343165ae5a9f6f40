"""Ports of this machine."""

import socket


def free_port(host: str) -> int:
    """A TCP port of ``host``, an address of this machine, that nobody listens on."""
    with socket.socket() as listener:
        listener.bind((host, 0))
        return int(listener.getsockname()[1])
