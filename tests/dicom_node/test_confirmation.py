"""Delivered means committed, where a route asks for it: whatever the PACS answers, and when."""

import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest
from pydicom import Dataset
from pynetdicom import evt
from pynetdicom.association import Association
from pynetdicom.events import Event

from appliance.errors import ConfigError, DeliveryRefused, PeerUnavailable
from appliance.settings import ClientTls, Confirmation, ServerTls
from dicom_node.contexts import (
    STORAGE_COMMITMENT,
    STORAGE_COMMITMENT_INSTANCE,
    commitment_context,
)
from dicom_node.send.association import Endpoint, associated
from dicom_node.send.confirmation import COMMITTED, Confirmer, confirm
from dicom_node.send.confirmed_sending import NotConfirmed, send_until_confirmed
from dicom_node.send.requestor import Requestor
from dicom_node.send.sender import Outgoing, echo, outgoing, send
from dicom_node.status import PeerFailed
from tests.dicom_node.committing import Pacs, request_for, running_pacs
from tests.dicom_node.conftest import wait_until
from tests.dicom_node.objects import Image, write
from tests.dicom_node.real_peers import certificates, free_port, running_orthanc

SOON_S = 10.0
AT_ONCE_S = 0.2


@pytest.fixture
def pacs() -> Iterator[Pacs]:
    with running_pacs(Pacs()) as one:
        yield one


@pytest.fixture
def files(tmp_path: Path) -> list[Outgoing]:
    return [outgoing(write(Image(), tmp_path / "made")) for _ in range(3)]


def terms(wait_s: float = SOON_S, *, report_port: int | None = None) -> Confirmation:
    return Confirmation(wait_s=wait_s, report_host="127.0.0.1", report_port=report_port)


def confirmer_of(pacs: Pacs, wait_s: float = SOON_S, *, listens: bool = False) -> Confirmer:
    return Confirmer(
        endpoint=pacs.endpoint, terms=terms(wait_s, report_port=0 if listens else None)
    )


def deliver(
    files: list[Outgoing], confirmer: Confirmer, pacs: Pacs, *, again: bool = False
) -> None:
    send_until_confirmed(files, confirmer, lambda some: send(some, pacs.endpoint), again=again)


def uids(files: list[Outgoing]) -> list[str]:
    return [one.sop_instance_uid for one in files]


def test_an_answer_on_the_same_association_counts(pacs: Pacs, files: list[Outgoing]) -> None:
    deliver(files, confirmer_of(pacs), pacs)
    assert pacs.stored == uids(files)
    wait_until(lambda: pacs.statuses == [0])


@pytest.mark.parametrize("roles", ["with role", "without roles"])
def test_an_answer_on_a_new_association_counts(
    pacs: Pacs, files: list[Outgoing], roles: str
) -> None:
    pacs.way, pacs.with_role = "new", roles == "with role"
    with confirmer_of(pacs, listens=True).listening() as confirmer:
        pacs.report_port = confirmer.report_port
        deliver(files, confirmer, pacs)
        wait_until(lambda: pacs.statuses == [0])
    assert len(pacs.requests) == 1


def test_an_answer_on_the_same_association_counts_while_we_listen_too(
    pacs: Pacs, files: list[Outgoing]
) -> None:
    with confirmer_of(pacs, listens=True).listening() as confirmer:
        deliver(files, confirmer, pacs)


def test_many_requests_in_a_row_leave_nobody_waiting(pacs: Pacs, files: list[Outgoing]) -> None:
    send(files, pacs.endpoint)
    confirmer = confirmer_of(pacs)
    for _ in range(40):
        assert confirmer.ask(files) == dict.fromkeys(uids(files), COMMITTED)
        confirmer.forget(files)
    wait_until(lambda: len(pacs.statuses) == 40)
    assert set(pacs.statuses) == {0}, "every report was answered before the association ended"


def test_a_pacs_that_never_answers_is_asked_again_and_gets_nothing_twice(
    pacs: Pacs, files: list[Outgoing]
) -> None:
    pacs.way = "never"
    confirmer = confirmer_of(pacs, AT_ONCE_S)
    for number in range(1, 4):
        with pytest.raises(NotConfirmed, match="has not confirmed yet"):
            deliver(files, confirmer, pacs, again=number > 1)
        assert len(pacs.requests) == number
    assert pacs.stored == uids(files)


def test_a_late_answer_is_remembered(pacs: Pacs, files: list[Outgoing]) -> None:
    pacs.way = "never"
    with confirmer_of(pacs, AT_ONCE_S, listens=True).listening() as confirmer:
        pacs.report_port = confirmer.report_port
        with pytest.raises(NotConfirmed):
            deliver(files, confirmer, pacs)
        assert pacs.report(pacs.requests[0]) == 0
        deliver(files, confirmer, pacs, again=True)
    assert len(pacs.requests) == 1, "what is known is not asked again"
    assert pacs.stored == uids(files)


def test_a_new_process_asks_first_and_sends_only_what_is_missing(
    pacs: Pacs, files: list[Outgoing]
) -> None:
    send(files[:2], pacs.endpoint)
    deliver(files, confirmer_of(pacs), pacs, again=True)
    assert pacs.stored == uids(files)


def test_what_the_pacs_denies_is_sent_again(pacs: Pacs, files: list[Outgoing]) -> None:
    confirmer = confirmer_of(pacs)
    pacs.reasons = {files[1].sop_instance_uid: 0x0112}
    with pytest.raises(PeerFailed, match="does not confirm that it has them"):
        deliver(files, confirmer, pacs)
    pacs.stored.remove(files[1].sop_instance_uid)
    pacs.reasons = {}
    deliver(files, confirmer, pacs, again=True)
    assert sorted(pacs.stored) == sorted(uids(files))
    assert pacs.stored[-1] == files[1].sop_instance_uid


def test_a_pacs_without_room_to_confirm_gets_nothing_again(
    pacs: Pacs, files: list[Outgoing]
) -> None:
    confirmer = confirmer_of(pacs)
    pacs.reasons = dict.fromkeys(uids(files), 0x0213)
    for again in (False, True):
        with pytest.raises(NotConfirmed):
            deliver(files, confirmer, pacs, again=again)
    assert pacs.stored == uids(files)


@pytest.mark.parametrize(
    ("reason", "words"), [(0x0119, "another kind"), (0x0122, "no objects of this kind")]
)
def test_a_final_no_is_one_sentence_and_is_not_remembered(
    pacs: Pacs, files: list[Outgoing], reason: int, words: str
) -> None:
    confirmer = confirmer_of(pacs)
    pacs.reasons = {files[0].sop_instance_uid: reason}
    with pytest.raises(DeliveryRefused, match=words):
        deliver(files, confirmer, pacs)
    pacs.reasons = {}
    deliver(files, confirmer, pacs)


def test_a_pacs_that_does_not_offer_the_service_is_no_endless_loop(files: list[Outgoing]) -> None:
    with (
        running_pacs(Pacs(offers=False)) as pacs,
        pytest.raises(DeliveryRefused, match="does not offer storage commitment"),
    ):
        deliver(files, confirmer_of(pacs), pacs)


@pytest.mark.parametrize(
    ("status", "kind"),
    [(0x0124, DeliveryRefused), (0x0110, PeerFailed), (0x0213, PeerUnavailable)],
)
def test_a_request_that_is_not_taken_is_told_by_its_status(
    pacs: Pacs, files: list[Outgoing], status: int, kind: type[Exception]
) -> None:
    pacs.action_status = status
    with pytest.raises(kind):
        deliver(files, confirmer_of(pacs), pacs)


def test_reports_are_answered_as_the_standard_says(pacs: Pacs, files: list[Outgoing]) -> None:
    pacs.way = "never"
    with confirmer_of(pacs, AT_ONCE_S, listens=True).listening() as confirmer:
        pacs.report_port = confirmer.report_port
        confirmer.ask(files)
        (asked,) = pacs.requests
        assert pacs.report(asked, event_type=3) == 0x0113
        assert pacs.report(request_for(["1.2.3"], "1.2.3")) == 0x0115
        nameless = Dataset()
        nameless.ReferencedSOPSequence = asked.ReferencedSOPSequence
        assert pacs.report_content(nameless) == 0x0115
        assert confirmer.answers(files) == {}
        pacs.stored = uids(files)
        assert pacs.report(asked) == 0
        assert pacs.report(asked) == 0, "one that comes twice is taken twice"
        assert confirmer.answers(files) == dict.fromkeys(uids(files), COMMITTED)


def test_a_report_about_what_was_not_asked_is_not_believed(
    pacs: Pacs, files: list[Outgoing]
) -> None:
    pacs.way = "never"
    pacs.stored = uids(files)
    with confirmer_of(pacs, AT_ONCE_S, listens=True).listening() as confirmer:
        pacs.report_port = confirmer.report_port
        confirmer.ask(files[:1])
        more = request_for(uids(files), files[0].sop_class_uid)
        more.TransactionUID = pacs.requests[0].TransactionUID
        assert pacs.report(more) == 0
        assert list(confirmer.answers(files)) == [files[0].sop_instance_uid]


def test_a_late_no_to_an_older_request_says_nothing_of_what_was_sent_since(
    pacs: Pacs, files: list[Outgoing]
) -> None:
    pacs.way = "never"
    with confirmer_of(pacs, AT_ONCE_S, listens=True).listening() as confirmer:
        pacs.report_port = confirmer.report_port
        confirmer.ask(files)
        send(files, pacs.endpoint)
        confirmer.ask(files)
        older, newer = pacs.requests
        pacs.denies = True
        assert pacs.report(older) == 0
        assert confirmer.answers(files) == {}
        assert pacs.report(newer) == 0
        assert set(confirmer.answers(files).values()) == {0x0112}


def test_a_yes_to_an_older_request_counts(pacs: Pacs, files: list[Outgoing]) -> None:
    pacs.way = "never"
    pacs.stored = uids(files)
    with confirmer_of(pacs, AT_ONCE_S, listens=True).listening() as confirmer:
        pacs.report_port = confirmer.report_port
        confirmer.ask(files)
        confirmer.ask(files)
        assert pacs.report(pacs.requests[0]) == 0
        assert confirmer.open(files) == []


def test_an_object_in_both_lists_has_failed(pacs: Pacs, files: list[Outgoing]) -> None:
    pacs.way = "never"
    pacs.stored = uids(files)
    with confirmer_of(pacs, AT_ONCE_S, listens=True).listening() as confirmer:
        pacs.report_port = confirmer.report_port
        confirmer.ask(files[:1])
        content = Dataset()
        content.TransactionUID = pacs.requests[0].TransactionUID
        asked = pacs.requests[0].ReferencedSOPSequence
        content.ReferencedSOPSequence = asked
        content.FailedSOPSequence = request_for(uids(files[:1]), "1.2").ReferencedSOPSequence
        assert pacs.report_content(content) == 0
        assert list(confirmer.answers(files).values()) == [0x0110]


def test_the_listener_answers_an_echo_and_only_to_its_own_name(pacs: Pacs) -> None:
    with confirmer_of(pacs, listens=True).listening() as confirmer:
        values = {"host": "127.0.0.1", "port": confirmer.report_port, "calling_ae_title": "PACS"}
        echo(Endpoint(called_ae_title="COVERSLIP", **values))
        with pytest.raises(DeliveryRefused, match="AE title"):
            echo(Endpoint(called_ae_title="OTHER", **values))


def test_silent_and_garbled_connections_do_not_keep_a_report_out(
    pacs: Pacs, files: list[Outgoing]
) -> None:
    pacs.way = "new"
    with confirmer_of(pacs, listens=True).listening() as confirmer, ExitStack() as open_:
        pacs.report_port = confirmer.report_port
        address = ("127.0.0.1", confirmer.report_port)
        for content in (b"", b"GET / HTTP/1.1\r\n\r\n", b"\x01\x00\xff\xff\xff\xff", b"\x04"):
            for _ in range(2):
                stranger = open_.enter_context(socket.create_connection(address))
                stranger.sendall(content)
        deliver(files, confirmer, pacs)


def test_reports_come_over_tls_from_those_whom_we_trust(
    pacs: Pacs, files: list[Outgoing], tmp_path: Path
) -> None:
    keys = certificates(tmp_path / "tls", "127.0.0.1")
    listening = ServerTls(certificate=keys.server, key=keys.server_key, ca=keys.ca)
    pacs.way = "new"
    pacs.report_tls = ClientTls(ca=keys.ca, certificate=keys.client, key=keys.client_key)
    with_tls = terms(report_port=0).model_copy(update={"report_tls": listening})
    with Confirmer(endpoint=pacs.endpoint, terms=with_tls).listening() as confirmer:
        pacs.report_port = confirmer.report_port
        deliver(files, confirmer, pacs)
        with pytest.raises(PeerUnavailable):
            echo(replace(pacs.endpoint, port=confirmer.report_port, called_ae_title="COVERSLIP"))


def test_a_taken_port_names_the_key_of_the_settings(pacs: Pacs) -> None:
    taken = Confirmer(endpoint=pacs.endpoint, terms=terms(report_port=pacs.port))
    with pytest.raises(ConfigError, match=r"confirmation\.report_port"), taken.listening():
        pass


def test_nobody_there_to_ask_is_waited_for(files: list[Outgoing]) -> None:
    nobody = Endpoint(
        host="127.0.0.1", port=free_port(), called_ae_title="PACS", calling_ae_title="COVERSLIP"
    )
    with pytest.raises(PeerUnavailable):
        confirm(files, nobody, terms())


# Orthanc, as it comes.


def test_orthanc_commits_to_what_it_has_and_denies_the_rest(
    tmp_path: Path, files: list[Outgoing], require_tool: Callable[[str], str]
) -> None:
    port = free_port()
    modalities = {"coverslip": ["COVERSLIP", "127.0.0.1", port]}
    with running_orthanc(
        require_tool("Orthanc"), tmp_path / "orthanc", DicomModalities=modalities
    ) as orthanc:
        endpoint = Endpoint(
            host="127.0.0.1",
            port=orthanc.dicom_port,
            called_ae_title="PACS",
            calling_ae_title="COVERSLIP",
        )
        send(files[:2], endpoint)
        there = confirm(files, endpoint, terms(report_port=port))
        assert there == {
            files[0].sop_instance_uid: COMMITTED,
            files[1].sop_instance_uid: COMMITTED,
            files[2].sop_instance_uid: 0x0112,
        }
        confirmer = Confirmer(endpoint=endpoint, terms=terms(report_port=port))
        sent: list[str] = []

        def sending(some: list[Outgoing]) -> None:
            sent.extend(uids(some))
            send(some, endpoint)

        with confirmer.listening():
            send_until_confirmed(files, confirmer, sending, again=True)
        assert sent == [files[2].sop_instance_uid]
        assert set(orthanc.instances()) == set(uids(files))


# A deliverer that dies.

_DYING = """
import os, signal, sys
from pathlib import Path
from appliance.settings import Confirmation
from dicom_node.send.association import Endpoint
from dicom_node.send.confirmation import Confirmer
from dicom_node.send.confirmed_sending import send_until_confirmed
from dicom_node.send.sender import dicom_files, send

endpoint = Endpoint(
    host="127.0.0.1", port=int(sys.argv[2]), called_ae_title="PACS", calling_ae_title="COVERSLIP"
)

def send_and_die(some):
    send(some, endpoint)
    os.kill(os.getpid(), signal.SIGKILL)

confirmer = Confirmer(endpoint=endpoint, terms=Confirmation(wait_s=10.0))
send_until_confirmed(dicom_files(Path(sys.argv[1])), confirmer, send_and_die, again=False)
"""


def test_a_deliverer_killed_between_sending_and_asking_sends_nothing_twice(
    pacs: Pacs, files: list[Outgoing]
) -> None:
    command = [sys.executable, "-c", _DYING, str(files[0].path.parent), str(pacs.port)]
    died = subprocess.run(command, check=False, env={**os.environ, "PYTHONPATH": str(Path.cwd())})
    assert died.returncode == -signal.SIGKILL
    assert sorted(pacs.stored) == sorted(uids(files))
    assert pacs.requests == []
    deliver(files, confirmer_of(pacs), pacs, again=True)
    assert len(pacs.stored) == len(files)
    assert len(pacs.requests) == 1


# What we rely on in the library.


def test_our_answer_is_on_its_way_before_we_release(pacs: Pacs, files: list[Outgoing]) -> None:
    came, never = threading.Event(), threading.Event()

    def slow(_event: Event) -> tuple[int, None]:
        came.set()
        never.wait(0.5)
        return 0, None

    request = request_for(uids(files), files[0].sop_class_uid)
    with associated(
        pacs.endpoint, [commitment_context()], handlers=[(evt.EVT_N_EVENT_REPORT, slow)]
    ) as association:
        association.send_n_action(request, 1, STORAGE_COMMITMENT, STORAGE_COMMITMENT_INSTANCE)
        assert came.wait(10)
    wait_until(lambda: pacs.statuses == [0])


def test_pynetdicom_still_has_what_our_associations_replace(
    pacs: Pacs, files: list[Outgoing]
) -> None:
    assert callable(Association._serve_request)
    with associated(pacs.endpoint, [commitment_context()]) as association:
        assert isinstance(association, Requestor)
        assert association._kill is False
        association._reactor_checkpoint.clear()
        wait_until(lambda: association._is_paused)
        association._is_paused = False
        assert association._is_paused, "only its own thread may say so"
        association._reactor_checkpoint.set()
