"""Object stores: one object a file, with the right bytes, whatever happens in between."""

import json
import logging
import os
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from pydantic import ValidationError

from appliance.errors import ApplianceError, ConfigError, DeliveryRefused, PeerUnavailable
from appliance.line import State
from appliance.settings import ColouredTiles, ObjectStore, Route
from appliance.stores.database import open_engine
from appliance.stores.journal import Journal
from dicom_node.deliver.daemon import carrier_of
from dicom_node.routes.bucket import open_bucket
from dicom_node.status import PeerFailed
from tests.dicom_node.cut_lines import Handler, answer, answering, cut_after
from tests.dicom_node.object_stores import (
    AZURE_ACCOUNT,
    AZURE_KEY,
    BUCKET,
    PREFIX,
    S3Server,
    keys_file,
    running_azurite,
    running_google_double,
    running_s3,
    store_at,
)
from tests.dicom_node.real_peers import certificates, free_port, tls_in_front
from tests.dicom_node.test_deliver import KEY, Line

SHARD = bytes(range(256)) * 4096
NAME = "kq3xw7rm2hzt5a6vdg4jlbcyne.tar"
OBJECT = f"{PREFIX}/{NAME}"


@dataclass(frozen=True, kw_only=True)
class Guarded:
    """A server that checks signatures and rights, and keys of three users of it."""

    server: S3Server
    ours: Path
    """May create and read objects."""
    writer: Path
    """May create objects only."""

    def store(self, bucket: str, keys: Path | None = None) -> ObjectStore:
        return store_at(self.server.url, keys or self.ours, bucket=bucket)


@pytest.fixture(scope="module")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    with running_s3(tmp_path_factory.mktemp("s3")) as server:
        server.create_bucket(BUCKET)
        yield server


@pytest.fixture
def bucket(s3: S3Server) -> str:
    """A bucket of the test's own."""
    name = f"tiles-{time.monotonic_ns()}"
    s3.create_bucket(name)
    return name


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    folder = tmp_path_factory.mktemp("guarded")
    with running_s3(folder, INITIAL_NO_AUTH_ACTION_COUNT="1000") as server:
        server.create_bucket(BUCKET)
        ours = _user(server, folder, "ours", "s3:PutObject", "s3:GetObject")
        writer = _user(server, folder, "writer", "s3:PutObject")
        headers = {"Content-Type": "text/plain"}
        url = f"{server.url}/moto-api/reset-auth"
        urllib.request.urlopen(urllib.request.Request(url, data=b"0", headers=headers)).close()
        yield Guarded(server=server, ours=ours, writer=writer)


def _user(server: S3Server, folder: Path, name: str, *actions: str) -> Path:
    iam = server.client("iam")
    statement = {"Effect": "Allow", "Action": actions, "Resource": "*"}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    iam.create_user(UserName=name)
    iam.put_user_policy(UserName=name, PolicyName="tiles", PolicyDocument=policy)
    keys = iam.create_access_key(UserName=name)["AccessKey"]
    return keys_file(folder, keys["AccessKeyId"], keys["SecretAccessKey"])


def line_to(store: ObjectStore, folder: Path) -> Line:
    (folder / "shards").mkdir(parents=True, exist_ok=True)
    route = Route(
        name="tiles",
        recipient="university",
        place="outside",
        kind="object_store",
        carries=("tiles",),
        store=store,
        policy=ColouredTiles(
            mechanism="coloured_tiles", statement="Protects against nothing here."
        ),
    )
    journal = Journal(open_engine(f"sqlite:///{folder}/journal.db", store="journal"))
    return Line(folder=folder, journal=journal, route=route, carrier=carrier_of(route))


def hand_over(line: Line, content: bytes = SHARD) -> None:
    path = line.folder / "shards" / NAME
    path.write_bytes(content)
    line.hand_over(path, kind="tiles", file_kind="tiles")


def put(line: Line, content: bytes = SHARD) -> None:
    hand_over(line, content)
    line.deliverer().step()


def try_again(line: Line) -> None:
    """Let the parcel's turn come now."""
    line.journal.parcels.retry(line.route.name, "", operator="technician")
    line.deliverer().step()


def states(line: Line) -> list[State]:
    return [one.state for one in line.journal.board.shards()]


def error_of(line: Line) -> str:
    return str(line.status().error)


def test_a_shard_becomes_one_object_under_its_own_name(
    s3: S3Server, bucket: str, tmp_path: Path
) -> None:
    line = line_to(store_at(s3.url, keys_file(tmp_path), bucket=bucket), tmp_path)
    put(line)
    assert states(line) == [State.DONE]
    assert s3.objects(bucket) == {OBJECT: SHARD}


def test_delivered_twice_it_is_one_object(s3: S3Server, bucket: str, tmp_path: Path) -> None:
    line = line_to(store_at(s3.url, keys_file(tmp_path), bucket=bucket), tmp_path)
    put(line)
    put(line)
    assert states(line) == [State.DONE] * 2
    assert s3.objects(bucket) == {OBJECT: SHARD}


@pytest.mark.parametrize("other", [SHARD[:-1] + b"x", SHARD[:-1], b""])
def test_an_object_of_other_content_is_neither_overwritten_nor_taken_for_ours(
    s3: S3Server, bucket: str, tmp_path: Path, other: bytes
) -> None:
    s3.client().put_object(Bucket=bucket, Key=OBJECT, Body=other)
    line = line_to(store_at(s3.url, keys_file(tmp_path), bucket=bucket), tmp_path)
    put(line)
    assert states(line) == [State.ASIDE]
    assert error_of(line) == "A different object is there under the name of a product."
    assert s3.objects(bucket) == {OBJECT: other}


def test_of_many_who_create_it_at_once_one_does(s3: S3Server, bucket: str, tmp_path: Path) -> None:
    store = store_at(s3.url, keys_file(tmp_path), bucket=bucket)
    created: list[bool] = []

    def create() -> None:
        created.append(open_bucket(store).create(NAME, BytesIO(SHARD)))

    threads = [threading.Thread(target=create) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(created) == [False] * 5 + [True]


def test_a_deliverer_killed_between_put_and_commit_leaves_one_object(
    s3: S3Server, bucket: str, tmp_path: Path
) -> None:
    line = line_to(store_at(s3.url, keys_file(tmp_path), bucket=bucket), tmp_path)
    hand_over(line)
    route = tmp_path / "route.json"
    route.write_text(line.route.model_dump_json())
    raw = serialization.Encoding.Raw, serialization.PublicFormat.Raw
    public_key = KEY.public_key().public_bytes(*raw).hex()
    script = Path(__file__).with_name("dying_deliverer.py")
    arguments = [f"sqlite:///{tmp_path}/journal.db", line.outbox, route, public_key]
    killed = subprocess.run(
        [sys.executable, script, *arguments],
        check=False,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])},
    )
    assert killed.returncode == -9
    assert s3.objects(bucket) == {OBJECT: SHARD}
    assert states(line) == [State.RUNNING]
    later = Journal(line.journal._engine, lambda: time.time() + 1000)
    Line(folder=tmp_path, journal=later, route=line.route, carrier=line.carrier).deliverer().step()
    assert states(line) == [State.DONE]
    assert s3.objects(bucket) == {OBJECT: SHARD}


@pytest.mark.parametrize(
    ("n_bytes", "answers", "arrived"),
    [(300_000, True, False), (1 << 30, False, True)],
    ids=["in the middle of the upload", "before the answer"],
)
def test_a_line_that_is_cut_leaves_one_object_with_the_right_bytes(
    s3: S3Server, bucket: str, tmp_path: Path, n_bytes: int, *, answers: bool, arrived: bool
) -> None:
    keys = keys_file(tmp_path)
    with answering(cut_after(s3.port, n_bytes, answers=answers)) as port:
        line = line_to(store_at(f"http://127.0.0.1:{port}", keys, bucket=bucket), tmp_path)
        put(line)
        assert states(line) == [State.WAITING]
        assert error_of(line) == "The connection to the store broke off."
        assert (s3.objects(bucket) == {OBJECT: SHARD}) is arrived
    restored = line_to(store_at(s3.url, keys, bucket=bucket), tmp_path)
    try_again(restored)
    assert states(restored) == [State.DONE]
    assert s3.objects(bucket) == {OBJECT: SHARD}


def failure(
    store: ObjectStore, *, timeout_s: float = 20.0, content: bytes = b"tiles"
) -> ApplianceError:
    with pytest.raises(ApplianceError) as raised:
        open_bucket(store, timeout_s=timeout_s).create(NAME, BytesIO(content))
    assert "127.0.0.1" not in str(raised.value)
    assert raised.value.next_step
    return raised.value


def silent(connection: Any) -> None:
    while connection.recv(1 << 16):
        pass


@pytest.mark.parametrize(
    ("handle", "kind", "sentence"),
    [
        (silent, PeerUnavailable, "did not answer in time"),
        (answer(429), PeerUnavailable, "takes no more for now"),
        (answer(503), PeerUnavailable, "takes no more for now"),
        (answer(500), PeerFailed, "failed over our request"),
        (answer(501), DeliveryRefused, "only where there is none"),
        (answer(400), DeliveryRefused, "check url, endpoint and region"),
        (answer(301), DeliveryRefused, "check endpoint and region"),
        (answer(403), DeliveryRefused, "check the keys"),
        (
            answer(403, b"<Error><Code>RequestTimeTooSkewed</Code></Error>"),
            DeliveryRefused,
            "clock is as wrong",
        ),
        (lambda connection: connection.recv(1), PeerUnavailable, "broke off"),
    ],
)
def test_what_a_store_answers_is_told_apart(
    tmp_path: Path, handle: Handler, kind: type[ApplianceError], sentence: str
) -> None:
    with answering(handle) as port:
        store = store_at(f"http://127.0.0.1:{port}", keys_file(tmp_path))
        error = failure(store, timeout_s=0.5 if handle is silent else 20.0)
    assert type(error) is kind
    assert sentence in str(error)


def test_a_store_that_is_away_is_waited_for(tmp_path: Path) -> None:
    error = failure(store_at(f"http://127.0.0.1:{free_port()}", keys_file(tmp_path)))
    assert type(error) is PeerUnavailable
    assert str(error) == "The store does not answer at its address."


def test_a_bucket_that_is_missing_is_a_persons_matter(s3: S3Server, tmp_path: Path) -> None:
    error = failure(store_at(s3.url, keys_file(tmp_path), bucket="nowhere-at-all"))
    assert type(error) is DeliveryRefused
    assert "no bucket" in str(error)


def test_keys_with_the_rights_that_are_asked_for_suffice(guarded: Guarded) -> None:
    one = open_bucket(guarded.store(BUCKET))
    assert one.create("once.tar", BytesIO(SHARD))
    assert not one.create("once.tar", BytesIO(SHARD))
    assert one.holds("once.tar", BytesIO(SHARD))


def test_keys_that_may_not_read_leave_it_to_a_person_whose_object_it_is(
    guarded: Guarded,
) -> None:
    one = open_bucket(guarded.store(BUCKET, guarded.writer))
    assert one.create("unread.tar", BytesIO(SHARD))
    assert not one.create("unread.tar", BytesIO(SHARD))
    with pytest.raises(DeliveryRefused, match="does not let us in"):
        one.holds("unread.tar", BytesIO(SHARD))


def test_wrong_keys_are_refused_and_never_named(
    guarded: Guarded, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    wrong = keys_file(tmp_path, "AKIANOBODY", "zebrafinch-secret")
    line = line_to(guarded.store(BUCKET, wrong), tmp_path)
    put(line)
    assert states(line) == [State.ASIDE]
    assert "does not let us in: check the keys in credentials_file" in error_of(line)
    for secret in ("zebrafinch-secret", "AKIANOBODY"):
        assert secret not in error_of(line)
        assert secret not in caplog.text


def test_a_probe_puts_nothing_and_tells_a_missing_bucket_and_wrong_keys_apart(
    s3: S3Server, bucket: str, guarded: Guarded
) -> None:
    open_bucket(store_at(s3.url, keys_file(guarded.ours.parent), bucket=bucket)).probe()
    assert s3.objects(bucket) == {}
    nowhere = store_at(s3.url, keys_file(guarded.ours.parent), bucket="nowhere")
    with pytest.raises(DeliveryRefused, match="no bucket"):
        open_bucket(nowhere).probe()
    wrong = keys_file(guarded.ours.parent, "AKIAWRONGWRONGWR")
    with pytest.raises(DeliveryRefused, match="does not let us ask"):
        open_bucket(guarded.store(BUCKET, wrong)).probe()


def test_it_goes_through_tls_of_a_private_authority(
    s3: S3Server, bucket: str, tmp_path: Path, require_tool: Callable[[str], str]
) -> None:
    made = certificates(tmp_path / "tls", "127.0.0.1")
    with tls_in_front(require_tool("socat"), s3.port, made, verify=False) as port:
        endpoint = f"https://127.0.0.1:{port}"
        store = store_at(endpoint, keys_file(tmp_path), bucket=bucket, ca=made.ca)
        line = line_to(store, tmp_path)
        put(line)
    assert states(line) == [State.DONE]
    assert s3.objects(bucket) == {OBJECT: SHARD}


@pytest.mark.parametrize(
    ("name", "trusted", "sentence"),
    [
        ("127.0.0.1", False, "does not present a certificate that we trust"),
        ("other.example", True, "is for another host name"),
    ],
)
def test_a_certificate_that_does_not_fit_is_refused(
    s3: S3Server,
    tmp_path: Path,
    require_tool: Callable[[str], str],
    name: str,
    sentence: str,
    *,
    trusted: bool,
) -> None:
    made = certificates(tmp_path / "tls", name)
    with tls_in_front(require_tool("socat"), s3.port, made, verify=False) as port:
        ca = made.ca if trusted else None
        error = failure(store_at(f"https://127.0.0.1:{port}", keys_file(tmp_path), ca=ca))
    assert type(error) is DeliveryRefused
    assert sentence in str(error)


def test_https_at_a_port_in_clear_is_refused(s3: S3Server, tmp_path: Path) -> None:
    error = failure(store_at(f"https://127.0.0.1:{s3.port}", keys_file(tmp_path)))
    assert type(error) is DeliveryRefused
    assert "does not speak TLS" in str(error)


def test_nothing_in_the_environment_has_a_say(
    s3: S3Server, bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = f"http://127.0.0.1:{free_port()}"
    names = ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL")
    for name in names:
        monkeypatch.setenv(name, elsewhere)
    monkeypatch.setenv("AWS_SESSION_TOKEN", "somebody else's")
    line = line_to(store_at(s3.url, keys_file(tmp_path), bucket=bucket), tmp_path)
    put(line)
    assert states(line) == [State.DONE]
    assert os.environ["AWS_ENDPOINT_URL"] == elsewhere


@pytest.mark.parametrize(
    ("content", "mode", "sentence"),
    [
        ('access_key_id = "AKIAZEBRA"', 0o600, "lacks keys"),
        ('access_key_id = "AKIAZEBRA', 0o600, "cannot be read as TOML"),
        ('access_key_id = "AKIAZEBRA"\nsecret_access_key = 7', 0o600, "may hold only these"),
        ('access_key_id = "AKIAZEBRA"\naccount_key = "x"', 0o600, "may hold only these"),
        ('access_key_id = "AKIAZEBRA"\nsecret_access_key = "x"', 0o644, "open to every user"),
        (None, 0o600, "does not exist"),
    ],
)
def test_a_credentials_file_that_cannot_be_used_stops_the_daemon(
    tmp_path: Path, content: str | None, mode: int, sentence: str
) -> None:
    path = tmp_path / "keys.toml"
    if content is not None:
        path.write_text(content)
        path.chmod(mode)
    with pytest.raises(ConfigError, match=sentence) as raised:
        line_to(store_at("http://127.0.0.1:9", path), tmp_path)
    assert "AKIAZEBRA" not in str(raised.value)
    assert raised.value.__cause__ is None or "AKIAZEBRA" not in str(raised.value.__cause__)


@pytest.mark.parametrize(
    "values",
    [
        {"url": "s3://tiles/x"},
        {"url": "gs://tiles"},
        {"url": "file:///folder", "credentials_file": "keys.toml"},
        {"url": "file://folder"},
        {"url": "s3:///tiles", "credentials_file": "keys.toml"},
        {"url": "http://tiles/x", "credentials_file": "keys.toml"},
    ],
)
def test_a_store_that_lacks_keys_or_a_bucket_is_refused_by_the_settings(
    values: dict[str, str],
) -> None:
    with pytest.raises(ValidationError):
        ObjectStore.model_validate(values)


def test_an_authority_that_is_none_stops_the_daemon(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("no certificate")
    for ca in (tmp_path / "ca.pem", tmp_path / "missing.pem"):
        store = store_at("https://127.0.0.1:9", keys_file(tmp_path), ca=ca)
        with pytest.raises(ConfigError):
            line_to(store, tmp_path)


def test_a_folder_holds_one_whole_file_and_nothing_is_overwritten(tmp_path: Path) -> None:
    folder = tmp_path / "university"
    folder.mkdir()
    line = line_to(ObjectStore(url=f"file://{folder}"), tmp_path)
    put(line)
    put(line)
    assert states(line) == [State.DONE] * 2
    assert {one.name: one.read_bytes() for one in folder.iterdir()} == {NAME: SHARD}
    put(line, b"something else")
    assert sorted(states(line)) == sorted([State.DONE, State.DONE, State.ASIDE])
    assert (folder / NAME).read_bytes() == SHARD


def test_a_folder_that_is_not_mounted_is_waited_for_and_not_made(tmp_path: Path) -> None:
    folder = tmp_path / "university"
    line = line_to(ObjectStore(url=f"file://{folder}"), tmp_path)
    put(line)
    assert states(line) == [State.WAITING]
    assert not folder.exists()
    folder.mkdir()
    try_again(line)
    assert states(line) == [State.DONE]


def test_azure_takes_a_shard_once(tmp_path: Path, require_tool: Callable[[str], str]) -> None:
    keys = tmp_path / "azure.toml"
    keys.write_text(f'account_name = "{AZURE_ACCOUNT}"\naccount_key = "{AZURE_KEY}"\n')
    keys.chmod(0o600)
    with running_azurite(require_tool("azurite-blob"), tmp_path) as azure:
        store = ObjectStore.model_validate(
            {"url": f"az://{BUCKET}/{PREFIX}", "endpoint": azure.url, "credentials_file": keys}
        )
        assert "no bucket" in str(failure(store))
        azure.create_container(BUCKET)
        line = line_to(store, tmp_path)
        put(line)
        put(line)
        put(line, b"something else")
        assert sorted(states(line)) == sorted([State.DONE, State.DONE, State.ASIDE])
        assert open_bucket(store).holds(NAME, BytesIO(SHARD))
        keys.write_text(f'account_name = "{AZURE_ACCOUNT}"\naccount_key = "AAAA{AZURE_KEY[4:]}"\n')
        assert "does not let us in" in str(failure(store))


def test_google_is_asked_for_a_shard_once(tmp_path: Path) -> None:
    account = {"disable_oauth": True, "client_email": "", "private_key": "", "private_key_id": ""}
    keys = tmp_path / "google.toml"
    keys.write_text(f"service_account_key = '{json.dumps(account)}'\n")
    keys.chmod(0o600)
    with running_google_double() as (url, objects):
        store = ObjectStore.model_validate(
            {"url": f"gs://{BUCKET}/{PREFIX}", "endpoint": url, "credentials_file": keys}
        )
        line = line_to(store, tmp_path)
        put(line)
        put(line)
        put(line, b"something else")
        assert sorted(states(line)) == sorted([State.DONE, State.DONE, State.ASIDE])
        assert list(objects.values()) == [SHARD]
        missing = store.model_copy(update={"url": "gs://nowhere/at-all"})
        assert "no bucket" in str(failure(missing))
