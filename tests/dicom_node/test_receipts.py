"""The receipts store: its schema, and what it promises."""

import multiprocessing
import threading
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import UniqueConstraint, inspect

from appliance.errors import TransientError
from appliance.stores import database
from appliance.stores.commitments import Commitments, Reference
from appliance.stores.database import open_engine
from appliance.stores.receipts import Receipt, Receipts
from appliance.stores.receipts_schema import metadata


@pytest.fixture
def receipts(tmp_path: Path) -> Receipts:
    return Receipts(open_engine(f"sqlite:///{tmp_path}/receipts.db", store="receipts"))


def receipt(uid: str = "1.2", sha256: str = "aa", study: str = "1.9") -> Receipt:
    return Receipt(
        sop_instance_uid=uid, sop_class_uid="1.1", transfer_syntax_uid="1.3",
        study_instance_uid=study, series_instance_uid="1.8", facts="{}", sha256=sha256,
        size_bytes=5 << 30, calling_ae_title="SCANNER", association="a", received_at=1.0,
    )  # fmt: skip


def _slide(
    receipts: Receipts,
    *numbers: int,
    container: str | None = "A",
    issuer: str | None = None,
    study: str = "1.9",
) -> str:
    return receipts.add_slide(
        numbers, scanner="s", study_instance_uid=study, container_identifier=container,
        container_issuer=issuer,
    ).slide_id  # fmt: skip


def test_the_migration_makes_the_tables_of_the_schema(tmp_path: Path) -> None:
    engine = open_engine(f"sqlite:///{tmp_path}/receipts.db", store="receipts")
    found = inspect(engine)
    for table in metadata.sorted_tables:
        columns = {one["name"]: one for one in found.get_columns(table.name)}
        assert set(columns) == {one.name for one in table.columns}
        for column in table.columns:
            there = columns[column.name]
            assert str(there["type"]) == str(column.type.compile(engine.dialect))
            assert there["nullable"] == column.nullable
        made = {tuple(one["column_names"]) for one in found.get_indexes(table.name)}
        wanted = {tuple(column.name for column in one.columns) for one in table.indexes}
        assert made == wanted
        unique = {tuple(one["column_names"]) for one in found.get_unique_constraints(table.name)}
        constraints = [one for one in table.constraints if isinstance(one, UniqueConstraint)]
        assert unique == {tuple(column.name for column in one.columns) for one in constraints}


def test_the_same_receipt_is_committed_once(receipts: Receipts) -> None:
    assert receipts.add(receipt())
    assert not receipts.add(receipt())
    assert receipts.add(receipt(sha256="bb"))
    assert len(receipts.of_study("1.9")) == 2
    assert receipts.hashes() == {"aa", "bb"}


def test_receipts_that_wait_together_are_committed_together_and_each_once(
    receipts: Receipts,
) -> None:
    some = [receipt(f"1.{n % 20}", f"{n % 20:02}") for n in range(60)]
    new: list[bool] = []
    threads = [
        threading.Thread(target=lambda one=one: new.append(receipts.add(one))) for one in some
    ]
    with receipts._writer._turn:  # all of them queue up meanwhile
        for thread in threads:
            thread.start()
    for thread in threads:
        thread.join()
    assert sorted(new) == [False] * 40 + [True] * 20
    assert len(receipts.of_study("1.9")) == 20


def test_a_receipt_that_cannot_be_stored_spoils_no_other(receipts: Receipts) -> None:
    bad = replace(receipt("1.66"), facts=object())  # type: ignore[arg-type]
    some = [receipt(f"1.{n}", f"{n:02}") for n in range(5)]
    failed: list[str] = []

    def add(one: Receipt) -> None:
        try:
            receipts.add(one)
        except Exception:  # noqa: BLE001  whatever the driver says
            failed.append(one.sop_instance_uid)

    threads = [threading.Thread(target=add, args=(one,)) for one in [*some[:2], bad, *some[2:]]]
    with receipts._writer._turn:
        for thread in threads:
            thread.start()
    for thread in threads:
        thread.join()
    assert failed == ["1.66"]
    assert {one.receipt.sop_instance_uid for one in receipts.of_study("1.9")} == {
        one.sop_instance_uid for one in some
    }


def _add_many(url: str, first: int) -> None:
    receipts = Receipts(open_engine(url, store="receipts"))
    for number in range(first, first + 40):
        receipts.add(receipt(f"1.{number}", f"{number:02}"))


def test_several_processes_add_receipts_at_once(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/receipts.db"
    receipts = Receipts(open_engine(url, store="receipts"))
    spawning = multiprocessing.get_context("spawn")
    processes = [spawning.Process(target=_add_many, args=(url, first)) for first in (0, 20, 40)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
        assert process.exitcode == 0
    assert len(receipts.of_study("1.9")) == 80


def test_a_locked_store_commits_nothing_and_takes_receipts_again_afterwards(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "BUSY_TIMEOUT_MS", 50)
    url = f"sqlite:///{tmp_path}/receipts.db"
    receipts = Receipts(open_engine(url, store="receipts"))
    assert receipts.add(receipt("1.1"))
    with open_engine(url, store="receipts").begin(), pytest.raises(TransientError):
        receipts.add(receipt("1.2"))
    assert not receipts.known("1.2", "aa")
    assert receipts.add(receipt("1.2"))


def test_what_was_purged_is_not_known_and_is_no_file_to_keep(receipts: Receipts) -> None:
    receipts.add(receipt())
    with receipts._engine.begin() as connection:
        connection.exec_driver_sql("update instance set purged_at = 1.0")
    assert not receipts.known("1.2", "aa")
    assert receipts.hashes() == frozenset()
    put: list[bool] = []
    receipts.restore(receipt(), lambda: put.append(True))
    assert put == [True]
    assert receipts.known("1.2", "aa")
    assert receipts.hashes() == {"aa"}


def test_a_request_covers_what_it_names_and_nothing_more(receipts: Receipts) -> None:
    commitments = Commitments(receipts._engine)
    for uids in (["1.1"], ["1.2", "1.3"]):
        references = [Reference(sop_class_uid="1", sop_instance_uid=uid) for uid in uids]
        assert commitments.ask(
            references, transaction_uid=uids[0], calling_ae_title="S", association="a"
        )
    assert commitments.covers({"1.2", "1.3"}, "S")
    assert commitments.covers({"1.3"}, "S")
    assert not commitments.covers({"1.1", "1.2"}, "S")  # no single request names both
    assert not commitments.covers({"1.2"}, "OTHER")
    assert not commitments.covers(set(), "S")


def test_a_request_for_thousands_of_objects_is_one_request(receipts: Receipts) -> None:
    commitments = Commitments(receipts._engine)
    uids = [f"1.{n}" for n in range(2000)]
    references = [Reference(sop_class_uid="1", sop_instance_uid=uid) for uid in uids]
    commitments.ask(references, transaction_uid="9", calling_ae_title="S", association="a")
    assert commitments.covers(uids, "S")
    (asked,) = commitments.asked()
    assert list(asked.reasons) == references
    commitments.decide(asked, dict.fromkeys(references, 0x0112))
    (due,) = commitments.due()
    assert set(due.reasons.values()) == {0x0112}


def test_sealing_twice_gives_the_same_objects(receipts: Receipts) -> None:
    receipts.add(receipt("1.2"))
    slide_id = _slide(receipts, 1)
    first = receipts.seal(slide_id, 1)
    receipts.add(receipt("1.3", "bb"))
    receipts.assign([2], slide_id)
    assert receipts.seal(slide_id, 1) == first
    assert len(receipts.seal(slide_id, 2)) == 2


def test_a_study_is_open_until_its_objects_are_sealed(receipts: Receipts) -> None:
    receipts.add(receipt())
    assert receipts.open_studies() == ("1.9",)
    receipts.seal(_slide(receipts, 1), 1)
    assert receipts.open_studies() == ()


def test_slide_ids_are_random_and_say_nothing(receipts: Receipts) -> None:
    ids = {_slide(receipts) for _ in range(20)}
    assert len(ids) == 20
    assert all(len(one) == 26 and one.isalnum() and one == one.lower() for one in ids)


@pytest.mark.parametrize(
    ("container", "issuer", "study", "linked"),
    [
        ("A", None, "1.9", True),
        ("A", None, "1.10", False),
        ("A", "lab", "1.9", False),
        ("B", None, "1.9", False),
        (None, None, "1.9", False),
    ],
)
def test_without_an_issuer_a_container_is_known_in_its_study_only(
    receipts: Receipts, container: str | None, issuer: str | None, study: str, *, linked: bool
) -> None:
    first = _slide(receipts)
    second = receipts.slide(_slide(receipts, container=container, issuer=issuer, study=study))
    assert second is not None
    assert (second.supersedes == first) == linked


def test_with_an_issuer_a_container_is_known_everywhere(receipts: Receipts) -> None:
    first = _slide(receipts, issuer="lab")
    second = receipts.slide(_slide(receipts, issuer="lab", study="1.10"))
    assert second is not None
    assert second.supersedes == first


def test_a_conflict_is_counted_across_slides(receipts: Receipts) -> None:
    receipts.add(receipt("1.2", "aa"))
    receipts.add(receipt("1.2", "bb", study="1.10"))
    first, second = _slide(receipts, 1), _slide(receipts, 2, study="1.10")
    assert receipts.conflicts(first) == receipts.conflicts(second) == 1
