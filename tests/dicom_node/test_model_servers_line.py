"""Answers of model servers go back on the line once: published, named, collected, swept."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from appliance.answers import Answers, read_answers
from appliance.line import State
from appliance.settings import Route
from appliance.stores.journal import Journal
from dicom_node.deliver.daemon import Deliverer, carrier_of, parcels_at_once
from dicom_node.deliver.pace import Pace
from dicom_node.deliver.returned import Returned, sweeping
from dicom_node.routes.model_servers import ModelServersRoute
from tests.dicom_node.oip_double import INPUT, OUTPUT, WAYS, Behaviour, cheap, session
from tests.dicom_node.oip_site import (
    digests,
    kept_files,
    parcel_of,
    shard,
    site_route,
    some_tiles,
)
from tests.dicom_node.real_triton import Triton, running_triton
from tests.dicom_node.test_deliver import Line
from tests.dicom_node.test_delivery import PUBLIC_PEM, Clock, clock, journal

__all__ = ["clock", "journal"]

QUICK = Behaviour(service_s=0.001, at_once=4)
TILES = some_tiles(20)


class Site:
    """A line with one route to model servers."""

    def __init__(self, folder: Path, journal: Journal, route: Route, clock: Clock) -> None:
        self.folder, self.journal, self.route, self.clock = folder, journal, route, clock
        self.answers = folder / "answers"
        self.answers.mkdir(exist_ok=True)
        self.returned = Returned(folder=self.answers)
        self.carrier = carrier_of(route, None, self.returned)

    @property
    def line(self) -> Line:
        return Line(
            folder=self.folder, journal=self.journal, route=self.route, carrier=self.carrier
        )

    def hand_over(self) -> str:
        file = self.folder / "tiles.tar"
        file.write_bytes(shard(TILES))
        folder = self.line.hand_over(file, kind="tiles", file_kind="tiles")
        return folder.name.partition("@")[0]

    def deliverer(self) -> Deliverer:
        return replace(self.line.deliverer(), returned=self.returned)

    def published(self) -> dict[str, Answers]:
        return {
            one.parcel_id: read_answers(self.answers / one.folder)
            for one in self.journal.parcels.answered()
        }


def test_answers_are_published_once_and_named_by_the_journal(
    tmp_path: Path, journal: Journal, clock: Clock
) -> None:
    with WAYS["grpc"](QUICK) as double:
        site = Site(tmp_path, journal, site_route([double.url]), clock)
        parcel_id = site.hand_over()
        assert site.deliverer().step()
        assert site.line.status().state is State.DONE
        (answers,) = site.published().values()
        assert (answers.parcel_id, answers.route) == (parcel_id, "gpu")
        assert answers.tile_ids == tuple(TILES)
        assert np.array_equal(answers.values, cheap(np.stack(list(TILES.values()))))
        (only,) = kept_files(site.answers)
        assert only.startswith(f"{parcel_id}@"), "nothing else is left"
        (said,) = [one.text for one in journal.board.events() if one.kind == "delivered"]
        assert said == f"Answered by model servers: tiles 20 (requests: {double.name} 3)."


def test_a_parcel_that_nobody_answers_waits_and_is_asked_again(
    tmp_path: Path, journal: Journal, clock: Clock
) -> None:
    with WAYS["http"](Behaviour(status=503, service_s=0.001, good=1)) as double:
        site = Site(tmp_path, journal, site_route([double.url], in_flight=1), clock)
        parcel_id = site.hand_over()
        site.deliverer().step()
        assert site.line.status().state is State.WAITING
        assert "takes no more for now" in (site.line.status().error or "")
        assert kept_files(site.answers) == [f"{parcel_id}.partial"]
        double.served.behaviour = QUICK
        double.served.asked.clear()
        clock.now += 700.0
        site.carrier = carrier_of(site.route, None, site.returned)
        site.deliverer().step()
        assert site.line.status().state is State.DONE
        assert sum(one.n_tiles for one in double.asked) == 12
        assert np.array_equal(
            site.published()[parcel_id].values, cheap(np.stack(list(TILES.values())))
        )


_DYING = """
import os, signal, sys, time
from functools import partial
from pathlib import Path
from appliance import manifest, trust
from appliance.settings import Route
from appliance.stores.database import open_engine
from appliance.stores.journal import Journal
from dicom_node.deliver import daemon
from dicom_node.deliver.pace import Pace
from dicom_node.deliver.returned import Returned

folder, route, offset_s, dies = sys.argv[1:]
folder, route = Path(folder), Route.model_validate_json(route)
returned = Returned(folder=folder / "answers")

def die(*_given, **_named):
    os.kill(os.getpid(), signal.SIGKILL)

journal = Journal(
    open_engine(f"sqlite:///{folder}/journal.db", store="journal"),
    lambda: time.time() + float(offset_s), lease_s=5.0,
)
if dies == "before the commit":
    journal.parcels.delivered = die
if dies == "before publishing":
    Returned.publish = die
daemon.Deliverer(
    journal=journal,
    route=route,
    outbox=folder / "outbox" / route.name,
    open_parcel=partial(
        manifest.open_verified, route=route, public_key=trust.read_sign_public(folder / "sign.pub")
    ),
    carrier=daemon.carrier_of(route, None, returned),
    returned=returned,
).step()
"""


def test_killed_anywhere_after_asking_it_asks_nobody_again_and_says_the_same(
    tmp_path: Path, journal: Journal, clock: Clock
) -> None:
    (tmp_path / "sign.pub").write_bytes(PUBLIC_PEM)
    with WAYS["grpc"](QUICK) as double:
        site = Site(tmp_path, journal, site_route([double.url]), clock)
        parcel_id = site.hand_over()
        for number, dies in enumerate(("before publishing", "before the commit", "")):
            command = [
                sys.executable, "-c", _DYING, str(tmp_path), site.route.model_dump_json(),
                str(60.0 * number), dies,
            ]  # fmt: skip
            environment = {**os.environ, "PYTHONPATH": str(Path.cwd())}
            ended = subprocess.run(command, check=False, env=environment).returncode
            assert ended == (-signal.SIGKILL if dies else 0)
        assert sorted(one for asked in double.asked for one in asked.digests) == digests(TILES)
        assert np.array_equal(
            site.published()[parcel_id].values, cheap(np.stack(list(TILES.values())))
        )
        # What the second left is nobody's; what release has collected is not kept either.
        assert len(kept_files(site.answers)) == 2
        clock.now += 300.0
        site.returned.sweep(journal, site.route.name, now=clock.now)
        assert len(kept_files(site.answers)) == 1
        (answered,) = journal.parcels.answered()
        journal.parcels.collected(answered)
        (site.answers / "gone.partial").write_bytes(b"")
        assert not sweeping(site.returned, journal, site.route.name, clock=clock)()
        assert kept_files(site.answers) == []


def test_a_route_sends_no_faster_than_its_limit(
    tmp_path: Path, journal: Journal, clock: Clock
) -> None:
    now = [0.0]
    pace = Pace(0.5, clock=lambda: now[0])
    with WAYS["grpc"](QUICK) as double:
        site = Site(tmp_path, journal, site_route([double.url]), clock)
        for _ in range(3):
            site.hand_over()
        deliverer = replace(site.deliverer(), pace=pace)
        assert deliverer.step()
        assert not deliverer.step()
        now[0] += 20 * 96 * 96 * 3 / 0.5e6
        assert deliverer.step(), "20 tiles of 27,648 bytes at 0.5 MB/s take 1.1 s"
        assert not deliverer.step()
        assert len(site.published()) == 2


def test_several_parcels_are_under_way_at_once_and_none_is_lost_or_doubled(
    tmp_path: Path, journal: Journal, clock: Clock
) -> None:
    from concurrent.futures import ThreadPoolExecutor

    with WAYS["grpc"](QUICK) as one, WAYS["http"](QUICK) as other:
        site = Site(tmp_path, journal, site_route([one.url, other.url]), clock)
        assert parcels_at_once(site.route) == 3
        parcels = {site.hand_over() for _ in range(9)}
        deliverer = site.deliverer()

        def work(_number: int) -> None:
            while deliverer.step():
                pass

        with ThreadPoolExecutor(3) as pool:
            list(pool.map(work, range(3)))
        assert site.published().keys() == parcels
        asked = [
            number for double in (one, other) for was in double.asked for number in was.digests
        ]
        assert sorted(asked) == sorted(digests(TILES) * 9)


@pytest.fixture(scope="module")
def triton(triton_python: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Triton]:
    with running_triton(triton_python, tmp_path_factory.mktemp("triton")) as one:
        yield one


@pytest.mark.parametrize("way", ["grpc", "http"])
@pytest.mark.parametrize("kind", ["png", "jpg"])
def test_a_real_triton_gives_bit_by_bit_what_the_model_gives_here(
    triton: Triton, tmp_path: Path, way: str, kind: str
) -> None:
    import cv2

    route = site_route([getattr(triton, way)])
    content = shard(TILES, kind)
    delivery = ModelServersRoute(route, folder=tmp_path).deliver(
        parcel_of(content, route), again=False
    )
    pixels = np.stack(list(TILES.values()))
    if kind == "jpg":
        coded = [cv2.imencode(".jpg", one[..., ::-1])[1] for one in pixels]
        pixels = np.stack([cv2.imdecode(one, cv2.IMREAD_COLOR_RGB) for one in coded])
    here = [session().run([OUTPUT], {INPUT: pixels[at : at + 8]})[0] for at in range(0, 20, 8)]
    assert delivery.answers is not None
    assert np.array_equal(delivery.answers.values, np.concatenate(here))
