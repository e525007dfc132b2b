"""The node daemon: the SCP, the watcher over what arrives, and the assemble stage."""

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from appliance.control import Command, Operator
from appliance.daemon import Daemon, open_journal
from appliance.errors import ApplianceError, ForbiddenAction
from appliance.line import Role, Stage, State
from appliance.sealing import read_seal_public, seal
from appliance.settings import Settings
from appliance.storage import Root, free_bytes, write_durably
from appliance.stores.database import open_engine
from appliance.stores.deposits import Deposits
from appliance.stores.intake import Intake
from appliance.stores.journal import Journal
from appliance.stores.originals import Originals
from appliance.stores.receipts import Receipts
from appliance.worker import Worker
from dicom_node.commitment.answerer import CommitmentAnswerer
from dicom_node.dicomweb.process import open_web, publish_port
from dicom_node.listeners import Listeners
from dicom_node.receive.chores import Sampling, Sweeping, Unhurried
from dicom_node.receive.listening import listen
from dicom_node.receive.places import receipts_url
from dicom_node.receive.scp import StorageSCP
from dicom_node.receive.spool import FreeBytes, Spool
from dicom_node.receive.telling import node_facts
from dicom_node.receiving import Receiving, build_receiving, commitment_terms
from dicom_node.slides.arrivals import DAEMON, Arrivals, Scanner
from dicom_node.slides.assemble import Assemble
from dicom_node.slides.completeness import Profile
from dicom_node.slides.described import Description
from dicom_node.slides.finding import find_command
from dicom_node.slides.purging import Purge

log = logging.getLogger(__name__)

PORT_FILE: Final = "node.port"
"""In `run/`: the port that the node is bound to, for a settings file that asks for port 0."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """The parts of the node, put together from the settings."""

    root: Root
    receiving: Receiving
    journal: Journal
    arrivals: Arrivals
    worker: Worker
    answerer: CommitmentAnswerer
    purge: Purge

    @property
    def receipts(self) -> Receipts:
        """The receipts."""
        return self.receiving.receipts

    @property
    def spool(self) -> Spool:
        """The spool."""
        return self.receiving.spool

    @property
    def scp(self) -> StorageSCP:
        """The storage SCP of this process."""
        return self.receiving.scp

    @property
    def port(self) -> int:
        """The bound port."""
        return int(self.receiving.listening.getsockname()[1])

    def start(self) -> int:
        """Become the node of the spool, listen, publish the bound port, and give it.

        Raises
        ------
        ConfigError
            Another node works on the spool.
        """
        try:
            self.spool.own()
        except ApplianceError:
            self.receiving.listening.close()
            raise
        n_swept = self.spool.sweep_instances(self.receipts.hashes())
        if n_swept:
            log.info("%d objects that were never answered for were removed", n_swept)
        self.receiving.commitments.wake()
        self.scp.start()
        write_durably(self.root.zone("run") / PORT_FILE, f"{self.port}\n".encode(), mode=0o644)
        return self.port

    def stop(self) -> None:
        """Stop listening, and let another node work on the spool."""
        self.scp.stop()
        self.spool.disown()


def build(
    settings: Settings,
    journal: Journal,
    *,
    free: FreeBytes = free_bytes,
    clock: Callable[[], float] = time.time,
) -> Node:
    """Put the node together; its socket is bound, and nothing is taken from it yet.

    Parameters
    ----------
    settings
        Checked settings.
    journal
        The journal.
    free
        Tells how many bytes are free on the file system of a folder.
    clock
        Seconds since the epoch.

    Raises
    ------
    ConfigError
        The address cannot be listened on.
    """
    root = Root(settings.storage.root)
    listening = listen(settings.node.host, settings.node.port)
    receiving = build_receiving(settings, journal, listening, free=free, clock=clock)
    arrivals = Arrivals(
        receipts=receiving.receipts,
        journal=journal,
        in_flight=receiving.spool.in_flight,
        open_associations=receiving.scp.open_associations,
        scanners=_scanners(settings),
        clock=clock,
        covers=receiving.commitments.covers,
    )
    handler = Assemble(
        receipts=receiving.receipts,
        spool=receiving.spool,
        root=root,
        seal=partial(seal, read_seal_public(settings.keys.file("seal.pub"))),
    )
    worker = Worker(journal=journal, root=root, stage=Stage.ASSEMBLE, handle=handler)
    return Node(
        root=root,
        receiving=receiving,
        journal=journal,
        arrivals=arrivals,
        worker=worker,
        answerer=_answerer(settings, receiving, journal, clock),
        purge=_purge(settings, receiving, journal, clock),
    )


def run(settings: Settings) -> int:
    """Run the node daemon; give the exit code."""
    journal = open_journal(settings)
    node = build(settings, journal)
    intake = Intake(open_engine(receipts_url(node.root), store="receipts"))
    web = open_web(settings)
    port = node.start()
    if web is not None:
        publish_port(node.root, web)
    listeners = Listeners(settings, node.receiving.listening, [] if web is None else [web])
    daemon = Daemon(
        name=DAEMON,
        settings=settings,
        journal=journal,
        steps=[
            Unhurried(node.arrivals.step),
            node.worker.step,
            node.answerer.decide,
            node.answerer.answer,
            Sweeping(node.spool),
            Sampling(node.root.path, journal),
            listeners.tend,
        ],
        commands=commands(node),
        facts=lambda: node_facts(settings.scanners, intake, node.spool),
        words="; ".join(
            one
            for one in (_words(settings, port, None if web is None else web.port), node.scp.words)
            if one
        ),
    )
    try:
        return daemon.run()
    finally:
        listeners.stop()
        node.stop()


def _words(settings: Settings, port: int, web_port: int | None) -> str:
    words = f"{settings.node.ae_title} listening on port {port}"
    if settings.node.listeners > 1:
        words = f"{words}, {settings.node.listeners} processes"
    return words if web_port is None else f"{words}; STOW-RS on port {web_port}"


def commands(node: Node) -> dict[str, Command]:
    """Give what an operator can ask of the node beside the usual actions."""

    def force_complete(operator: Operator, arguments: Mapping[str, Any]) -> dict[str, Any]:
        slide_id = str(arguments.get("slide_id", ""))
        _known(node, slide_id)
        node.receipts.force(slide_id)
        node.journal.note(
            operator.name, "force-complete", "Declared complete as it is.", slide_id=slide_id
        )
        _retry_if_stopped(node, slide_id, operator)
        return {"done": "force_complete"}

    def settle_conflict(operator: Operator, arguments: Mapping[str, Any]) -> dict[str, Any]:
        slide_id = str(arguments.get("slide_id", ""))
        keep = arguments.get("keep")
        if keep not in ("first", "newest"):
            raise ForbiddenAction("Say which object to keep: first or newest.")
        _known(node, slide_id)
        n_dismissed = node.receipts.keep(slide_id, newest=keep == "newest")
        words = f"Of objects under one UID the {keep} is kept; {n_dismissed} dismissed."
        node.journal.note(operator.name, "settle-conflict", words, slide_id=slide_id)
        _retry_if_stopped(node, slide_id, operator)
        return {"done": "settle_conflict", "dismissed": n_dismissed}

    return {
        "force_complete": Command(role=Role.TECHNICIAN, run=force_complete),
        "settle_conflict": Command(role=Role.ADMINISTRATOR, run=settle_conflict),
        "find": find_command(receipts=node.receipts, journal=node.journal),
        **node.purge.commands(),
        **Description(
            receipts=node.receipts, originals=node.purge.originals, path_of=node.spool.path
        ).commands(),
    }


def _known(node: Node, slide_id: str) -> None:
    if node.receipts.slide(slide_id) is None:
        raise ForbiddenAction("The node knows no slide of this id.")


def _retry_if_stopped(node: Node, slide_id: str, operator: Operator) -> None:
    status = node.journal.board.slide(slide_id)
    at_assemble = status is not None and status.stage is Stage.ASSEMBLE
    if status is not None and at_assemble and status.state in (State.ASIDE, State.HELD):
        node.journal.operate("retry", slide_id, operator=operator.name)


def _answerer(
    settings: Settings, receiving: Receiving, journal: Journal, clock: Callable[[], float]
) -> CommitmentAnswerer:
    return CommitmentAnswerer(
        commitments=receiving.commitments,
        terms=commitment_terms(settings),
        ae_title=settings.node.ae_title,
        path_of=receiving.spool.path,
        open_associations=receiving.spool.open_associations,
        note=lambda text, slide_id: journal.note(DAEMON, "commitment", text, slide_id=slide_id),
        clock=clock,
    )


def _purge(
    settings: Settings, receiving: Receiving, journal: Journal, clock: Callable[[], float]
) -> Purge:
    engine = open_engine(receipts_url(Root(settings.storage.root)), store="receipts")
    return Purge(
        originals=Originals(engine, clock),
        deposits=Deposits(engine, clock, lease_s=settings.journal.lease_s),
        journal=journal,
        root=Root(settings.storage.root),
        path_of=receiving.spool.path,
        archive_routes=[one.name for one in settings.routes if one.is_archive],
        archiving_scanners={
            one.ae_title.strip() for one in settings.scanners if one.also_archived_by_scanner
        },
    )


def _scanners(settings: Settings) -> dict[str, Scanner]:
    return {
        one.ae_title: Scanner(
            name=one.name,
            profile=Profile(
                quiet_s=one.quiet_s, expects=one.expects, commits=one.commitment is not None
            ),
        )
        for one in settings.scanners
    }
