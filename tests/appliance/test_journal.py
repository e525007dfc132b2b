"""The journal: claims are leases, and only the live holder's word counts."""

from collections.abc import Iterator
from multiprocessing import get_context
from pathlib import Path

import pytest
from alembic.config import Config
from alembic.runtime.environment import EnvironmentContext
from alembic.script import ScriptDirectory
from sqlalchemy import MetaData, create_engine, inspect

from appliance.errors import ConfigError, ForbiddenAction, LeaseLost, RejectedError, TransientError
from appliance.line import Outcome, Parcel, Stage, State, Verdict
from appliance.stores import journal_schema
from appliance.stores.database import MIGRATIONS, open_engine
from appliance.stores.journal import LEASE_S, MAX_ATTEMPTS, Journal


class Clock:
    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def journal(tmp_path: Path, clock: Clock) -> Iterator[Journal]:
    engine = open_engine(f"sqlite:///{tmp_path / 'journal.db'}", store="journal")
    yield Journal(engine, clock)
    engine.dispose()


def waiting(journal: Journal, slide_id: str = "slide") -> None:
    journal.add_slide(slide_id, scanner="scanner-1", last_byte_at=1.0)
    journal.complete(slide_id, actor="node", reason="all there")


def state(journal: Journal, slide_id: str = "slide") -> tuple[Stage, State]:
    status = journal.board.slide(slide_id)
    assert status is not None
    return status.stage, status.state


def walk_to(journal: Journal, stage: Stage, slide_id: str = "slide") -> None:
    waiting(journal, slide_id)
    for before in Stage:
        if before is stage:
            return
        claim = journal.claim(before)
        assert claim is not None
        journal.advance(claim, Outcome())


def test_a_slide_that_is_still_receiving_cannot_be_claimed(journal: Journal) -> None:
    journal.add_slide("slide", scanner="scanner-1", last_byte_at=1.0)
    assert journal.claim(Stage.ASSEMBLE) is None


def test_adding_a_slide_twice_changes_nothing(journal: Journal) -> None:
    waiting(journal)
    journal.add_slide("slide", scanner="another", last_byte_at=2.0)
    status = journal.board.slide("slide")
    assert status is not None
    assert (status.scanner, status.state) == ("scanner-1", State.WAITING)


def test_a_claimed_slide_is_not_claimed_twice(journal: Journal) -> None:
    waiting(journal)
    assert journal.claim(Stage.ASSEMBLE) is not None
    assert journal.claim(Stage.ASSEMBLE) is None


def test_a_holder_paused_past_its_lease_can_commit_nothing(journal: Journal, clock: Clock) -> None:
    waiting(journal)
    paused = journal.claim(Stage.ASSEMBLE)
    assert paused is not None
    clock.now += LEASE_S + 1
    second = journal.claim(Stage.ASSEMBLE)
    assert second is not None
    with pytest.raises(LeaseLost):
        journal.advance(paused, Outcome())
    with pytest.raises(LeaseLost):
        journal.renew(paused)
    journal.advance(second, Outcome())
    assert journal.board.named_folders(Stage.ASSEMBLE) == {second.folder}


def test_a_renewed_lease_keeps_the_slide(journal: Journal, clock: Clock) -> None:
    waiting(journal)
    claim = journal.claim(Stage.ASSEMBLE)
    assert claim is not None
    clock.now += LEASE_S - 1
    journal.renew(claim)
    clock.now += LEASE_S - 1
    assert journal.claim(Stage.ASSEMBLE) is None
    journal.advance(claim, Outcome())


def test_a_slide_that_kills_its_worker_is_set_aside(journal: Journal, clock: Clock) -> None:
    waiting(journal)
    for _ in range(MAX_ATTEMPTS):
        assert journal.claim(Stage.ASSEMBLE) is not None
        clock.now += LEASE_S + 1
    assert journal.claim(Stage.ASSEMBLE) is None
    status = journal.board.slide("slide")
    assert status is not None
    assert (status.state, status.error_code) == (State.ASIDE, "repeated-failure")


def test_a_slide_put_back_waits_and_its_attempts_are_forgiven(
    journal: Journal, clock: Clock
) -> None:
    waiting(journal)
    for _ in range(MAX_ATTEMPTS * 2):
        claim = journal.claim(Stage.ASSEMBLE)
        assert claim is not None
        journal.put_back(claim, TransientError("Later."), after_s=10)
        assert journal.claim(Stage.ASSEMBLE) is None
        clock.now += 11


def test_a_slide_set_aside_says_why_and_waits_for_a_person(journal: Journal) -> None:
    waiting(journal)
    claim = journal.claim(Stage.ASSEMBLE)
    assert claim is not None
    journal.set_aside(claim, RejectedError("No good."))
    assert journal.claim(Stage.ASSEMBLE) is None
    status = journal.board.slide("slide")
    assert status is not None
    assert (status.error, status.next_step) == ("No good.", RejectedError.next_step)
    journal.operate("retry", "slide", operator="tech")
    assert journal.claim(Stage.ASSEMBLE) is not None


def test_holding_a_running_slide_takes_it_from_its_worker(journal: Journal) -> None:
    waiting(journal)
    claim = journal.claim(Stage.ASSEMBLE)
    assert claim is not None
    journal.operate("hold", "slide", operator="tech")
    with pytest.raises(LeaseLost):
        journal.advance(claim, Outcome())
    assert state(journal) == (Stage.ASSEMBLE, State.HELD)
    journal.operate("resume", "slide", operator="tech")
    assert state(journal) == (Stage.ASSEMBLE, State.WAITING)


def test_an_action_that_makes_no_sense_is_refused_and_an_allowed_one_is_an_event(
    journal: Journal,
) -> None:
    waiting(journal)
    with pytest.raises(ForbiddenAction):
        journal.operate("resume", "slide", operator="tech")
    with pytest.raises(ForbiddenAction):
        journal.operate("retry", "unknown", operator="tech")
    journal.operate("hold", "slide", operator="tech")
    last = journal.board.events(slide_id="slide")[-1]
    assert (last.actor, last.kind) == ("tech", "hold")


def test_the_verdict_and_its_time_are_committed_with_the_stage(
    journal: Journal, clock: Clock
) -> None:
    walk_to(journal, Stage.INFER)
    claim = journal.claim(Stage.INFER)
    assert claim is not None
    clock.now += 3
    journal.advance(claim, Outcome(verdict=Verdict.RESCAN, reason="Out of focus."))
    status = journal.board.slide("slide")
    assert status is not None
    assert (status.verdict, status.reason) == (Verdict.RESCAN, "Out of focus.")
    assert status.verdict_at == clock.now


def released(journal: Journal, routes: tuple[str, ...]) -> None:
    walk_to(journal, Stage.RELEASE)
    claim = journal.claim(Stage.RELEASE)
    assert claim is not None
    parcels = tuple(
        Parcel(parcel_id=f"slide-{r}", route=r, kind="report", folder=r, slide_id="slide")
        for r in routes
    )
    journal.advance(claim, Outcome(parcels=parcels))


def test_a_slide_is_done_when_its_last_parcel_arrived(journal: Journal) -> None:
    released(journal, ("pacs", "registry"))
    for route, expected in (("pacs", State.WAITING), ("registry", State.DONE)):
        claim = journal.parcels.claim(route)
        assert claim is not None
        journal.parcels.delivered(claim, words="Arrived.")
        assert state(journal) == (Stage.DELIVER, expected)


def test_a_slide_without_parcels_is_done_after_release(journal: Journal) -> None:
    released(journal, ())
    assert state(journal) == (Stage.DELIVER, State.DONE)


def test_a_refused_parcel_sets_its_slide_aside_and_a_retry_sends_it_again(
    journal: Journal,
) -> None:
    released(journal, ("pacs",))
    claim = journal.parcels.claim("pacs")
    assert claim is not None
    journal.parcels.set_aside(claim, RejectedError("The PACS said no."))
    assert state(journal) == (Stage.DELIVER, State.ASIDE)
    assert journal.parcels.claim("pacs") is None
    journal.operate("retry", "slide", operator="tech")
    assert journal.parcels.claim("pacs") is not None


def test_parcels_of_a_held_slide_are_not_claimed(journal: Journal) -> None:
    released(journal, ("pacs",))
    journal.operate("hold", "slide", operator="tech")
    assert journal.parcels.claim("pacs") is None


def test_a_deliverer_paused_past_its_lease_can_commit_nothing(
    journal: Journal, clock: Clock
) -> None:
    released(journal, ("pacs",))
    paused = journal.parcels.claim("pacs")
    assert paused is not None
    clock.now += LEASE_S + 1
    second = journal.parcels.claim("pacs")
    assert second is not None
    with pytest.raises(LeaseLost):
        journal.parcels.delivered(paused, words="Arrived.")
    journal.parcels.delivered(second, words="Arrived.")
    assert state(journal) == (Stage.DELIVER, State.DONE)


def test_a_late_object_makes_a_new_revision_and_a_released_slide_waits_for_a_person(
    journal: Journal,
) -> None:
    walk_to(journal, Stage.INFER)
    assert journal.new_revision("slide", actor="node", last_byte_at=2.0) == 2
    assert state(journal) == (Stage.ASSEMBLE, State.RECEIVING)
    released(journal, ("pacs",))
    assert journal.new_revision("slide", actor="node", last_byte_at=3.0) == 3
    assert state(journal) == (Stage.ASSEMBLE, State.HELD)


def test_the_screen_sees_that_another_connection_wrote(
    journal: Journal, tmp_path: Path, clock: Clock
) -> None:
    before = journal.board.data_version()
    assert journal.board.data_version() == before
    engine = open_engine(f"sqlite:///{tmp_path / 'journal.db'}", store="journal")
    waiting(Journal(engine, clock))
    engine.dispose()
    assert journal.board.data_version() != before


def _claim_all(url: str, claimed: "list[str]") -> None:
    journal = Journal(open_engine(url, store="journal"))
    while (claim := journal.claim(Stage.ASSEMBLE)) is not None:
        claimed.append(claim.slide_id)


def test_processes_that_claim_at_once_never_get_the_same_slide(
    journal: Journal, tmp_path: Path
) -> None:
    for number in range(40):
        waiting(journal, f"slide-{number}")
    url = f"sqlite:///{tmp_path / 'journal.db'}"
    context = get_context("spawn")
    with context.Manager() as manager:
        claimed = manager.list()
        workers = [context.Process(target=_claim_all, args=(url, claimed)) for _ in range(3)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        assert sorted(claimed) == sorted(f"slide-{number}" for number in range(40))


def done(journal: Journal) -> None:
    """Walk a slide to its end, with a verdict."""
    walk_to(journal, Stage.INFER)
    for stage in (Stage.INFER, Stage.REPORT, Stage.RELEASE):
        claim = journal.claim(stage)
        assert claim is not None
        verdict = Verdict.ACCEPT if stage is Stage.INFER else None
        journal.advance(claim, Outcome(verdict=verdict, reason="Sharp."))


def test_a_slide_that_comes_back_keeps_its_images_and_its_verdict(
    journal: Journal, clock: Clock
) -> None:
    done(journal)
    before = journal.board.slide("slide")
    images = journal.board.folder("slide", Stage.DEIDENTIFY)
    clock.now += 60
    assert journal.rejoin("slide", revision=1, folder="slide@placed", note="Answers.")
    claim = journal.claim(Stage.INFER)
    assert claim is not None
    assert before is not None
    assert journal.product(claim, Stage.DEIDENTIFY).folder == images
    assert journal.placed(claim) == "slide@placed"
    journal.advance(claim, Outcome())
    after = journal.board.slide("slide")
    assert after is not None
    assert (after.stage, after.revision) == (Stage.REPORT, 2)
    told = ("verdict", "reason", "verdict_at")
    assert [getattr(after, name) for name in told] == [getattr(before, name) for name in told]
    stages = {Stage.ASSEMBLE, Stage.DEIDENTIFY, Stage.INFER}
    assert journal.board.stage_times("slide", 2).keys() == stages


def test_a_late_object_of_a_slide_that_came_back_waits_for_a_person(journal: Journal) -> None:
    done(journal)
    assert journal.rejoin("slide", revision=1, folder="slide@placed", note="Answers.")
    journal.new_revision("slide", actor="node", last_byte_at=2.0)
    assert state(journal) == (Stage.ASSEMBLE, State.HELD)


def test_answers_are_named_until_release_has_them(journal: Journal, clock: Clock) -> None:
    parcel = Parcel(parcel_id="p", route="rack", kind="tiles", folder="p@1", slide_id=None)
    with journal._engine.begin() as connection:
        journal.parcels.add(connection, parcel)
    claim = journal.parcels.claim("rack")
    assert claim is not None
    assert journal.board.live_parcel_tokens(clock.now) == {claim.token}
    journal.parcels.delivered(claim, words="Answered.", answers=f"p@{claim.token}")
    assert journal.board.named_answers("rack") == {f"p@{claim.token}"}
    (answered,) = journal.parcels.answered()
    journal.parcels.collected(answered)
    assert journal.board.named_answers("rack") == frozenset()
    assert journal.parcels.answered() == ()


def test_the_migrations_make_the_tables_that_the_code_speaks_of(journal: Journal) -> None:
    inspector = inspect(journal._engine)
    for table in journal_schema.metadata.sorted_tables:
        found = {column["name"] for column in inspector.get_columns(table.name)}
        assert found == {column.name for column in table.columns}
        assert bool(inspector.get_indexes(table.name)) == bool(table.indexes)


def test_a_journal_from_before_answers_keeps_its_parcels(tmp_path: Path) -> None:
    path = tmp_path / "old.db"
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.set_main_option("version_locations", str(MIGRATIONS / "journal"))
    config.set_main_option("path_separator", "os")
    script = ScriptDirectory.from_config(config)
    engine = create_engine(f"sqlite:///{path}")
    environment = EnvironmentContext(
        config, script, fn=lambda revision, _: script._upgrade_revs("journal_0001", revision)
    )
    with engine.begin() as connection:
        environment.configure(connection=connection, target_metadata=MetaData())
        environment.run_migrations()
        connection.exec_driver_sql(
            "INSERT INTO parcel (parcel_id, route, kind, folder, state, attempts, retries, "
            "created_at, updated_at) VALUES ('p', 'rack', 'tiles', 'p@1', 'waiting', 0, 0, 1, 1)"
        )
    engine.dispose()
    opened = open_engine(f"sqlite:///{path}", store="journal")
    journal = Journal(opened)
    claim = journal.parcels.claim("rack")
    assert claim is not None
    journal.parcels.delivered(claim, words="Answered.", answers="p@2")
    assert [one.folder for one in journal.parcels.answered()] == ["p@2"]
    opened.dispose()


def test_a_journal_of_a_newer_version_is_refused_with_one_sentence(
    journal: Journal, tmp_path: Path
) -> None:
    with journal._engine.begin() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = 'journal_9999'")
    with pytest.raises(ConfigError, match="newer version"):
        open_engine(f"sqlite:///{tmp_path / 'journal.db'}", store="journal")


def test_a_journal_can_be_opened_and_read_while_another_process_writes(
    journal: Journal, tmp_path: Path
) -> None:
    waiting(journal)
    with journal._engine.begin():
        engine = open_engine(f"sqlite:///{tmp_path / 'journal.db'}", store="journal")
        assert Journal(engine).board.slide("slide") is not None
        engine.dispose()


def test_a_slide_held_while_its_last_parcel_arrived_is_done_when_it_is_resumed(
    journal: Journal,
) -> None:
    released(journal, ("pacs",))
    claim = journal.parcels.claim("pacs")
    assert claim is not None
    journal.operate("hold", "slide", operator="tech")
    journal.parcels.delivered(claim, words="Arrived.")
    assert state(journal) == (Stage.DELIVER, State.HELD)
    journal.operate("resume", "slide", operator="tech")
    assert state(journal) == (Stage.DELIVER, State.DONE)


def test_a_late_object_takes_the_old_error_away(journal: Journal) -> None:
    waiting(journal)
    claim = journal.claim(Stage.ASSEMBLE)
    assert claim is not None
    journal.set_aside(claim, RejectedError("No good."))
    journal.new_revision("slide", actor="node", last_byte_at=2.0)
    status = journal.board.slide("slide")
    assert status is not None
    assert (status.state, status.error, status.next_step) == (State.RECEIVING, None, None)


def test_the_scans_of_a_container_are_found_from_each_of_them(journal: Journal, clock: Clock):
    for slide_id, before in (("first", None), ("second", "first"), ("third", "second")):
        journal.add_slide(slide_id, scanner="scanner-1", last_byte_at=clock(), supersedes=before)
        clock.now += 1
    journal.add_slide("other", scanner="scanner-1", last_byte_at=clock())
    for slide_id in ("first", "second", "third"):
        found = journal.board.scans(slide_id)
        assert [scan.slide_id for scan in found] == ["first", "second", "third"]
    assert [scan.slide_id for scan in journal.board.scans("other")] == ["other"]
    assert journal.board.scans("nothing") == ()
