"""A connection to an MQTT broker that may be down at the start, die, hang or return, without anybody waiting for it.

One thread does everything that can take time: names, TLS, sending, waiting to try again. The others leave what is to
be sent and go on. Two kinds of it: *values*, of which only the newest counts and which the broker keeps (retained), and
*events*, which wait in order until the broker has confirmed them.
"""

from __future__ import annotations

import contextlib
import math
import secrets
import select
import socket
import ssl
import threading
import time
from collections import deque
from dataclasses import dataclass
from types import ModuleType
from typing import Any, Callable, Sequence

from errors import PackageError
from remote.mqtt_address import Address, tls_context
from utils import say

MOST_EVENTS = 1000  # waiting while the broker is away; of more, the oldest are dropped
_MOST_ANSWERS = 32
_MOST_UNCONFIRMED = 20  # messages that the broker has not confirmed yet
_LONGEST_PACKET = 65_536  # bytes of a message to us; whoever sends more wants to fill our memory
_SHORTEST_WAIT, _LONGEST_WAIT = 1.0, 30.0  # seconds before the next try; doubled each time
_STABLE = 30.0  # seconds that a connection holds before the next loss is taken for a new one
_KEEPALIVE = 15  # seconds without a sign of life after which each side asks the other for one
_PERIOD = 1.0  # seconds between two calls of on_tick at most
_FAREWELL = 0.7  # seconds for what is still to be sent at the end
_CLOSING = 1.0  # seconds that close() takes at most


@dataclass
class _Value:
    """The newest value of a topic, and what the broker has of it."""

    payload: str = ""
    due: float = math.inf  # by the monotonic clock; infinite once it has been sent
    sent: float = -math.inf
    unconfirmed: bool = False


class Link:
    """The connection. All methods may be called from any thread and return at once.

    Args:
        address: The broker.
        ca: File of the certificates that are trusted instead of the system's.
        will: Topic and value that the broker is to show once we are gone without a word; shown at the end, too.
        topics: To subscribe to.
        on_message: Called with topic, payload, and whether it was kept by the broker from earlier (retained).
        on_tick: Called at least once a second while connected.

    Both are called on the link's thread.

    Raises:
        PackageError: paho-mqtt is missing.
        UserError: The file of `ca` can't be read, or is given without TLS.
    """

    def __init__(
        self,
        address: Address,
        *,
        ca: str | None,
        will: tuple[str, str],
        topics: Sequence[str],
        on_message: Callable[[str, bytes, bool], None],
        on_tick: Callable[[], None],
    ) -> None:
        self._paho = _import_paho()
        self._address = address
        self._tls = tls_context(address, ca)
        self._will = will
        self._topics = list(topics)
        self._on_message = on_message
        self._on_tick = on_tick
        # Ours alone, and new in each run; the same after each reconnection, so that the broker drops the lost one.
        self._id = f"movinet-{secrets.token_hex(6)}"
        self._lock = threading.Lock()
        self._values: dict[str, _Value] = {}
        self._events: deque[tuple[str, str]] = deque()
        self._answers: deque[tuple[str, str]] = deque(maxlen=_MOST_ANSWERS)
        self._dropped = 0
        # By message number: the value's topic, the event, or None for an answer.
        self._unconfirmed: dict[int, str | tuple[str, str] | None] = {}
        self._accepted = False
        self._refused = ""
        self._told = ""
        self._closing = threading.Event()
        self._deadline = math.inf
        self._wake, self._woken = socket.socketpair()
        self._wake.setblocking(False)
        self._woken.setblocking(False)
        self._thread = threading.Thread(target=self._run, name="mqtt", daemon=True)

    def start(self) -> None:
        """Starts to connect."""
        self._thread.start()

    def show(self, topic: str, payload: str, period: float = 0.0) -> None:
        """Gives a topic its new value, which replaces one that has not been sent yet.

        Args:
            topic: Where.
            payload: The value; "" takes the topic off the broker.
            period: Seconds that are to lie between two values of it.
        """
        with self._lock:
            value = self._values.setdefault(topic, _Value())
            if payload == value.payload and (payload or value.sent > 0):
                return
            value.payload = payload
            value.due = min(value.due, value.sent + period)
        self.wake()

    def repeat(self, topics: Sequence[str]) -> None:
        """Sends the values of these topics once more."""
        with self._lock:
            for topic in topics:
                self._values[topic].due = -math.inf
        self.wake()

    def shows(self, topic: str) -> bool:
        """Returns whether the topic has been given a value."""
        with self._lock:
            return topic in self._values

    def send(self, topic: str, payload: str) -> None:
        """Sends an event, after those before it, as soon as the broker is there."""
        with self._lock:
            self._events.append((topic, payload))
            self._trim()
        self.wake()

    def answer(self, topic: str, payload: str) -> None:
        """Sends what is of no use later."""
        with self._lock:
            self._answers.append((topic, payload))
        self.wake()

    def wake(self) -> None:
        """Makes the thread look at what there is to do."""
        with contextlib.suppress(OSError):  # it has been woken often enough, or has ended
            self._wake.send(b"!")

    def finish(self) -> None:
        """Begins to send what waits and the will, and to end; may be called twice."""
        if not self._closing.is_set():
            with self._lock:
                for value in self._values.values():
                    if value.due < math.inf:  # nothing waits for its period any more
                        value.due = -math.inf
            self._deadline = time.monotonic() + _FAREWELL
            self._closing.set()
            self.wake()

    def close(self) -> None:
        """Ends within a second of the first call of finish() or of this one; may be called twice."""
        self.finish()
        self._thread.join(max(0.0, self._deadline + _CLOSING - _FAREWELL - time.monotonic()))

    def _trim(self) -> None:
        while len(self._events) > MOST_EVENTS:
            self._events.popleft()
            self._dropped += 1

    def _run(self) -> None:
        wait = _SHORTEST_WAIT
        while not self._closing.is_set():
            began = time.monotonic()
            problem = self._connect_and_serve()
            if self._closing.is_set():
                break
            if self._accepted and time.monotonic() - began > _STABLE:
                wait = _SHORTEST_WAIT
            if self._refused:  # a wrong password doesn't mend itself, and brokers shut out who knocks too often
                wait = _LONGEST_WAIT
            self._tell(f"{problem}; trying again")
            self._closing.wait(wait)
            wait = min(2 * wait, _LONGEST_WAIT)
        self._wake.close()
        self._woken.close()

    def _connect_and_serve(self) -> str:
        """Holds one connection for as long as it lasts; returns what ended it."""
        self._accepted, self._refused = False, ""
        client = self._make_client()
        try:
            client.connect(self._address.host, self._address.port, _KEEPALIVE)
            self._serve(client)
        except ssl.SSLCertVerificationError as error:
            return f"{self._address}: its certificate is not trusted ({error.verify_message}); see --mqtt-ca"
        except (OSError, ValueError) as error:  # ValueError: a host that can't be a name
            return f"can't reach {self._address}: {getattr(error, 'strerror', None) or error}"
        finally:
            with contextlib.suppress(AttributeError):
                client.socket().close()  # None if there is none
            self._take_back()
        if self._refused:
            return f"{self._address} refuses: {self._refused}"
        return f"lost {self._address}" if self._accepted else f"{self._address} hangs up"

    def _make_client(self) -> Any:
        # A new one for each connection: what is to be sent again after a loss is decided here, not there.
        mqtt = self._paho
        client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, client_id=self._id, reconnect_on_failure=False)
        if self._address.user:
            client.username_pw_set(self._address.user, self._address.password)
        if self._tls is not None:
            client.tls_set_context(self._tls)
        client.will_set(*self._will, qos=1, retain=True)
        client.on_connect = self._connected
        client.on_publish = self._confirmed
        client.on_message = self._received
        return client

    def _serve(self, client: Any) -> None:
        farewell = False
        while client.socket() is not None:
            if self._accepted and not self._closing.is_set():
                self._on_tick()
            pause = self._feed(client)
            if self._closing.is_set():
                left = self._deadline - time.monotonic()
                if left <= 0 or not self._accepted or (farewell and self._done()):
                    client.disconnect()
                    return
                if not farewell and self._done():
                    self.show(*self._will)
                    farewell = True
                    continue
                pause = min(pause, left)
            self._transfer(client, pause)

    def _transfer(self, client: Any, pause: float) -> None:
        """Reads and writes what can be, waiting up to `pause` seconds for it."""
        sock = client.socket()
        if sock is None:  # lost while writing
            return
        pending = getattr(sock, "pending", lambda: 0)()  # TLS holds bytes that select() doesn't see
        writing = [sock] if client.want_write() else []
        readable, writable, _ = select.select([sock, self._woken], writing, [], 0 if pending else pause)
        if self._woken in readable:
            with contextlib.suppress(BlockingIOError):
                self._woken.recv(4096)
        if pending or sock in readable:
            client.loop_read()
            # Private, but the only way to see a message's length before it is read: 3.1.1 sets no bound to it.
            if client._in_packet["remaining_length"] > _LONGEST_PACKET:
                raise OSError(f"a message to us is longer than {_LONGEST_PACKET} bytes")
        if sock in writable:
            client.loop_write()
        client.loop_misc()

    def _feed(self, client: Any) -> float:
        """Hands over what may be sent; returns the seconds after which there can be more."""
        if not self._accepted:
            return _PERIOD
        now = time.monotonic()
        next_due = now + _PERIOD
        with self._lock:
            for topic, value in self._values.items():
                if value.unconfirmed:
                    continue
                if value.due > now:
                    next_due = min(next_due, value.due)
                elif len(self._unconfirmed) < _MOST_UNCONFIRMED:
                    value.due, value.sent, value.unconfirmed = math.inf, now, True
                    self._publish(client, topic, value.payload, topic, retain=True)
            while self._answers and len(self._unconfirmed) < _MOST_UNCONFIRMED:
                self._publish(client, *self._answers.popleft(), None)
            while self._events and len(self._unconfirmed) < _MOST_UNCONFIRMED:
                event = self._events.popleft()
                self._publish(client, *event, event)
        return max(0.0, next_due - now)

    def _publish(
        self, client: Any, topic: str, payload: str, what: str | tuple[str, str] | None, retain: bool = False
    ) -> None:
        self._unconfirmed[client.publish(topic, payload, qos=1, retain=retain).mid] = what

    def _done(self) -> bool:
        with self._lock:
            return not (self._unconfirmed or self._events or self._answers) and all(
                value.due == math.inf for value in self._values.values()
            )

    def _take_back(self) -> None:
        """After a loss: what was not confirmed is to be sent again, events in their order."""
        with self._lock:
            events = [what for what in self._unconfirmed.values() if isinstance(what, tuple)]
            self._events.extendleft(reversed(events))
            self._trim()
            self._unconfirmed.clear()
            self._answers.clear()
            for value in self._values.values():
                value.due, value.unconfirmed = -math.inf, False

    def _connected(self, client: Any, data: Any, flags: Any, reason: Any, properties: Any) -> None:
        if reason.is_failure:
            self._refused = str(reason).lower()
            return
        self._accepted = True
        client.subscribe([(topic, 1) for topic in self._topics])
        with self._lock:
            dropped, self._dropped = self._dropped, 0
        lost = f"; {dropped} events were lost while it was away" if dropped else ""
        self._tell(f"connected to {self._address}{lost}")

    def _confirmed(self, client: Any, data: Any, number: int, reason: Any, properties: Any) -> None:
        with self._lock:
            what = self._unconfirmed.pop(number, None)
            if isinstance(what, str):
                self._values[what].unconfirmed = False

    def _received(self, client: Any, data: Any, message: Any) -> None:
        with contextlib.suppress(UnicodeDecodeError):  # of a topic
            self._on_message(message.topic, message.payload, message.retain)

    def _tell(self, text: str) -> None:
        """Says what is new: a broker that stays away is worth one line, not one a try."""
        if text != self._told:
            say(f"mqtt: {text}")
            self._told = text


def _import_paho() -> ModuleType:
    try:
        import paho.mqtt.client as mqtt

        mqtt.CallbackAPIVersion  # noqa: B018  since 2.0
    except (ImportError, AttributeError):
        raise PackageError("paho-mqtt 2 is not installed; run ./setup.sh --extras remote") from None
    return mqtt
