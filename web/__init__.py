"""The program in a browser: the live picture, what it sees, its events and settings, and an API for programs.

`server.WebServer` is all that the rest of the program knows of. It needs starlette and uvicorn, which are imported with
it; this file needs nothing.
"""

from __future__ import annotations

import ipaddress
import re

from errors import UserError

DEFAULT_ADDRESS = "127.0.0.1"
DEFAULT_PORT = 8080
_ADDRESS = re.compile(
    r"(?:(?P<address>\[[0-9A-Fa-f:.]+\]|[^\[\]:]*):)?(?P<port>[0-9]{1,5})|(?P<alone>\[[^\]]+\]|[^\[\]:]+)"
)


def parse_address(text: str) -> tuple[str, int]:
    """Returns the address and port that --serve names: ADDRESS:PORT, :PORT, PORT, or ADDRESS; IPv6 in brackets.

    What is left out is 127.0.0.1 and 8080. Port 0 lets the system choose.

    Raises:
        UserError: It is none of these.
    """
    match = _ADDRESS.fullmatch(text)
    port = int(match["port"] or DEFAULT_PORT) if match else -1
    if not match or not 0 <= port <= 65535:
        raise UserError(
            f"{text!r} is not an address and a port; give 127.0.0.1:8080 or the like, an IPv6 address in brackets: "
            "[::1]:8080"
        )
    return (match["address"] or match["alone"] or DEFAULT_ADDRESS).strip("[]"), port


def is_loopback(address: str) -> bool:
    """Returns whether only this machine can reach an address."""
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return address.lower() == "localhost"
