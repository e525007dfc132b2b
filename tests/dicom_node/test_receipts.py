"""The receipts store: its schema, and what it promises."""

from pathlib import Path

import pytest
from sqlalchemy import inspect

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
    unique = found.get_unique_constraints("instance")
    assert [one["column_names"] for one in unique] == [["sop_instance_uid", "sha256"]]


def test_the_same_receipt_is_committed_once(receipts: Receipts) -> None:
    assert receipts.add(receipt())
    assert not receipts.add(receipt())
    assert receipts.add(receipt(sha256="bb"))
    assert len(receipts.of_study("1.9")) == 2
    assert receipts.hashes() == {"aa", "bb"}


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
