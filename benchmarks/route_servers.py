"""Model servers for the benchmark, each a process of its own, and a line that asks them."""

import json
import resource
import secrets
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from appliance import manifest
from appliance.answers import read_answers
from appliance.daemon import IDLE_WAIT_S
from appliance.line import Parcel
from appliance.settings import Route
from appliance.stores.database import open_engine
from appliance.stores.journal import Journal
from dicom_node.deliver.daemon import Deliverer, carrier_of, parcels_at_once
from dicom_node.deliver.returned import Returned
from tests.dicom_node.oip_site import Tiles, parcel_of, shard
from tests.dicom_node.real_triton import running_triton

ROOT = Path(__file__).parents[1]
TRITON_PYTHON = str(ROOT / ".venv-triton" / "bin" / "python")
PARCEL_TILES = 256
"""As release packs them."""
_LOOK_EVERY_S = 0.05
_LIMIT_S = 600.0


@dataclass(kw_only=True)
class Server:
    """A server that runs."""

    url: str
    process: subprocess.Popen[str] | None = None
    """Of a double; None for Triton, whose metrics say what it was asked."""
    metrics: str = ""

    def asked_tiles(self) -> int:
        """Tiles that it was asked about; ends a double. 0 of one that was killed."""
        if self.process is None:
            with urllib.request.urlopen(self.metrics, timeout=5) as answer:  # noqa: S310  our own
                lines = answer.read().decode().splitlines()
            counts = [line for line in lines if line.startswith("nv_inference_count{")]
            return int(sum(float(line.rpartition(" ")[2]) for line in counts))
        said, _ = self.process.communicate(timeout=30)
        return int(json.loads(said)["tiles"]) if said else 0

    def kill(self) -> None:
        """End it as a power cut would."""
        if self.process is not None:
            self.process.kill()


@contextmanager
def tritons(n: int, folder: Path) -> Iterator[list[Server]]:
    """Run real servers with the metastasis model, each with one thread for it."""
    with ExitStack() as stack:
        made = []
        for number in range(n):
            one = stack.enter_context(running_triton(TRITON_PYTHON, folder / f"triton-{number}"))
            made.append(one)
        yield [Server(url=one.grpc, metrics=one.metrics) for one in made]


@contextmanager
def doubles(n: int, *options: str) -> Iterator[list[Server]]:
    """Run servers whose service time is declared; see `tests.dicom_node.oip_double`."""
    with ExitStack() as stack:
        yield [stack.enter_context(_double(options)) for _ in range(n)]


@contextmanager
def _double(options: Sequence[str]) -> Iterator[Server]:
    command = [sys.executable, "-m", "tests.dicom_node.oip_double", *options]
    with subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            url = process.stdout.readline() if process.stdout is not None else ""
            yield Server(url=url.strip(), process=process)
        finally:
            process.kill()


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """Of one run."""

    n_tiles: int
    wall_s: float
    cpu_s: float
    """Of the deliverer alone: user and system."""
    lost: int
    """Tiles without an answer, or with another's."""
    doubled: int
    """Tiles that are answered more than once."""

    @property
    def tiles_s(self) -> float:
        """Throughput."""
        return self.n_tiles / self.wall_s

    @property
    def ms_per_tile(self) -> float:
        """The appliance's own cost."""
        return self.cpu_s / self.n_tiles * 1e3


class Line:
    """An outbox full of signed parcels, and a deliverer with as many threads as the daemon's.

    Parameters
    ----------
    folder
        Empty; everything goes there.
    route
        To the servers.
    tiles
        Of one parcel, with what the model says of them; every parcel holds these under other ids.
    n_parcels
        How many there are.
    """

    def __init__(
        self, folder: Path, route: Route, *, tiles: Mapping[str, Tiles], n_parcels: int
    ) -> None:
        self._route = route
        self._n_tiles = n_parcels * len(tiles)
        self._key = Ed25519PrivateKey.generate()
        self._outbox = folder / "outbox"
        self._answers = folder / "answers"
        self._outbox.mkdir(parents=True)
        self._answers.mkdir()
        self._journal = Journal(open_engine(f"sqlite:///{folder}/journal.db", store="journal"))
        self.tile_ids: dict[str, tuple[str, ...]] = {}
        for number in range(n_parcels):
            self._post(f"parcel-{number:04d}", tiles)

    def run(
        self, expected: npt.NDArray[np.float32], *, midway: Callable[[], None], midway_s: float
    ) -> Figures:
        """Deliver all; count what came back.

        Parameters
        ----------
        expected
            `(tiles of a parcel, classes)`: what the model says.
        midway
            Called once, so many seconds after the start.
        """
        deliverer = self._deliverer()
        event = threading.Timer(midway_s, midway)
        used, began = _cpu_s(), time.perf_counter()
        event.start()
        ended = threading.Event()
        threads = [
            threading.Thread(target=self._work, args=(deliverer, ended), daemon=True)
            for _ in range(parcels_at_once(self._route))
        ]
        for thread in threads:
            thread.start()
        while self._journal.parcels.pending() and time.perf_counter() - began < _LIMIT_S:
            time.sleep(_LOOK_EVERY_S)
        wall_s, cpu_s = time.perf_counter() - began, _cpu_s() - used
        ended.set()
        event.cancel()
        for thread in threads:
            thread.join(60.0)
        lost, doubled = self._count(expected)
        return Figures(
            n_tiles=self._n_tiles, wall_s=wall_s, cpu_s=cpu_s, lost=lost, doubled=doubled
        )

    @staticmethod
    def _work(deliverer: Deliverer, ended: threading.Event) -> None:
        while not ended.is_set():
            if not deliverer.step():
                ended.wait(IDLE_WAIT_S)

    def _deliverer(self) -> Deliverer:
        returned = Returned(folder=self._answers)
        return Deliverer(
            journal=self._journal,
            route=self._route,
            outbox=self._outbox,
            open_parcel=partial(
                manifest.open_verified, route=self._route, public_key=self._key.public_key()
            ),
            carrier=carrier_of(self._route, None, returned),
            returned=returned,
            wait_s=lambda _retries: 1.0,
        )

    def _post(self, parcel_id: str, tiles: Mapping[str, Tiles]) -> None:
        ids = sorted(secrets.token_hex(16) for _ in tiles)
        ordered = dict(zip(ids, tiles.values(), strict=True))
        self.tile_ids[parcel_id] = tuple(ordered)
        content = shard(ordered)
        folder = self._outbox / f"{parcel_id}@token"
        folder.mkdir()
        (folder / f"{parcel_id}.tar").write_bytes(content)
        made = parcel_of(content, self._route, parcel_id).manifest
        made = replace(made, key_id=manifest.key_id(self._key.public_key()))
        manifest.sign(folder, made, self._key)
        parcel = Parcel(
            parcel_id=parcel_id,
            route=self._route.name,
            kind="tiles",
            folder=folder.name,
            slide_id=None,
        )
        with self._journal._engine.begin() as connection:  # noqa: SLF001  as release's commit does
            self._journal.parcels.add(connection, parcel)

    def _count(self, expected: npt.NDArray[np.float32]) -> tuple[int, int]:
        """Count tiles that were lost or answered twice, over all that release would collect."""
        seen: dict[str, int] = {}
        for one in self._journal.parcels.answered():
            answers = read_answers(self._answers / one.folder)
            right = answers.tile_ids == self.tile_ids[one.parcel_id] and np.allclose(
                answers.values, expected, atol=1e-6
            )
            for tile_id in answers.tile_ids if right else ():
                seen[tile_id] = seen.get(tile_id, 0) + 1
        wanted = [tile_id for ids in self.tile_ids.values() for tile_id in ids]
        lost = sum(tile_id not in seen for tile_id in wanted)
        return lost, sum(n - 1 for n in seen.values())


def _cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime
