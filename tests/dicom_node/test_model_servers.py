"""Tiles are asked about once each, at the servers of one recipient, and only what fits counts."""

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from appliance.answers import Answers
from appliance.errors import ConfigError, DeliveryRefused, PeerUnavailable
from appliance.settings import Route
from dicom_node.model_servers import by_http
from dicom_node.model_servers import endpoint as endpoints
from dicom_node.routes.model_servers import ModelServersRoute
from dicom_node.status import PeerBusy, PeerFailed
from tests.dicom_node.conftest import wait_until
from tests.dicom_node.oip_double import (
    INPUT,
    OUTPUT,
    WAYS,
    Behaviour,
    Double,
    Identity,
    cheap,
    session,
)
from tests.dicom_node.oip_site import digests, parcel_of, shard, site_route, some_tiles
from tests.dicom_node.real_peers import Certificates, certificates, free_port

QUICK = Behaviour(service_s=0.001, at_once=4)
TILES = some_tiles(37)
SHARD = shard(TILES)
SECOND = "the-second-token"
both_ways = pytest.mark.parametrize("way", sorted(WAYS))


@contextmanager
def doubles(way: str, *behaviours: Behaviour) -> Iterator[list[Double]]:
    with ExitStack() as stack:
        yield [stack.enter_context(WAYS[way](one)) for one in behaviours]


def ask(
    route: Route, folder: Path, content: bytes = SHARD, parcel_id: str = "parcel-1"
) -> tuple[str, Answers]:
    carrier = ModelServersRoute(route, folder=folder)
    return asked_by(carrier, route, content, parcel_id)


def asked_by(
    carrier: ModelServersRoute, route: Route, content: bytes = SHARD, parcel_id: str = "parcel-1"
) -> tuple[str, Answers]:
    delivery = carrier.deliver(parcel_of(content, route, parcel_id), again=False)
    assert delivery.answers is not None
    return delivery.words, delivery.answers


def check_right(answers: Answers) -> None:
    assert answers.tile_ids == tuple(TILES)
    assert answers.values.dtype == np.float32
    assert np.array_equal(answers.values, cheap(np.stack(list(TILES.values()))))


@both_ways
def test_answers_are_bit_by_bit_those_of_the_model_run_here(way: str, tmp_path: Path) -> None:
    with doubles(way, Behaviour()) as [double]:
        _, answers = ask(site_route([double.url]), tmp_path)
        pixels = np.stack(list(TILES.values()))
        here = [session().run([OUTPUT], {INPUT: pixels[at : at + 8]})[0] for at in range(0, 37, 8)]
        assert answers.tile_ids == tuple(TILES)
        assert np.array_equal(answers.values, np.concatenate(here))
        assert sorted(one.n_tiles for one in double.asked) == [5, 8, 8, 8, 8]


@both_ways
def test_only_pixels_names_of_the_model_and_a_random_id_cross(way: str, tmp_path: Path) -> None:
    with doubles(way, QUICK) as [double]:
        route = site_route([double.url])
        ask(route, tmp_path)
        said = [dict(one.headers) for one in double.asked]
        ids = {one.request_id for one in double.asked}
    assert len(ids) == 5
    assert all(len(one) == 32 and int(one, 16) >= 0 for one in ids)
    names = set().union(*said)
    known = {frozenset(one.known) for one in double.asked}
    if way == "grpc":
        assert names == {"user-agent"}, "which the library forces"
        assert known == {frozenset({"model_name", "id", "inputs", "outputs", "raw_input_contents"})}
    else:
        assert known == {frozenset({"id", "inputs", "outputs"})}
        assert {one["user-agent"] for one in said} == {"coverslip"}
        assert names == {
            "host", "accept", "accept-encoding", "connection", "content-type", "content-length",
            "inference-header-content-length", "user-agent",
        }  # fmt: skip
    text = json.dumps(said)
    assert route.name not in text
    assert "parcel" not in text


@both_ways
@pytest.mark.parametrize("says", ["input", "datatype", "side", "output", "classes"])
def test_a_server_that_does_not_fit_the_settings_is_asked_nothing(
    way: str, says: str, tmp_path: Path
) -> None:
    with doubles(way, Behaviour(says=says, service_s=0.001)) as [double]:
        with pytest.raises(DeliveryRefused, match=f"{double.name} does not fit the settings"):
            ask(site_route([double.url]), tmp_path)
        assert double.asked == ()


def test_metadata_with_a_length_that_never_ends_are_no_metadata(tmp_path: Path) -> None:
    with doubles("http", Behaviour(says="endless", service_s=0.001)) as [double]:
        with pytest.raises(DeliveryRefused, match="does not speak the Open Inference Protocol"):
            ask(site_route([double.url]), tmp_path)
        assert double.asked == ()


@pytest.mark.parametrize("reading", ["_tensors", "_reply"])
def test_what_nobody_thought_of_is_the_fault_of_the_server_that_sent_it(
    reading: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(*_given: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(by_http, reading, failing)
    failed = pytest.raises(PeerFailed, match="failed over a request")
    with doubles("http", QUICK) as [double], failed:
        ask(site_route([double.url]), tmp_path)


LIES = [
    "shape", "classes", "nan", "infinity", "swapped_ids", "no_id", "name", "datatype", "short",
    "long", "negative", "sum",
]  # fmt: skip


@pytest.mark.parametrize(
    ("way", "lies"),
    [*product(sorted(WAYS), LIES), ("http", "endless_shape"), ("http", "endless_size")],
)
def test_a_liar_is_named_and_left_out_and_its_tiles_go_to_another(
    way: str, lies: str, tmp_path: Path
) -> None:
    with doubles(way, Behaviour(lies=lies, service_s=0.001), QUICK) as [liar, honest]:
        route = site_route([liar.url, honest.url], in_flight=1)
        carrier = ModelServersRoute(route, folder=tmp_path)
        # Both have to have been asked: which of them comes first is left to chance.
        for number in range(20):
            words, answers = asked_by(carrier, route, parcel_id=f"parcel-{number}")
            check_right(answers)
            if liar.asked:
                break
        assert f"{liar.name} lied: " in words
        n_asked = len(liar.asked)
        words, answers = asked_by(carrier, route, parcel_id="after")
        check_right(answers)
        assert len(liar.asked) == n_asked == 1
        assert liar.name not in words


@both_ways
def test_when_all_lie_the_parcel_is_for_some_more_tries(way: str, tmp_path: Path) -> None:
    lies = [Behaviour(lies=one, service_s=0.001) for one in ("nan", "shape")]
    with doubles(way, *lies) as made:
        route = site_route([one.url for one in made])
        carrier = ModelServersRoute(route, folder=tmp_path)
        with pytest.raises(PeerFailed) as raised:
            asked_by(carrier, route)
        assert all(f"{one.name} lied" in str(raised.value) for one in made)
        with pytest.raises(PeerBusy, match="is asked for now") as rests:
            asked_by(carrier, route)
        assert rests.value.after_s > 500


@both_ways
@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_failing_server_is_left_out_and_its_tiles_go_to_another(
    way: str, status: int, tmp_path: Path
) -> None:
    failing = Behaviour(status=status, service_s=0.001, good=1)
    with doubles(way, failing, QUICK) as [bad, good]:
        _, answers = ask(site_route([bad.url, good.url], in_flight=2), tmp_path)
        check_right(answers)


@both_ways
def test_without_another_server_a_failure_is_for_a_later_try(way: str, tmp_path: Path) -> None:
    failed = pytest.raises(PeerFailed, match="failed over a request")
    with doubles(way, Behaviour(status=500, service_s=0.001)) as [bad], failed:
        ask(site_route([bad.url]), tmp_path)
    with pytest.raises(PeerUnavailable, match="is not there or went away"):
        ask(site_route([bad.url]), tmp_path)


@both_ways
def test_a_server_that_hangs_is_given_up_after_its_time(way: str, tmp_path: Path) -> None:
    with doubles(way, Behaviour(hangs=True, service_s=0.001), QUICK) as [slow, good]:
        route = site_route([slow.url, good.url], in_flight=1, timeout_s=0.4)
        carrier = ModelServersRoute(route, folder=tmp_path)
        for number in range(20):
            words, answers = asked_by(carrier, route, parcel_id=f"parcel-{number}")
            check_right(answers)
            if slow.asked:
                break
        assert f"{slow.name} did not answer in time" in words


def test_a_server_that_drips_is_given_up_after_its_time(tmp_path: Path) -> None:
    with doubles("http", Behaviour(drips=True, service_s=0.001), QUICK) as [slow, good]:
        route = site_route([slow.url, good.url], in_flight=1, timeout_s=0.4)
        carrier = ModelServersRoute(route, folder=tmp_path)
        for number in range(20):
            words, answers = asked_by(carrier, route, parcel_id=f"parcel-{number}")
            check_right(answers)
            if slow.asked:
                break
        assert f"{slow.name} did not answer in time" in words


def test_a_server_whose_metadata_drip_does_not_hold_the_parcel_for_ever(tmp_path: Path) -> None:
    with doubles("http", Behaviour(says="drips", service_s=0.001)) as [slow]:
        with pytest.raises(PeerUnavailable, match="did not answer in time"):
            ask(site_route([slow.url], timeout_s=0.4), tmp_path)
        assert slow.asked == ()


@both_ways
def test_a_server_that_is_killed_in_mid_request_loses_its_tiles_to_another(
    way: str, tmp_path: Path
) -> None:
    command = [sys.executable, "-m", "tests.dicom_node.oip_double", "--way", way, "--hangs"]
    process = subprocess.Popen(
        [*command, "--service-s", "0.001"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
    )
    with process, ThreadPoolExecutor(1) as pool, doubles(way, QUICK) as [good]:
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        route = site_route([url, good.url], in_flight=1)
        # The other one answers only once this one holds a batch.
        carrier = ModelServersRoute(route, folder=tmp_path)
        holding = threading.Event()
        asks = endpoints.Endpoint.ask

        def asking(one: Any, client: Any, tiles: Any) -> Any:
            if one.name in url:
                holding.set()
            else:
                assert holding.wait(30.0)
            return asks(one, client, tiles)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(endpoints.Endpoint, "ask", asking)
            future = pool.submit(asked_by, carrier, route)
            wait_until(lambda: sum(one.n_tiles for one in good.asked) == 29)
            process.kill()
            words, answers = future.result(60.0)
    check_right(answers)
    assert "is not there or went away" in words


def test_maps_are_answers_too_but_not_beside_others(tmp_path: Path) -> None:
    maps = Behaviour(lies="maps", service_s=0.001)
    with doubles("http", maps) as [double]:
        _, answers = ask(site_route([double.url]), tmp_path)
        assert answers.values.shape == (37, 3, 3, 2)
        assert np.array_equal(answers.values[:, 1, 2], cheap(np.stack(list(TILES.values()))))
        double.served.behaviour = replace(maps, good=len(double.asked) + 2)
        with pytest.raises(DeliveryRefused, match="in different shapes"):
            ask(site_route([double.url]), tmp_path, parcel_id="mixed")
        assert [one.name for one in tmp_path.iterdir()] == ["parcel-1.partial"]


def test_a_request_that_is_longer_than_the_server_takes_names_the_setting(tmp_path: Path) -> None:
    short = Behaviour(takes_mib=1, service_s=0.001)
    refused = pytest.raises(DeliveryRefused, match=r"model\.batch is not what it takes")
    with doubles("grpc", short) as [double], refused:
        ask(site_route([double.url], batch=64), tmp_path, shard(some_tiles(64)))


def test_another_recipient_is_never_asked_instead(tmp_path: Path) -> None:
    with doubles("grpc", QUICK) as [theirs]:
        for folder in ("ours", "theirs"):
            (tmp_path / folder).mkdir()
        other = site_route([theirs.url], name="other")
        ModelServersRoute(other, folder=tmp_path / "theirs")
        with pytest.raises(PeerUnavailable):
            ask(site_route([f"grpc://127.0.0.1:{free_port()}"]), tmp_path / "ours")
        assert theirs.asked == ()


@both_ways
def test_after_a_restart_only_what_was_not_answered_is_asked(way: str, tmp_path: Path) -> None:
    breaks = Behaviour(status=503, service_s=0.001, good=3)
    with doubles(way, breaks) as [double]:
        route = site_route([double.url], in_flight=1)
        with pytest.raises(PeerUnavailable):
            ask(route, tmp_path)
        first = list(double.asked)[:3]
        # What a kill in the midst of a record leaves is not read.
        (file,) = tmp_path.iterdir()
        with file.open("ab") as tail:
            tail.write(b"\x01\x00\x00\x00\x10")
        double.served.behaviour = QUICK
        double.served.asked.clear()
        _, answers = ask(route, tmp_path)
        again = list(double.asked)
        check_right(answers)
        assert sorted(one for asked in (*first, *again) for one in asked.digests) == digests(TILES)
        double.served.asked.clear()
        words, same = ask(route, tmp_path)
        assert double.asked == ()
        assert "had been answered" in words
        assert np.array_equal(same.values, answers.values)
        # Asked in other batches, it is another question.
        ask(site_route([double.url], batch=16), tmp_path)
        assert sum(one.n_tiles for one in double.asked) == len(TILES)


@both_ways
def test_no_more_is_in_flight_than_the_settings_allow_over_all_parcels(
    way: str, tmp_path: Path
) -> None:
    with doubles(way, Behaviour(service_s=0.02, at_once=8)) as [double]:
        route = site_route([double.url], in_flight=2, batch=4)
        carrier = ModelServersRoute(route, folder=tmp_path)
        with ThreadPoolExecutor(4) as pool:
            made = [
                pool.submit(asked_by, carrier, route, SHARD, f"parcel-{number}")
                for number in range(4)
            ]
            for one in made:
                check_right(one.result(60.0)[1])
        assert double.served.most_at_once == 2
        assert sum(one.n_tiles for one in double.asked) == 4 * len(TILES)


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return certificates(tmp_path_factory.mktemp("tls"), "127.0.0.1")


@both_ways
def test_tls_by_a_private_authority_with_our_certificate_and_a_token(
    way: str, keys: Certificates, tmp_path: Path
) -> None:
    identity = Identity(
        key=keys.server_key.read_bytes(),
        certificate=keys.server.read_bytes(),
        clients=keys.ca.read_bytes(),
    )
    token = tmp_path / "token"
    token.write_text("the-first-token\n")
    tls = {"ca": keys.ca, "certificate": keys.client, "key": keys.client_key}
    behaviour = Behaviour(token=SECOND, service_s=0.001)
    answered = tmp_path / "answers"
    answered.mkdir()
    with WAYS[way](behaviour, identity) as double:
        server = {"url": double.url, "tls": tls, "token_file": token}
        with pytest.raises(DeliveryRefused, match="does not accept who we are"):
            ask(site_route([server]), answered)
        assert double.asked == ()
        token.write_text(f"{SECOND}\n")
        check_right(ask(site_route([server]), answered)[1])
        strangers = certificates(tmp_path / "strangers", "127.0.0.1")
        with pytest.raises(DeliveryRefused, match="accept each other's TLS certificates"):
            ask(site_route([server | {"tls": tls | {"ca": strangers.ca}}]), answered, parcel_id="2")
        with pytest.raises((DeliveryRefused, PeerUnavailable)):
            ask(site_route([server | {"tls": {"ca": keys.ca}}]), answered, parcel_id="3")
        token.unlink()
        with pytest.raises(ConfigError, match=r"servers\.token_file"):
            ask(site_route([server]), answered, parcel_id="4")


@pytest.mark.parametrize(
    "content",
    [
        b"no shard",
        shard({}),
        shard(some_tiles(2, side_px=64)),
        shard(TILES).replace(b"IHDR", b"IHDX"),
    ],
    ids=["none", "empty", "small", "damaged"],
)
def test_a_parcel_that_is_no_shard_of_the_plan_is_refused(content: bytes, tmp_path: Path) -> None:
    with doubles("grpc", QUICK) as [double]:
        with pytest.raises(DeliveryRefused):
            ask(site_route([double.url]), tmp_path, content)
        assert double.asked == ()


def test_a_model_that_the_settings_do_not_pin_stops_the_daemon(tmp_path: Path) -> None:
    route = site_route(["grpc://127.0.0.1:1"], digest=f"sha256:{'0' * 64}")
    with pytest.raises(ConfigError, match=r"model\.digest"):
        ModelServersRoute(route, folder=tmp_path)
