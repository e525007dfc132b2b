"""What ten associations cost that are open and say nothing."""

import socket
import struct
import time
from pathlib import Path

from benchmarks.measure import cpu_s
from benchmarks.peers import AE_TITLE, CALLING_AE_TITLE, Receiver, Running, start

_N_ASSOCIATIONS = 10
_SETTLE_S = 2.0
_A_ASSOCIATE_AC = 2
_VERIFICATION, _IMPLICIT = "1.2.840.10008.1.1", "1.2.840.10008.1.2"


def idle_cores(receiver: Receiver, folder: Path, *, seconds: float) -> float:
    """Give the share of a core that a receiver needs more with the associations than without."""
    running = start(receiver, folder)
    try:
        time.sleep(_SETTLE_S)
        without = _cores(running, seconds)
        wires = [_associate(running.port) for _ in range(_N_ASSOCIATIONS)]
        time.sleep(_SETTLE_S)
        cores = _cores(running, seconds) - without
        for one in wires:
            one.close()
    finally:
        running.stop()
    print(f"idle: {without:.3f} of a core without associations, {cores:+.3f} with ten")
    return max(0.0, cores)


def _cores(running: Running, seconds: float) -> float:
    before = cpu_s(running)
    time.sleep(seconds)
    return (cpu_s(running) - before) / seconds


def _associate(port: int) -> socket.socket:
    """Open an association by hand (PS3.8 9.3.2); a library's would poll in this process."""
    context = bytes((1, 0, 0, 0)) + _item(0x30, _VERIFICATION) + _item(0x40, _IMPLICIT)
    user = _item(0x51, struct.pack(">I", 16_384)) + _item(0x52, "1.2.3.4")
    body = struct.pack(">HH", 1, 0) + AE_TITLE.encode().ljust(16)
    body += CALLING_AE_TITLE.encode().ljust(16) + bytes(32)
    body += _item(0x10, "1.2.840.10008.3.1.1.1") + _item(0x20, context) + _item(0x50, user)
    wire = socket.create_connection(("127.0.0.1", port), timeout=10)
    wire.sendall(struct.pack(">BBI", 1, 0, len(body)) + body)
    if wire.recv(65_536)[0] != _A_ASSOCIATE_AC:
        raise SystemExit("an idle association was not accepted")
    return wire


def _item(kind: int, content: str | bytes) -> bytes:
    encoded = content.encode() if isinstance(content, str) else content
    return struct.pack(">BBH", kind, 0, len(encoded)) + encoded
