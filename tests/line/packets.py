"""Every packet that crosses the loopback of this network namespace, and the TCP streams in them.

A ring that the kernel fills (TPACKET_V2, packet(7)) holds what comes while the reader is slow, so
that a busy machine loses nothing; what the kernel did drop is counted.
"""

import ctypes
import fcntl
import mmap
import socket
import struct
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType

_SOL_PACKET, _RX_RING, _STATISTICS, _VERSION = 263, 5, 6, 10
_FRAME_BYTES, _FRAMES = 1 << 17, 1024
"""A frame takes the largest packet of the loopback, which is 64 KiB long."""
_HEADER = struct.Struct("=IIIHH")  # tp_status, tp_len, tp_snaplen, tp_mac, tp_net
_PACKET_TYPE_AT = 32 + 10  # sll_pkttype of the sockaddr_ll behind tpacket2_hdr
_OUTGOING = 4
_ANY_PROTOCOL = 0x0003
_RECORD = struct.Struct("!I")


class Capture:
    """Writes the IP packets of the loopback to a file until the block ends.

    Attributes
    ----------
    n_dropped
        Packets for which the ring had no room; known when the block has ended.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._read, name="capture")
        self._socket = socket.socket(
            socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(_ANY_PROTOCOL)
        )
        self.n_dropped = 0

    def __enter__(self) -> "Capture":
        self._socket.setsockopt(_SOL_PACKET, _VERSION, 1)
        ring = struct.pack("=IIII", _FRAME_BYTES, _FRAMES, _FRAME_BYTES, _FRAMES)
        self._socket.setsockopt(_SOL_PACKET, _RX_RING, ring)
        self._socket.bind(("lo", _ANY_PROTOCOL))
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._ending.set()
        self._thread.join()
        counted = self._socket.getsockopt(_SOL_PACKET, _STATISTICS, 8)
        self.n_dropped = struct.unpack("=II", counted)[1]
        self._socket.close()

    def _read(self) -> None:
        ring = mmap.mmap(self._socket.fileno(), _FRAME_BYTES * _FRAMES)
        at, last_look = 0, False
        with self._path.open("wb") as file:
            while True:
                start = at * _FRAME_BYTES
                status, _, caught, mac, net = _HEADER.unpack_from(ring, start)
                if not status & 1:
                    if last_look:
                        break
                    last_look = self._ending.wait(0.002)
                    continue
                # Each packet is seen twice, as it leaves and as it comes.
                if ring[start + _PACKET_TYPE_AT] == _OUTGOING:
                    packet = ring[start + net : start + mac + caught]
                    file.write(_RECORD.pack(len(packet)) + packet)
                struct.pack_into("=I", ring, start, 0)
                at = (at + 1) % _FRAMES
        ring.close()


def open_loopback() -> None:
    """Bring the loopback of a fresh namespace up, and lead every address of the world to it.

    So a daemon that tries to reach anybody at all is seen to try.
    """
    up = struct.pack("16sh14x", b"lo", 0x1 | 0x40)  # IFF_UP | IFF_RUNNING
    anywhere = struct.pack("=HH4s8x", socket.AF_INET, 0, bytes(4))
    name = ctypes.create_string_buffer(b"lo")
    # struct rtentry: destination, gateway, mask, flags (RTF_UP), and the device by its name
    device = ctypes.addressof(name)
    route = struct.pack("@L48sHhLPhPLLH", 0, anywhere * 3, 1, 0, 0, 0, 0, device, 0, 0, 0)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        fcntl.ioctl(control, 0x8914, up)  # SIOCSIFFLAGS
        fcntl.ioctl(control, 0x890B, route)  # SIOCADDRT


@dataclass(slots=True)
class Stream:
    """One direction of a TCP connection."""

    source: tuple[str, int]
    target: tuple[str, int]
    opened: bool
    """Whether this side asked for the connection."""
    _first: int
    _parts: dict[int, bytes] = field(default_factory=dict)

    def add(self, sequence: int, payload: bytes) -> None:
        """Take a segment; one that came twice counts once."""
        offset = (sequence - self._first - 1) % 2**32
        if len(payload) > len(self._parts.get(offset, b"")):
            self._parts[offset] = payload

    @property
    def content(self) -> bytes:
        """All bytes in their order; raises AssertionError when some are missing."""
        whole = bytearray()
        for offset, payload in sorted(self._parts.items()):
            assert offset <= len(whole), f"{offset - len(whole)} bytes of a stream were not caught"
            whole[offset : offset + len(payload)] = payload
        return bytes(whole)


@dataclass(frozen=True, slots=True)
class Conversations:
    """What was caught."""

    streams: tuple[Stream, ...]
    others: tuple[tuple[str, int], ...]
    """Destination and IP protocol number of every packet that is not TCP."""

    def to(self, port: int) -> list[Stream]:
        """What was said to a port."""
        return [stream for stream in self.streams if stream.target[1] == port]

    def of(self, port: int) -> list[Stream]:
        """What was said to a port, and what was answered."""
        return [one for one in self.streams if port in (one.target[1], one.source[1])]

    @property
    def asked(self) -> set[tuple[str, int]]:
        """Address and port of whoever was asked for a connection."""
        return {stream.target for stream in self.streams if stream.opened}


def conversations(path: Path) -> Conversations:
    """Put the TCP streams of a capture together."""
    streams: list[Stream] = []
    open_now: dict[tuple[tuple[str, int], tuple[str, int]], Stream] = {}
    others = []
    for packet in _records(path.read_bytes()):
        protocol, source, target, payload = _addressed(packet)
        if protocol != socket.IPPROTO_TCP:
            others.append((target, protocol))
            continue
        from_port, to_port, sequence, _, words = struct.unpack_from("!HHIIH", payload)
        ends = (source, from_port), (target, to_port)
        if words & 0x02:  # SYN
            asked = not words & 0x10  # without ACK
            if ends not in open_now or open_now[ends]._first != sequence:
                open_now[ends] = Stream(*ends, asked, sequence)
                streams.append(open_now[ends])
        data = payload[(words >> 12) * 4 :]
        if data:
            open_now[ends].add(sequence, data)
    return Conversations(tuple(streams), tuple(others))


def _records(content: bytes) -> Iterator[bytes]:
    at = 0
    while at < len(content):
        (length,) = _RECORD.unpack_from(content, at)
        at += _RECORD.size
        yield content[at : at + length]
        at += length


def _addressed(packet: bytes) -> tuple[int, str, str, bytes]:
    """Protocol, source, target and payload of an IP packet."""
    if packet[0] >> 4 == 4:
        (length,) = struct.unpack_from("!H", packet, 2)
        source, target = (socket.inet_ntop(socket.AF_INET, packet[at : at + 4]) for at in (12, 16))
        return packet[9], source, target, packet[(packet[0] & 15) * 4 : length or None]
    source, target = (socket.inet_ntop(socket.AF_INET6, packet[at : at + 16]) for at in (8, 24))
    return packet[6], source, target, packet[40:]
