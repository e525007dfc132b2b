"""Senders that die, break off and talk nonsense: nothing is left of them, and nobody notices."""

import random
import signal
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from tests.dicom_node.faults.clinic import Clinic, wait_until
from tests.dicom_node.faults.forge import REPOSITORY
from tests.dicom_node.faults.neighbours import all_is_well, new_object
from tests.dicom_node.faults.scanner import push
from tests.dicom_node.faults.speaker import Context, Speaker, association_request

MIB = 1 << 20
STREAM = """
import sys
from tests.dicom_node.faults import giants
from tests.dicom_node.faults.speaker import Speaker
from tests.dicom_node.objects import Image
giant = giants.encapsulated(Image(), frames=100, frame_bytes=100 << 20)
giants.send(giant, Speaker(int(sys.argv[1])).accepted())
"""
ROUNDS = 150


def test_a_sender_killed_after_100_mb_leaves_nothing(shared_clinic: Clinic) -> None:
    sender = subprocess.Popen(
        [sys.executable, "-c", STREAM, str(shared_clinic.port)], cwd=REPOSITORY
    )
    try:
        wait_until(lambda: _incoming_bytes(shared_clinic) > 100 * MIB)
        written = set(_written_files(shared_clinic))
        assert any(path.is_relative_to(shared_clinic.incoming) for path in written)
        places = (shared_clinic.root.path, shared_clinic.folder / "node.out")
        assert [path for path in written if not any(map(path.is_relative_to, places))] == []
    finally:
        sender.send_signal(signal.SIGKILL)
        sender.wait()
    wait_until(lambda: _incoming_bytes(shared_clinic) == 0)
    all_is_well(shared_clinic)


def test_hundreds_who_break_off_change_nothing_for_a_scanner(shared_clinic: Clinic) -> None:
    all_is_well(shared_clinic)
    before = _resources(shared_clinic)
    rude = threading.Thread(target=_be_rude, args=(shared_clinic.port, random.Random(7)))  # noqa: S311
    rude.start()
    n_pushed = 0
    while rude.is_alive() or n_pushed < 20:
        assert push(shared_clinic, [new_object() for _ in range(3)]) == []
        n_pushed += 3
    rude.join()
    all_is_well(shared_clinic)
    wait_until(
        lambda: all(a <= b + 4 for a, b in zip(_resources(shared_clinic), before, strict=True))
    )


def _be_rude(port: int, dice: random.Random) -> None:
    for _ in range(ROUNDS):
        with suppress(OSError, AssertionError), Speaker(port) as speaker:
            _break_off(speaker, dice)


def _break_off(speaker: Speaker, dice: random.Random) -> None:
    """Get as far as the dice say, then leave in one of many ways."""
    far = dice.randrange(5)
    if far == 0:
        speaker.say(dice.randbytes(dice.randrange(1, 2000)))
    elif far == 1:
        request = association_request([Context()], calling="SCANNER", called="COVERSLIP")
        speaker.say(request[: dice.randrange(len(request))])
    else:
        speaker.accepted()
        one = new_object(frame_bytes=dice.choice((100, 50_000)))
        if far > 2:
            speaker.start_store(one.uid)
            speaker.say_data(one.data_set[: dice.randrange(len(one.data_set))], last=False)
        if far > 3:
            speaker.say(struct.pack(">BBIIBB", 4, 0, 9_000, 8_996, 1, 0) + dice.randbytes(99))
    if dice.random() < 0.3:
        speaker.abort()
    if dice.random() < 0.5:  # leave with a reset
        speaker.wire.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def _incoming_bytes(clinic: Clinic) -> int:
    total = 0
    for path in clinic.incoming.rglob("*.part"):
        with suppress(FileNotFoundError):
            total += path.stat().st_size
    return total


def _written_files(clinic: Clinic) -> Iterator[Path]:
    """Regular files that the node has open for writing."""
    process = Path(f"/proc/{clinic.pid}")
    for link in (process / "fd").iterdir():
        with suppress(OSError):
            flags = (process / "fdinfo" / link.name).read_text().split("flags:")[1].split()[0]
            target = Path(str(link.readlink()).removesuffix(" (deleted)"))
            if int(flags, 8) & 3 and target.is_file():
                yield target


def _resources(clinic: Clinic) -> tuple[int, int]:
    """How many files and threads the node has, but for the databases: their pools are bounded."""
    process = Path(f"/proc/{clinic.pid}")
    files = 0
    for link in (process / "fd").iterdir():
        with suppress(OSError):
            files += ".db" not in link.readlink().name
    return files, len(list((process / "task").iterdir()))
