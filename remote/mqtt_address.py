"""Where an MQTT broker is, who we are there, and whom we trust."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from credentials import public_name, public_text
from errors import UserError

if TYPE_CHECKING:
    import ssl


@dataclass(frozen=True)
class Address:
    """Where the broker is, and who we are there.

    Attributes:
        host: Name or IP address.
        port: Its port.
        tls: Whether the connection is encrypted.
        prefix: What all topics begin with, without "/" at its end.
        user: None without one.
        password: None without one.
    """

    host: str
    port: int
    tls: bool
    prefix: str
    user: str | None = field(default=None, repr=False)
    password: str | None = field(default=None, repr=False)

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'mqtts' if self.tls else 'mqtt'}://{host}:{self.port}"


def parse_url(url: str) -> Address:
    """Reads mqtt://user:password@host:1883/prefix, or mqtts:// for TLS; all but the host can be left out.

    Raises:
        UserError: It is no such URL; the text holds no credentials.
    """
    # No message holds an "@" of its own: on stderr everything between a scheme and one is taken for a password.
    shown = f"--mqtt {public_text(public_name(url))}"
    try:
        parts = urlsplit(url)
        host, port = unquote(parts.hostname or "", errors="strict"), parts.port
        user, password, prefix = (
            None if text is None else unquote(text, errors="strict")
            for text in (parts.username, parts.password, parts.path[1:])
        )
    except ValueError:  # its own text may quote a part of the password
        host, port, user, password, prefix, parts = "", None, None, None, "", urlsplit("")
    if parts.scheme not in ("mqtt", "mqtts") or not host or port == 0 or "@" in parts.path:
        raise UserError(
            f"{shown} is not a broker's address; write mqtt://host or mqtts://host as --help shows, and in user and "
            "password %40 for an at sign, %2F for /, %3A for :, %23 for #"
        )
    if parts.query or parts.fragment or url.endswith(("?", "#")):
        raise UserError(f"{shown} goes on after the prefix; write # and ? of a password as %23 and %3F")
    if password and not user:
        raise UserError(f"{shown} has a password and no user, which MQTT can't do; write the user before the colon")
    prefix = prefix or "movinet-pi"
    if "" in prefix.split("/") or prefix.startswith("$") or not prefix.isprintable() or set(prefix) & set("+#"):
        raise UserError(f"{shown} ends in no prefix; that is one or more names with / between them, without + and #")
    if len(prefix.encode()) > 200:
        raise UserError(f"{shown} has a prefix of more than 200 bytes; give a shorter one")
    tls = parts.scheme == "mqtts"
    return Address(host, port or (8883 if tls else 1883), tls, prefix, user or None, password)


def tls_context(address: Address, ca: str | None) -> ssl.SSLContext | None:
    """Returns what checks the broker's certificate; None without TLS.

    Args:
        address: The broker.
        ca: File of the certificates that are trusted instead of the system's.

    Raises:
        UserError: The file can't be read, or is given without TLS.
    """
    if not address.tls:
        if ca:
            raise UserError(f"--mqtt-ca {ca}: {address} is not encrypted; write mqtts://")
        return None
    import ssl  # 10 ms that only TLS is worth

    try:
        context = ssl.create_default_context(cafile=ca)
    except ssl.SSLError:
        raise UserError(f"--mqtt-ca {ca}: it holds no certificate in PEM format; give the file of the CA's") from None
    except OSError as error:
        raise UserError(f"--mqtt-ca {ca}: {error.strerror}; give the file of the CA's certificate") from None
    if ca:
        # What mosquitto's own instructions make lacks an extension that Python 3.13 has begun to ask for.
        context.verify_flags &= ~getattr(ssl, "VERIFY_X509_STRICT", 0)
    return context
