"""How fast tiles are asked about at one, two and more model servers, and what it costs here.

Signed parcels of 256 tiles (PNG, 96 px) lie in an outbox; a deliverer with as many threads as the
daemon's verifies, decodes and asks about each, checks the answers, and publishes them. It talks
over the loopback, by gRPC where nothing else is said,

* to real Triton servers with the bundled metastasis model, one thread each: how many requests in
  flight are worth it, and what one and two servers give. Deliverer and servers share the machine,
  so this does not show how it scales;
* to servers whose service time is declared and fixed, as if each had a GPU of its own: whether the
  deliverer keeps 1, 4 and 8 of them busy;
* to four of these, of which one is killed in the midst and one begins to lie.

Nothing that a server counts is believed: what was published is compared with what the model says
of each tile. The appliance's own cost is the CPU time of the deliverer's process, beside that of
decoding alone. `QUICK=1` does a short form, for its numbers and not for its verdict.
"""

import os
import shutil
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from benchmarks.route_servers import (
    PARCEL_TILES,
    Figures,
    Line,
    Server,
    doubles,
    tritons,
)
from dicom_node.model_servers.shard import Shard
from tests.dicom_node.oip_double import INPUT, OUTPUT, SIDE_PX, Tiles, cheap, session
from tests.dicom_node.oip_site import parcel_of, shard, site_route, some_tiles

QUICK = bool(os.environ.get("QUICK"))
BATCH = 32
SERVICE_S, AT_ONCE = 0.4, 2
CAPACITY_S = AT_ONCE * BATCH / SERVICE_S
"""Tiles a second of one server with a declared service time: a large network on one GPU."""
DECLARED_S = 4.0 if QUICK else 24.0
"""How long the declared servers have to do."""
REAL_PARCELS = 2 if QUICK else 10
AIM_SHARE, AIM_MS = 0.9, 0.5
"""Of the declared capacity; and half a core for a thousand tiles a second."""
_NOISE = 6.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One line of the table."""

    words: str
    figures: Figures
    capacity_s: float = 0.0
    """Tiles a second that the servers declare; 0 where they declare none."""
    asked_again: int = 0
    """Tiles that were asked about more than once, because a server failed over them."""

    @property
    def share(self) -> float:
        """Which part of the capacity was used."""
        return self.figures.tiles_s / self.capacity_s


class Bench:
    """The tiles of a parcel, and what the model and the cheap answer say of them."""

    def __init__(self, base: Path) -> None:
        self._base = base
        self._n_runs = 0
        chance = np.random.default_rng(1)
        smooth = some_tiles(PARCEL_TILES)
        self.tiles: Mapping[str, Tiles] = {
            tile_id: _grained(pixels, chance) for tile_id, pixels in smooth.items()
        }
        pixels = np.stack(list(self.tiles.values()))
        parts = [pixels[at : at + BATCH] for at in range(0, len(pixels), BATCH)]
        model = session()
        model.run([OUTPUT], {INPUT: parts[0]})
        began = time.perf_counter()
        self.by_model = np.concatenate([model.run([OUTPUT], {INPUT: one})[0] for one in parts])
        self.model_tiles_s = PARCEL_TILES / (time.perf_counter() - began)
        self.by_colour = cheap(pixels)

    def run(
        self,
        servers: Sequence[Server],
        expected: npt.NDArray[np.float32],
        *,
        n_parcels: int,
        in_flight: int,
        kill: Sequence[Server] = (),
    ) -> Figures:
        """Ask servers about so many parcels."""
        self._n_runs += 1
        route = site_route([one.url for one in servers], batch=BATCH, in_flight=in_flight)
        folder = self._base / f"run-{self._n_runs}"
        line = Line(folder, route, tiles=self.tiles, n_parcels=n_parcels)

        def midway() -> None:
            for one in kill:
                one.kill()

        figures = line.run(expected, midway=midway, midway_s=DECLARED_S / 4)
        shutil.rmtree(folder)
        return figures

    def decoding_ms(self) -> float:
        """Measure what reading and decoding one tile takes alone."""
        parcel = parcel_of(shard(self.tiles), site_route(["grpc://127.0.0.1:1"]))
        (file,) = parcel.files.values()
        tiles = Shard(file, side_px=SIDE_PX)
        began, n_rounds = time.process_time(), 2 if QUICK else 10
        for _ in range(n_rounds):
            for at in range(0, PARCEL_TILES, BATCH):
                tiles.decode(range(at, at + BATCH))
        return (time.process_time() - began) / (n_rounds * PARCEL_TILES) * 1e3


def main() -> int:
    """Run it, print it, and give the exit code: 0 when every aim was met."""
    base = Path(tempfile.mkdtemp(prefix="bench-routes-", dir=os.environ.get("BENCH_FOLDER")))
    try:
        bench = Bench(base)
        real, declared = _real(bench, base), _declared(bench)
        failing = _failing(bench)
        decoding_ms = bench.decoding_ms()
    finally:
        shutil.rmtree(base, ignore_errors=True)
    _print_real(real)
    _print_declared([*declared, failing])
    print(f"\nthe model alone, one thread, no server: {bench.model_tiles_s:.0f} tiles/s")
    print(f"reading and decoding alone: {decoding_ms:.2f} CPU ms a tile")
    return _print_result(real, declared, failing)


def _grained(pixels: Tiles, chance: np.random.Generator) -> Tiles:
    """Add grain as a scanner's sensor does: smooth tiles would be decoded too fast."""
    grain = chance.normal(0.0, _NOISE, pixels.shape)
    return np.clip(pixels + grain, 0, 255).astype(np.uint8)


def _real(bench: Bench, base: Path) -> list[Row]:
    rows = []
    with tritons(2, base) as servers:
        bench.run(servers, bench.by_model, n_parcels=1, in_flight=4)  # each runs its first request
        for n_servers, in_flight in ((1, 1), (1, 2), (1, 4), (1, 8), (2, 1), (2, 2), (2, 4)):
            some = servers[:n_servers]
            before = sum(one.asked_tiles() for one in some)
            figures = bench.run(some, bench.by_model, n_parcels=REAL_PARCELS, in_flight=in_flight)
            asked = sum(one.asked_tiles() for one in some) - before
            words = f"{n_servers} Triton, {in_flight} in flight"
            rows.append(Row(words=words, figures=figures, asked_again=asked - figures.n_tiles))
            print(words, f"{figures.tiles_s:.0f} tiles/s", file=sys.stderr)
    return rows


def _declared(bench: Bench) -> list[Row]:
    rows = []
    options = ("--service-s", str(SERVICE_S), "--at-once", str(AT_ONCE))
    for n_servers, way in ((1, "grpc"), (4, "grpc"), (4, "http"), (8, "grpc")):
        capacity_s = n_servers * CAPACITY_S
        n_parcels = max(1, round(DECLARED_S * capacity_s / PARCEL_TILES))
        with doubles(n_servers, *options, "--way", way) as servers:
            figures = bench.run(servers, bench.by_colour, n_parcels=n_parcels, in_flight=4)
            asked = sum(one.asked_tiles() for one in servers)
        words = f"{n_servers} by {way}, 4 in flight"
        row = Row(
            words=words,
            figures=figures,
            capacity_s=capacity_s,
            asked_again=asked - figures.n_tiles,
        )
        print(words, f"{figures.tiles_s:.0f} tiles/s", file=sys.stderr)
        rows.append(row)
    return rows


def _failing(bench: Bench) -> Row:
    options = ("--service-s", str(SERVICE_S), "--at-once", str(AT_ONCE))
    n_parcels = max(1, round(DECLARED_S * 3 * CAPACITY_S / PARCEL_TILES))
    with (
        doubles(3, *options) as good,
        doubles(1, *options, "--lies", "nan", "--good", "10") as [liar],
    ):
        figures = bench.run(
            [*good, liar], bench.by_colour, n_parcels=n_parcels, in_flight=4, kill=good[:1]
        )
        asked = sum(one.asked_tiles() for one in (*good[1:], liar))
    return Row(
        words="4, one killed, one lies",
        figures=figures,
        # What the killed one answered is known to nobody: this is the least.
        asked_again=max(0, asked - figures.n_tiles),
    )


def _print_real(rows: Sequence[Row]) -> None:
    print(f"\n{'real servers':28}{'tiles/s':>9}{'own ms/tile':>13}{'lost':>6}{'doubled':>9}")
    for row in rows:
        one = row.figures
        print(
            f"  {row.words:26}{one.tiles_s:9.0f}{one.ms_per_tile:13.2f}{one.lost:6}{one.doubled:9}"
        )


def _print_declared(rows: Sequence[Row]) -> None:
    print(
        f"\n{f'declared: {CAPACITY_S:.0f} tiles/s each':28}{'tiles/s':>9}{'of declared':>13}"
        f"{'own ms/tile':>13}{'cores':>7}{'lost':>6}{'doubled':>9}"
    )
    for row in rows:
        one = row.figures
        share = f"{row.share:.2f}" if row.capacity_s else ""
        print(
            f"  {row.words:26}{one.tiles_s:9.0f}{share:>13}{one.ms_per_tile:13.2f}"
            f"{one.cpu_s / one.wall_s:7.2f}{one.lost:6}{one.doubled:9}"
        )


def _print_result(real: Sequence[Row], declared: Sequence[Row], failing: Row) -> int:
    everything = [*real, *declared, failing]
    lost = sum(row.figures.lost for row in everything)
    doubled = sum(row.figures.doubled for row in everything)
    again = sum(abs(row.asked_again) for row in (*real, *declared))
    share = min(row.share for row in declared)
    own_ms = max(row.figures.ms_per_tile for row in declared)
    sentences = {
        f"least share of the declared capacity: {share:.2f} (at least {AIM_SHARE})": (
            share >= AIM_SHARE
        ),
        f"own cost: {own_ms:.2f} CPU ms a tile (at most {AIM_MS})": own_ms <= AIM_MS,
        f"lost {lost}, doubled {doubled}, asked twice of sound servers {again} (0)": (
            lost == doubled == again == 0
        ),
    }
    for sentence, met in sentences.items():
        print(f"{'met   ' if met else 'MISSED'} {sentence}")
    by_words = {row.words: row.figures.tiles_s for row in everything}
    print(
        f"RESULT triton_1={by_words['1 Triton, 4 in flight']:.0f} "
        f"triton_2={by_words['2 Triton, 4 in flight']:.0f} "
        f"declared_4={declared[1].figures.tiles_s:.0f} "
        f"declared_8={declared[-1].figures.tiles_s:.0f} share={share:.3f} own_ms={own_ms:.3f} "
        f"lost={lost} doubled={doubled}"
    )
    return 0 if all(sentences.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
