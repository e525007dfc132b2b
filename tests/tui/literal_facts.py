"""What daemons tell on the literal line, as values: a screen needs no daemon to be looked at."""

import math

from appliance.facts import (
    ArchiveQueue,
    Computing,
    Facts,
    Gpu,
    KeyAge,
    LoadedModel,
    OpenAssociation,
    OpenCommitments,
    Probe,
    RouteQueue,
    ScannerContact,
    StoreVersion,
    Told,
)
from appliance.line import DiskSample
from appliance.stores.figures import Throughput
from tui.machine import Machine
from tui.system_facts import BIN_S, N_BINS, SystemFacts, Versions

GIB = 1 << 30
DAY_S = 86_400.0
VERSION = "0.1.0"


def literal_samples(now: float) -> tuple[DiskSample, ...]:
    """Three days in which a lab filled its disk by 60 GiB each."""
    return tuple(
        DiskSample(
            at=now - 3 * DAY_S + 1200.0 * number,
            free_bytes=int((992 - 60 * number / 72) * GIB),
            total_bytes=1800 * GIB,
        )
        for number in range(217)
    )


def literal_facts(now: float) -> SystemFacts:
    """Everything that can be told, once."""
    return SystemFacts(
        at=now,
        told={
            "node": told("node", now, memory_mib=212, facts=_node(now)),
            "anonymize": told("anonymize", now, memory_mib=301),
            "infer": told("infer", now, memory_mib=1840, facts=_infer()),
            "release": told("release", now, memory_mib=188, facts=_release(now)),
            "deliver@pacs": told("deliver@pacs", now, memory_mib=96, facts=_pacs(now)),
        },
        silent={
            "deliver@registry": "The deliver@registry daemon does not answer.",
            "deliver@research": "The deliver@research daemon does not answer.",
        },
        machine=Machine(
            n_cores=16,
            busy_share=0.42,
            memory_used_bytes=31 * GIB,
            memory_total_bytes=128 * GIB,
        ),
        throughput=_throughput(now),
        speeds={"5f0c9a": 38.4e6},
        versions=Versions(coverslip=VERSION, python="3.11.9", textual="8.2.8"),
    )


def told(daemon: str, now: float, *, memory_mib: int, facts: Facts | None = None) -> Told:
    """Make the answer of one daemon."""
    return Told(
        daemon=daemon,
        version=VERSION,
        pid=100,
        started_at=now - 3.2 * DAY_S,
        memory_bytes=memory_mib << 20,
        facts=facts or Facts(),
    )


def _node(now: float) -> Facts:
    return Facts(
        scanners=(
            ScannerContact(
                scanner="scanner-a", last_at=now - 12, n_objects=1204, n_bytes=86_000_000_000
            ),
            ScannerContact(scanner="scanner-b", last_at=None, n_objects=0, n_bytes=0),
        ),
        associations=(
            OpenAssociation(
                name="5f0c9a", scanner="scanner-a", since=now - 11, n_bytes=412_000_000
            ),
        ),
        commitments=OpenCommitments(
            undecided=1, unanswered=2, oldest_at=now - 190, next_try_at=None
        ),
        stores=(
            StoreVersion(store="journal", schema="journal_0004"),
            StoreVersion(store="receipts", schema="receipts_0002"),
        ),
    )


def _infer() -> Facts:
    def model(name: str, task: str, digit: str, device: str = "gpu", at: str = "") -> LoadedModel:
        return LoadedModel(
            name=name, version="1", task=task, digest=digit * 64, device=device, recipient=at
        )

    return Facts(
        models=(
            model("tissue", "tissue", "a"),
            model("artifact", "artifact", "b"),
            model("metastasis", "tiles", "c", "remote", "clinic"),
        ),
        computing=Computing(
            device="gpu",
            runtime="ONNX Runtime 1.31.0",
            workers=15,
            gpus=(
                Gpu(
                    name="NVIDIA L4",
                    busy_share=0.83,
                    memory_used_bytes=6 * GIB,
                    memory_total_bytes=24 * GIB,
                ),
            ),
        ),
    )


def _release(now: float) -> Facts:
    return Facts(
        keys=(
            KeyAge(name="sign", key_id="4be1" * 4, since=now - 184 * DAY_S),
            KeyAge(name="vault", key_id="90cd" * 4, since=now - 2 * DAY_S, n_earlier=1),
            KeyAge(name="pseudonym", key_id="77aa" * 4, since=None),
        ),
        stores=(StoreVersion(store="vault", schema="vault_0005"),),
    )


def _pacs(now: float) -> Facts:
    return Facts(
        route=RouteQueue(waiting=1, refused=0, next_try_at=now + 40, error=None),
        probe=Probe(at=now - 95, well=True, words="PACS answered C-ECHO", took_s=0.012),
    )


def literal_archive(now: float) -> Facts:
    """What the daemon of an archive route tells."""
    return Facts(
        archive=ArchiveQueue(
            waiting=14,
            waiting_bytes=3_200_000_000,
            unconfirmed=9,
            refused=1,
            next_try_at=now + 75,
            error="The archive did not accept the association.",
        )
    )


def _throughput(now: float) -> Throughput:
    """Count a day in which people come at eight and go at five."""
    hours = [(number + 1) * BIN_S / 3600 for number in range(N_BINS)]
    busy = [max(0.0, math.sin(math.pi * (hour - 13) / 10)) for hour in hours]
    return Throughput(
        since=(now // BIN_S - (N_BINS - 1)) * BIN_S,
        bin_s=BIN_S,
        received=tuple(round(7 * one) for one in busy),
        verdicts=tuple(round(6.6 * one) for one in busy),
        deliveries=tuple(round(12 * one) for one in busy),
    )
