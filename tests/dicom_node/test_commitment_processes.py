"""Storage commitment over real processes: killed between request and answer, several listeners."""

import signal
from contextlib import ExitStack
from pathlib import Path

from pydicom.uid import ExplicitVRLittleEndian

from appliance.daemon import open_journal
from dicom_node.send.sender import dicom_files, send
from tests.dicom_node.commitment_peers import Desk, action, ask, asking
from tests.dicom_node.conftest import wait_until
from tests.dicom_node.objects import Image, write
from tests.dicom_node.test_processes import NodeProcess


def terms(desk: Desk, answer: str) -> str:
    where = f'host = "127.0.0.1"\nport = {desk.port}' if answer == "new" else ""
    return f'[scanners.commitment]\nmeans = "own"\nanswer = "{answer}"\nverify = "hash"\n{where}'


class Port:
    """Where a node process listens, as the requesters want it."""

    def __init__(self, node: NodeProcess) -> None:
        self.port = node.endpoint.port


def test_a_node_killed_between_request_and_answer_answers_when_it_is_back(tmp_path: Path) -> None:
    desk, image = Desk(), Image()
    node = NodeProcess(tmp_path, quiet_s=600.0, scanner=terms(desk, "new"))
    try:
        send(dicom_files(write(image, tmp_path / "scanner")), node.endpoint)
        content = action(image.uid)
        with asking(Port(node)) as association:
            assert ask(association, content) == 0x0000
            node.end(signal.SIGKILL)
        node.start()
        with desk.opened():
            wait_until(lambda: bool(desk.reports), 30)
        assert [one.transaction_uid for one in desk.reports] == [content.TransactionUID]
        assert desk.reports[0].committed == {image.uid}
        journal = open_journal(node.settings)
        # The request covered all that came: the slide went on without its quiet time.
        wait_until(lambda: [one.stage for one in journal.board.snapshot()] == ["deidentify"], 20)
        journal._engine.dispose()
    finally:
        node.end(signal.SIGTERM)


def test_every_listener_process_answers_on_its_own_associations(tmp_path: Path) -> None:
    desks = [Desk() for _ in range(6)]
    images = [Image() for _ in desks]
    node = NodeProcess(
        tmp_path, node="listeners = 3", scanner=terms(desks[0], "same"), quiet_s=600.0
    )
    try:
        for image in images:
            write(image, tmp_path / "scanner")
        send(dicom_files(tmp_path / "scanner"), node.endpoint)
        with ExitStack() as stack:
            for desk, image in zip(desks, images, strict=True):
                association = stack.enter_context(
                    asking(Port(node), syntax=ExplicitVRLittleEndian, desk=desk)
                )
                assert ask(association, action(image.uid)) == 0x0000
            wait_until(lambda: all(desk.reports for desk in desks), 30)
        assert [[one.committed for one in desk.reports] for desk in desks] == [
            [{image.uid}] for image in images
        ]
    finally:
        node.end(signal.SIGTERM)
