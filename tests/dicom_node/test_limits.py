"""Limits: pure rules with the time as an argument, and peers that try to take more than theirs."""

import contextlib
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dicom_node.receive.admission import (
    NO_LIMITS,
    AllowedPeer,
    Caller,
    Doors,
    LastMinute,
    Pace,
    Refusal,
    Request,
    Rules,
    admit,
    may_connect,
    must_go,
    plain_address,
)
from tests.dicom_node.conftest import wait_until
from tests.dicom_node.desk import UID, Desk, scanner, sha256_of
from tests.dicom_node.faults.speaker import (
    VERIFICATION,
    VL_WSI,
    Context,
    Speaker,
    association_request,
)

ABORT = b"\x07\0\0\0\0\x04\0\0\0\0"
times = st.lists(st.floats(0, 600), min_size=1).map(sorted)


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    with Desk(tmp_path / "desk") as one:
        yield one


def serves(desk: Desk, number: int = 999) -> bool:
    """Whether a well-behaved scanner is served as ever."""
    content = os.urandom(50_000)
    with desk.speak().accepted() as wire:
        return wire.store(f"{UID}.{number}", content) == 0 and sha256_of(content) in desk.hashes


# The rules.


def ask(**more: object) -> AllowedPeer | Refusal:
    rules = Rules(ae_title="US", peers=[scanner(**more.pop("limits", {}))], maximum_associations=9)
    values = {
        "calling_ae_title": "SCANNER ",
        "called_ae_title": "US",
        "address": "::ffff:127.0.0.1",
        "abstract_syntaxes": [VL_WSI],
        "n_open": 0,
    } | more
    has_room = values.pop("has_room", True)
    return admit(Request(**values), rules, has_room=has_room)


def test_within_its_limits_a_scanner_is_admitted() -> None:
    assert isinstance(ask(), AllowedPeer)


@given(limit=st.integers(1, 50), n_open=st.integers(0, 60))
def test_a_scanner_has_no_more_associations_than_its_limit(limit: int, n_open: int) -> None:
    decision = ask(limits={"maximum_associations": limit}, n_open_of_caller=n_open)
    assert isinstance(decision, Refusal) == (n_open >= limit)


@given(limit=st.integers(1, 50), n_last_minute=st.integers(0, 60))
def test_a_scanner_begins_no_more_in_a_minute_than_its_limit(
    limit: int, n_last_minute: int
) -> None:
    decision = ask(limits={"associations_per_minute": limit}, n_last_minute=n_last_minute)
    assert isinstance(decision, Refusal) == (n_last_minute >= limit)


@pytest.mark.parametrize(
    ("more", "answer"),
    [
        ({"called_ae_title": "YOU"}, (1, 1, 7)),
        ({"calling_ae_title": "STRANGER"}, (1, 1, 3)),
        ({"address": "10.0.0.1"}, (1, 1, 3)),
        ({"limits": {"certificate": "sha256:aa"}}, (1, 1, 3)),
        ({"limits": {"certificate": "sha256:aa"}, "certificate": "sha256:bb"}, (1, 1, 3)),
        ({"n_open": 9}, (2, 3, 2)),
        ({"limits": {"maximum_associations": 1}, "n_open_of_caller": 1}, (2, 3, 2)),
        ({"limits": {"associations_per_minute": 1}, "n_last_minute": 1}, (2, 3, 1)),
        ({"has_room": False}, (2, 3, 2)),
    ],
)
def test_what_will_not_change_by_itself_is_permanent_the_rest_transient(
    more: dict[str, object], answer: tuple[int, int, int]
) -> None:
    refusal = ask(**more)
    assert isinstance(refusal, Refusal)
    assert (refusal.result, refusal.source, refusal.diagnostic) == answer


def test_a_full_disk_still_answers_whether_we_are_alive() -> None:
    assert isinstance(ask(has_room=False, abstract_syntaxes=[VERIFICATION]), AllowedPeer)


def test_a_certificate_that_is_asked_for_and_shown_admits() -> None:
    known = {"limits": {"certificate": "sha256:aa"}, "certificate": "sha256:aa"}
    assert isinstance(ask(**known), AllowedPeer)


def test_where_everybody_is_admitted_there_are_no_limits() -> None:
    rules = Rules(ae_title="US", peers=None, maximum_associations=9)
    request = Request(
        calling_ae_title="X",
        called_ae_title="US",
        address="fe80::1%eth0",
        abstract_syntaxes=[VL_WSI],
        n_open=8,
        n_last_minute=10**6,
    )
    decision = admit(request, rules, has_room=True)
    assert isinstance(decision, AllowedPeer)
    assert decision.limits == NO_LIMITS


@given(times)
def test_a_minute_counts_what_began_in_it(began: list[float]) -> None:
    counter = LastMinute()
    for number, now in enumerate(began):
        assert counter.count("one", now) == sum(now - 60 < one for one in began[:number])
        assert counter.count("another", now) == 0
        counter.add("one", now)
    assert counter.count("one", began[-1] + 61) == 0


@given(
    rate=st.floats(0.1, 100),
    pdus=st.lists(st.tuples(st.integers(1, 131_078), st.floats(0, 0.5)), min_size=1, max_size=200),
)
def test_the_pace_is_kept_with_a_second_of_grace(rate: float, pdus: list) -> None:
    pace, now, n_bytes = Pace(rate), 0.0, 0
    for size, idle_s in pdus:
        now += idle_s
        n_bytes += size
        now = pace.after(size, now)
        assert n_bytes <= rate * 1e6 * (now + 1) + 1


@given(st.lists(st.integers(1, 1_000_000)))
def test_without_a_rate_nobody_is_held_back(sizes: list[int]) -> None:
    assert all(Pace().after(size, 5.0) == 5.0 for size in sizes)


callers = st.lists(
    st.builds(
        Caller,
        address=st.sampled_from(["1.1.1.1", "2.2.2.2", "3.3.3.3"]),
        since=st.floats(0, 100),
        is_silent=st.booleans(),
    )
)


@given(callers, st.integers(1, 5))
def test_one_address_takes_only_its_own_places(open_ones: list[Caller], most: int) -> None:
    doors = Doors(connections_per_address=most, maximum_connections=1000)
    mine = [one for one in open_ones if one.address == "1.1.1.1"]
    assert may_connect("1.1.1.1", open_ones, doors) == (len(mine) < most)
    assert may_connect("4.4.4.4", open_ones, doors)


@given(callers, st.integers(0, 5))
def test_only_the_oldest_silent_ones_have_to_go(open_ones: list[Caller], most: int) -> None:
    going = must_go(open_ones, Doors(maximum_silent=most))
    staying = [one for one in open_ones if one.is_silent and one not in going]
    assert all(one.is_silent for one in going)
    assert len(staying) <= most
    assert len(going) == 0 or len(staying) == most
    assert all(old.since <= new.since for old in going for new in staying)


def test_addresses_are_compared_without_their_dress() -> None:
    assert plain_address("::ffff:10.1.2.3") == "10.1.2.3"
    assert plain_address("fe80::1%eth0") == "fe80::1"


# Peers that take more than theirs.


def test_an_association_that_lasts_too_long_is_aborted_in_the_midst_of_a_transfer(
    tmp_path: Path,
) -> None:
    with Desk(tmp_path / "desk", peers=[scanner(maximum_association_s=0.5)]) as desk:
        with desk.speak().accepted() as wire:
            wire.start_store(UID)
            with contextlib.suppress(OSError):
                while True:
                    wire.say_data(bytes(10_000), last=False)
            assert desk.stored == []
        with desk.speak().accepted() as idle:
            assert idle.ends()
    assert desk.partial_files() == []


def test_a_rate_holds_a_sender_back_and_nothing_is_lost(tmp_path: Path) -> None:
    content = os.urandom(1_500_000)
    with Desk(tmp_path / "desk", peers=[scanner(maximum_mb_s=1.0)]) as desk:
        rested: list[float] = []
        with desk.speak().accepted() as wire:
            (association,) = desk.scp._server.active_associations
            rest = association.connection.rest
            association.connection.rest = lambda until: (rested.append(until), rest(until))
            assert wire.store(UID, content) == 0
        assert desk.hashes == [sha256_of(content)]
    assert rested


def test_a_held_back_association_can_be_stopped(tmp_path: Path) -> None:
    with Desk(tmp_path / "desk", peers=[scanner(maximum_mb_s=0.001)]) as desk:
        wire = desk.speak().accepted()
        wire.start_store(UID)
        wire.say_data(bytes(1_000_000), last=False)
        wait_until(lambda: len(desk.partial_files()) == 1)
    assert desk.partial_files() == []
    wire.wire.close()


def test_associations_of_one_scanner_are_limited_and_free_again(tmp_path: Path) -> None:
    with Desk(tmp_path / "desk", peers=[scanner(maximum_associations=2)]) as desk:
        open_ones = [desk.speak().accepted() for _ in range(2)]
        with desk.speak() as wire:
            assert wire.associate().rejection == (2, 3, 2)
        assert open_ones[0].release()
        wait_until(lambda: len(desk.scp.open_associations()) == 1)
        assert serves(desk)
        for one in open_ones:
            one.wire.close()


def test_associations_in_a_minute_are_limited(tmp_path: Path) -> None:
    with Desk(tmp_path / "desk", peers=[scanner(associations_per_minute=3)]) as desk:
        for _ in range(3):
            with desk.speak().accepted() as wire:
                assert wire.release()
        with desk.speak() as wire:
            assert wire.associate().rejection == (2, 3, 1)


def test_connections_of_one_address_are_limited_and_another_is_served(tmp_path: Path) -> None:
    with Desk(tmp_path / "desk", doors=Doors(connections_per_address=5)) as desk:
        silent = [connect(desk, "127.0.0.2") for _ in range(5)]
        wait_until(lambda: desk.n_connections() == 5)
        with connect(desk, "127.0.0.2") as refused:
            assert refused.recv(1) == b""
        assert serves(desk)
        silent.pop().close()
        wait_until(lambda: desk.n_connections() == 4)
        with connect(desk, "127.0.0.2") as again:
            again.sendall(association_request((Context(),), calling="SCANNER", called="COVERSLIP"))
            assert again.recv(1) == b"\x02"
        for one in silent:
            one.close()


def test_hundreds_of_silent_connections_change_nothing_for_a_scanner(tmp_path: Path) -> None:
    """They are no associations, and the oldest make room for the newest."""
    doors = Doors(connections_per_address=1000, maximum_silent=100)
    with Desk(tmp_path / "desk", doors=doors, maximum_associations=2) as desk:
        silent = [connect(desk, f"127.0.0.{2 + n % 200}") for n in range(300)]
        assert serves(desk)
        assert silent[0].recv(1) == b""
        wait_until(lambda: desk.n_connections() <= 102)
        assert serves(desk, 2)
        for one in silent:
            one.close()
        wait_until(lambda: desk.n_connections() == 0)


def test_a_silent_connection_is_let_go_at_its_deadline(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dicom_node.receive.server.NEGOTIATION_LIMIT_S", 0.3)
    with Desk(tmp_path / "desk") as desk, connect(desk) as silent:
        assert silent.recv(1) == b""


def test_a_request_of_a_byte_now_and_then_is_let_go_at_the_same_deadline(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dicom_node.receive.server.NEGOTIATION_LIMIT_S", 0.5)
    request = association_request((Context(),), calling="SCANNER", called="COVERSLIP")
    with Desk(tmp_path / "desk") as desk, connect(desk) as slow:
        assert dribble(slow, request) < len(request)
        assert serves(desk)


def test_a_pdu_of_a_byte_now_and_then_ends_its_association(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dicom_node.receive.reactor.PDU_LIMIT_S", 0.5)
    with desk.speak().accepted() as wire:
        wire.start_store(UID)
        assert dribble(wire.wire, b"\x04\0\0\0\x10\0" + bytes(4096)) < 4096
    wait_until(lambda: desk.partial_files() == [])
    assert serves(desk)


def test_a_step_of_the_clock_ends_no_association(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    with desk.speak().accepted() as wire:
        wire.start_store(UID)
        now = time.time()
        monkeypatch.setattr(time, "time", lambda: now + 86_400)
        wire.say_data(b"half", last=False)
        monkeypatch.setattr(time, "time", lambda: now - 86_400)
        wire.say_data(b"whole")
        assert wire.status() == 0
    assert desk.hashes == [sha256_of(b"halfwhole")]


# Nonsense, and ends in every state.


@pytest.mark.parametrize(
    "said",
    [
        b"GET / HTTP/1.1\r\nHost: node\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(500),
        os.urandom(4000).replace(b"\x01", b"\x09"),
        bytes(1000),
        b"\x01\0\xff\xff\xff\xff" + bytes(1000),
        b"\x04\0\0\0\0\x0a\0\0\0\x06\x01\x03abcd",
        b"\x05\0\0\0\0\x04\0\0\0\0",
        b"\x01\0\0\0\0\x04\0\0\0\0",
        b"\x01\0\0\0\0\x50" + bytes(80),
        b"\x01\0\0\0\0\x54\0\x01" + bytes(2) + b"COVERSLIP".ljust(16) + b"\xff" * 64,
    ],
)
def test_what_is_no_association_request_is_aborted_and_forgotten(desk: Desk, said: bytes) -> None:
    with desk.speak() as wire:
        wire.say(said)
        assert wire.ends()
    wait_until(lambda: desk.n_connections() == 0)
    assert desk.scp.open_associations() == frozenset()
    assert serves(desk)


def test_another_version_of_the_protocol_is_rejected_by_the_provider(desk: Desk) -> None:
    request = bytearray(association_request((Context(),), calling="SCANNER", called="COVERSLIP"))
    request[6:8] = b"\0\x02"
    with desk.speak() as wire:
        wire.say(bytes(request))
        kind, body = wire.hear()
        assert (kind, body[1:4]) == (3, b"\x01\x02\x02")


def _nothing(wire: Speaker) -> None:
    pass


def _half_a_request(wire: Speaker) -> None:
    wire.say(association_request((Context(),), calling="SCANNER", called="COVERSLIP")[:90])


def _associated(wire: Speaker) -> None:
    wire.accepted()


def _half_a_header(wire: Speaker) -> None:
    wire.accepted().say(b"\x04\0\0")


def _half_a_command(wire: Speaker) -> None:
    wire.accepted().say(b"\x04\0\0\0\0\x1a\0\0\0\x16\x01\x01" + bytes(20))


def _a_command(wire: Speaker) -> None:
    wire.accepted().start_store(UID)


def _half_a_data_set(wire: Speaker) -> None:
    wire.accepted().start_store(UID)
    wire.say_data(bytes(500_000), last=False)


def _half_a_pdu(wire: Speaker) -> None:
    wire.accepted().start_store(UID)
    wire.say(b"\x04\0\0\x01\0\0half")


def _stored(wire: Speaker) -> None:
    assert wire.accepted().store(UID, bytes(1000)) == 0


def _released(wire: Speaker) -> None:
    assert wire.accepted().release()


STATES = (
    _nothing, _half_a_request, _associated, _half_a_header, _half_a_command, _a_command,
    _half_a_data_set, _half_a_pdu, _stored, _released,
)  # fmt: skip


@pytest.mark.parametrize("ends", ["abort", "close", "reset"])
@pytest.mark.parametrize("reach", STATES)
def test_an_end_in_any_state_leaves_nothing_and_disturbs_nobody(
    desk: Desk, reach: Callable[[Speaker], None], ends: str
) -> None:
    other = desk.speak().accepted()
    other.start_store(f"{UID}.2")
    wait_until(lambda: len(desk.partial_files()) == 1)
    with desk.speak() as wire:
        reach(wire)
        wait_until(lambda: desk.n_connections() == 2)
        if ends == "abort":
            wire.say(ABORT)
        if ends == "reset":
            wire.wire.setsockopt(
                socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0"
            )  # so that closing resets
    wait_until(lambda: desk.n_connections() == 1)
    assert len(desk.partial_files()) == 1
    other.say_data(b"undisturbed")
    assert other.status() == 0
    assert other.release()
    other.wire.close()
    assert sha256_of(b"undisturbed") in desk.hashes
    wait_until(lambda: desk.n_connections() == 0)
    assert desk.partial_files() == []
    assert desk.scp.open_associations() == frozenset()


def test_many_peers_that_misbehave_at_once_do_not_disturb_four_that_send(desk: Desk) -> None:
    stop = threading.Event()

    def misbehave(number: int) -> None:
        while not stop.is_set():
            with contextlib.suppress(OSError, AssertionError), desk.speak() as wire:
                STATES[number % len(STATES)](wire)

    bad = [threading.Thread(target=misbehave, args=(n,)) for n in range(10)]
    for one in bad:
        one.start()
    try:
        contents = {f"{UID}.9.{n}": os.urandom(200_000 + n) for n in range(12)}
        results: list[int | None] = []

        def send(names: list[str]) -> None:
            with desk.speak().accepted() as wire:
                results.extend(wire.store(name, contents[name]) for name in names)

        names = sorted(contents)
        good = [threading.Thread(target=send, args=(names[n::4],)) for n in range(4)]
        for one in good:
            one.start()
        for one in good:
            one.join()
    finally:
        stop.set()
        for one in bad:
            one.join()
    assert results == [0] * 12
    assert {sha256_of(one) for one in contents.values()} <= set(desk.hashes)


def connect(desk: Desk, by: str = "127.0.0.1") -> socket.socket:
    return socket.create_connection(("127.0.0.1", desk.port), timeout=20, source_address=(by, 0))


def dribble(wire: socket.socket, content: bytes) -> int:
    """Send byte by byte, with a pause, until the node has enough of it; give how many went."""
    wire.settimeout(0.05)
    for number in range(len(content)):
        try:
            wire.sendall(content[number : number + 1])
            if wire.recv(64)[:1] in (b"", b"\x07"):
                return number
        except TimeoutError:
            continue
        except OSError:
            return number
    return len(content)
