"""The release stage: every route gets what its policy allows, once, signed, and nothing else."""

import io
import json
import sqlite3
import tarfile

import pytest
from PIL import Image
from pydantic import ValidationError
from pydicom import dcmread

from anonymizer.release.identify import identify_command
from anonymizer.release.opened import ingest, open_identity
from appliance.control import Operator
from appliance.errors import DeliveryRefused, ForbiddenAction
from appliance.line import Role, Stage, State, Verdict
from appliance.manifest import MANIFEST, SIGNATURE, open_verified, verify
from appliance.sealing import seal
from tests.anonymizer.release_line import INSIDE, Line, outside_sr_route, tiles_route
from tests.anonymizer.release_parts import CANARY, original_slide

ROUTES = [INSIDE, tiles_route(), outside_sr_route()]


@pytest.fixture
def make_line(tmp_path):
    lines = []

    def make(routes=None, name="line") -> Line:
        line = Line(tmp_path / name, ROUTES if routes is None else routes)
        lines.append(line)
        return line

    yield make
    for line in lines:
        line.close()


def contents(folder) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def everything(line: Line, route: str) -> list[dict[str, bytes]]:
    return [contents(folder) for folder in line.parcels(route)]


def tile_ids(line: Line, route: str = "research") -> list[str]:
    found = []
    for parcel in everything(line, route):
        for name, content in parcel.items():
            if name.endswith(".tar"):
                with tarfile.open(fileobj=io.BytesIO(content)) as tar:
                    found += [entry.name[:-4] for entry in tar if entry.name.endswith(".jpg")]
    return found


def aside(line: Line, slide_id: str = "slide-a") -> str:
    status = line.status(slide_id)
    assert status.state is State.ASIDE
    assert CANARY not in str(status.error)
    return f"{status.error_code}: {status.error}"


def test_each_route_gets_its_products_and_deliver_accepts_them(make_line):
    line = make_line()
    line.bring("slide-a")
    assert line.work()
    assert line.status("slide-a").stage is Stage.DELIVER, line.status("slide-a").error
    kinds = {}
    for route in line.settings.routes:
        for folder in line.parcels(route.name):
            manifest = verify(folder, route=route, public_key=line.public_key, now=line.now)
            kinds.setdefault(route.name, []).extend(file.kind for file in manifest.files)
    assert kinds == {"pacs": ["SR", "SEG"], "research": ["tiles"] * 2, "registry": ["outside_sr"]}


def test_inside_products_carry_the_true_patient_and_outside_products_do_not(make_line):
    line = make_line()
    line.bring("slide-a")
    line.work()
    (pacs,) = line.parcels("pacs")
    assert dcmread(pacs / "sr.dcm").PatientID == original_slide().PatientID
    outside = [*everything(line, "research"), *everything(line, "registry")]
    original = original_slide()
    uids = [str(e.value) for e in original.iterall() if e.VR == "UI" and "826" in str(e.value)]
    for parcel in outside:
        for content in parcel.values():
            assert CANARY.encode() not in content
            assert not any(uid.encode() in content for uid in uids)
            assert b"slide-a" not in content


def test_no_outside_product_holds_the_pseudonyms_used_inside(make_line):
    line = make_line()
    line.bring("slide-a")
    line.work()
    subject = inverse(line).subject
    for parcel in [*everything(line, "research"), *everything(line, "registry")]:
        for content in parcel.values():
            assert subject.patient_id.encode() not in content
            assert subject.container_identifier.encode() not in content
            assert subject.study_instance_uid.encode() not in content


def inverse(line: Line, slide_id: str = "slide-a"):
    from anonymizer.release.belonging import inverse_of

    identity = open_identity(line.vault.identity(slide_id), slide_id=slide_id, keys=line.keys)
    return inverse_of(identity, line.keys.pseudonyms)


def test_release_killed_before_the_commit_makes_the_same_bytes_again(make_line):
    line = make_line()
    line.bring("slide-a")
    first: dict[str, list] = {}
    release = line.release()

    class Killed(BaseException):
        pass

    def killed(work):
        outcome = release(work)
        for parcel in outcome.parcels:
            folder = line.root.outbox(parcel.route) / parcel.folder
            first.setdefault(parcel.route, []).append(contents(folder))
        raise Killed

    with pytest.raises(Killed):
        line.work(killed)
    expire_lease(line)
    line.now += 3600.0
    assert line.work()
    assert line.status("slide-a").stage is Stage.DELIVER
    for route, made in first.items():
        assert sorted(made, key=str) == sorted(everything(line, route), key=str)


def expire_lease(line: Line) -> None:
    connection = sqlite3.connect(line.root.zone("journal") / "journal.db")
    with connection:
        connection.execute("UPDATE slide SET lease_until = 1.0")
    connection.close()


def test_a_rescan_of_the_same_container_gives_no_second_sample(make_line):
    line = make_line()
    line.bring("slide-a")
    line.work()
    before = tile_ids(line)
    line.bring("slide-b")
    line.work()
    assert line.status("slide-b").stage is Stage.DELIVER
    assert tile_ids(line) == before
    assert any("second sample" in event.text for event in line.journal.board.events())


@pytest.mark.parametrize("verdict", [Verdict.RESCAN, Verdict.REVIEW])
def test_a_slide_that_is_not_accepted_gives_no_tiles_but_its_report_goes_inside(make_line, verdict):
    line = make_line()
    line.bring("slide-a", verdict=verdict)
    line.work()
    assert line.status("slide-a").stage is Stage.DELIVER
    assert line.parcels("research") == []
    assert len(line.parcels("pacs")) == 1


def test_tiles_wait_until_enough_patients_are_in_the_pool(make_line):
    line = make_line([tiles_route(min_patients=2, tiles_per_shard=16)])
    line.bring("slide-a", number=1, patient=1)
    line.work()
    assert line.parcels("research") == []
    line.bring("slide-b", number=2, patient=1)
    line.work()
    assert line.parcels("research") == []
    line.bring("slide-c", number=3, patient=2)
    line.work()
    parcels = line.parcels("research")
    assert parcels
    assert len(tile_ids(line)) == 16 * len(parcels)


def test_a_patient_gives_a_recipient_no_more_tiles_than_the_policy_says(make_line):
    line = make_line([tiles_route(max_tiles_per_patient=20, tiles_per_shard=2)])
    for number in (1, 2, 3):
        line.bring(f"slide-{number}", number=number, patient=1)
        line.work()
    assert len(tile_ids(line)) == 20
    assert any("all tiles of this patient" in e.text for e in line.journal.board.events())


def test_tiles_are_turned_crops_of_the_slide_with_one_size_and_stain(make_line):
    line = make_line([tiles_route()])
    line.bring("slide-a")
    line.work()
    for parcel in everything(line, "research"):
        content = next(content for name, content in parcel.items() if name.endswith(".tar"))
        with tarfile.open(fileobj=io.BytesIO(content)) as tar:
            for entry in tar:
                file = tar.extractfile(entry)
                assert file is not None
                if entry.name.endswith(".json"):
                    facts = json.loads(file.read())
                    assert set(facts) == {"id", "um_px", "stain"}
                    assert facts["stain"] == "H&E"
                else:
                    with Image.open(file) as image:
                        assert image.size == (192, 192)


def test_two_recipients_get_tiles_that_are_not_the_same_cells(make_line):
    other = tiles_route("company-tiles", "company", colour=1)
    line = make_line([tiles_route(), other])
    line.bring("slide-a")
    line.work()
    assert not set(tile_ids(line)) & set(tile_ids(line, "company-tiles"))
    assert tile_ids(line, "company-tiles")


@pytest.mark.parametrize(
    "other",
    [
        tiles_route("more", "company"),
        tiles_route("more", "university", colour=1),
        tiles_route("more", "company", colour=1, crop_px=160),
    ],
)
def test_tile_routes_that_do_not_fit_together_are_refused_with_the_settings(make_line, other):
    with pytest.raises(ValidationError, match=r"another grid|the colour|two routes"):
        make_line([tiles_route(), other])


def test_a_recipient_that_had_a_report_of_a_container_gets_no_tiles_of_it(make_line):
    line = make_line([outside_sr_route("first", "university")])
    line.bring("slide-a")
    line.work()
    later = make_line([tiles_route()])
    later.bring("slide-b")
    later.work()
    assert later.status("slide-b").stage is Stage.DELIVER
    assert later.parcels("research") == []


def test_swapped_rows_of_the_vault_stop_the_release(make_line):
    line = make_line([INSIDE])
    line.bring("slide-a", number=1, patient=1)
    line.bring("slide-b", number=2, patient=2)
    for slide_id in ("slide-a", "slide-b"):
        folder = line.journal.board.folder(slide_id, Stage.ASSEMBLE)
        ingest(slide_id, folder=folder, root=line.root, vault=line.vault)
    connection = sqlite3.connect(line.root.zone("vault") / "vault.db")
    with connection:
        (a, b) = (
            connection.execute(
                "SELECT sealed FROM identity WHERE slide_id = ?", (slide_id,)
            ).fetchone()[0]
            for slide_id in ("slide-a", "slide-b")
        )
        connection.execute("UPDATE identity SET sealed = ? WHERE slide_id = 'slide-a'", (b,))
        connection.execute("UPDATE identity SET sealed = ? WHERE slide_id = 'slide-b'", (a,))
    connection.close()
    line.work()
    line.work()
    for slide_id in ("slide-a", "slide-b"):
        assert aside(line, slide_id).startswith("identity-doubt")
    assert line.parcels("pacs") == []


def test_an_identity_sealed_anew_for_the_wrong_slide_stops_the_release_too(make_line):
    """Whoever holds all the keys and writes well-formed rows still cannot mix two patients."""
    line = make_line([INSIDE])
    line.bring("slide-a", number=1, patient=1)
    line.bring("slide-b", number=2, patient=2)
    folder_a, folder_b = (
        line.journal.board.folder(slide_id, Stage.ASSEMBLE) for slide_id in ("slide-a", "slide-b")
    )
    ingest("slide-b", folder=folder_b, root=line.root, vault=line.vault)
    other = open_identity(line.vault.identity("slide-b"), slide_id="slide-b", keys=line.keys)
    forged = seal(line.keys.seal_key.public_key(), other.to_bytes(), "slide-a")
    line.vault.put_identity("slide-a", forged, source=folder_a)
    line.work()
    assert "does not belong" in aside(line)
    assert line.parcels("pacs") == []


def test_a_sealed_identity_moved_to_another_slide_stops_the_release(make_line):
    line = make_line([INSIDE])
    line.bring("slide-a", number=1, patient=1)
    line.bring("slide-b", number=2, patient=2)
    files = [
        line.root.zone("sealed") / line.journal.board.folder(slide_id, Stage.ASSEMBLE)
        for slide_id in ("slide-a", "slide-b")
    ]
    (files[0] / "identity.sealed").write_bytes((files[1] / "identity.sealed").read_bytes())
    line.work()
    assert aside(line).startswith("identity-doubt")


def test_a_whole_slide_under_the_name_of_a_report_does_not_leave(make_line):
    def swap(folder):
        original_slide().save_as(folder / "sr.dcm", enforce_file_format=True)

    line = make_line([INSIDE])
    line.bring("slide-a", change_report=swap)
    line.work()
    assert aside(line).startswith("invalid-instance")
    assert line.parcels("pacs") == []


@pytest.mark.parametrize("missing", ["sr.dcm", "outside_sr.dcm"])
def test_a_missing_report_sets_the_slide_aside(make_line, missing):
    line = make_line([INSIDE, outside_sr_route()])
    line.bring("slide-a", change_report=lambda folder: (folder / missing).unlink())
    line.work()
    assert aside(line).startswith("invalid-instance")


def test_a_slide_without_a_segmentation_sends_its_report_alone(make_line):
    from tests.anonymizer.release_parts import pseudonymous, report_of, save

    line = make_line([INSIDE])
    deid = pseudonymous(original_slide(), line.keys.pseudonyms)

    def without(folder):
        (folder / "seg.dcm").unlink()
        structured, _ = report_of(deid)
        evidence = structured.CurrentRequestedProcedureEvidenceSequence[0]
        series = evidence.ReferencedSeriesSequence
        evidence.ReferencedSeriesSequence = [
            one
            for one in series
            if one.ReferencedSOPSequence[0].ReferencedSOPInstanceUID == deid.SOPInstanceUID
        ]
        save(structured, folder / "sr.dcm")

    line.bring("slide-a", change_report=without)
    line.work()
    (parcel,) = everything(line, "pacs")
    assert set(parcel) == {"sr.dcm", MANIFEST, SIGNATURE}


@pytest.mark.parametrize(
    ("stage", "folder"),
    [
        ("assemble", "../../keys"),
        ("deidentify", "../original/slide-a@x"),
        ("infer", "slide-b@x"),
        ("report", "slide-a@x/../../keys"),
        ("report", "/etc"),
    ],
)
def test_a_hostile_row_of_the_journal_does_not_lead_release_elsewhere(make_line, stage, folder):
    line = make_line()
    line.bring("slide-a")
    connection = sqlite3.connect(line.root.zone("journal") / "journal.db")
    with connection:
        connection.execute("UPDATE product SET folder = ? WHERE stage = ?", (folder, stage))
    connection.close()
    line.work()
    assert "not this slide's" in aside(line)
    assert not any(line.parcels(route.name) for route in line.settings.routes)


def test_a_report_of_another_slide_under_this_one_does_not_leave(make_line):
    line = make_line([INSIDE])
    line.bring("slide-b", number=2, patient=2)
    other = line.root.zone("report") / line.journal.board.folder("slide-b", Stage.REPORT)

    def swap(folder):
        for name in ("sr.dcm", "seg.dcm"):
            (folder / name).write_bytes((other / name).read_bytes())

    line.bring("slide-a", number=1, patient=1, change_report=swap)
    line.work()
    line.work()
    assert "does not belong" in aside(line)


def test_a_rescan_gives_no_recipient_tiles_beside_those_another_one_holds(make_line):
    """The cells of two scans do not lie on each other, so the tiles of both could overlap."""
    line = make_line([tiles_route()])
    line.bring("slide-a")
    line.work()
    later = make_line([tiles_route(), tiles_route("more", "company", colour=1)])
    later.bring("slide-b")
    later.work()
    assert later.parcels("more") == []
    assert any("another plan or scan" in e.text for e in later.journal.board.events())


def test_a_slide_without_a_container_gives_no_tiles(make_line, monkeypatch):
    from tests.anonymizer import release_line

    def nameless(number, *, patient):
        slide = original_slide(number, patient=patient)
        slide.ContainerIdentifier = ""
        return slide

    monkeypatch.setattr(release_line, "original_slide", nameless)
    line = make_line([tiles_route()])
    line.bring("slide-a")
    line.work()
    assert line.status("slide-a").state is State.DONE
    assert any("no container identifier" in e.text for e in line.journal.board.events())


def test_a_policy_whose_shards_are_too_small_for_its_patients_is_refused(make_line):
    with pytest.raises(ValidationError, match="min_patients"):
        make_line([tiles_route(min_patients=20, tiles_per_shard=8)])


def test_what_is_published_cannot_be_sent_on_another_route(make_line):
    line = make_line()
    line.bring("slide-a")
    line.work()
    for route in line.settings.routes:
        for other in line.settings.routes:
            for folder in line.parcels(route.name):
                if other is route:
                    with open_verified(
                        folder, route=other, public_key=line.public_key, now=line.now
                    ):
                        continue
                with pytest.raises(DeliveryRefused):
                    verify(folder, route=other, public_key=line.public_key, now=line.now)


def test_the_vault_holds_no_clear_text_after_a_release(make_line):
    line = make_line()
    line.bring("slide-a")
    line.work()
    for path in line.root.zone("vault").rglob("*"):
        if path.is_file():
            content = path.read_bytes()
            assert CANARY.encode() not in content
            assert b"1.2.826" not in content
            assert b"JFIF" not in content


def test_the_journal_learns_no_identity_from_release(make_line):
    line = make_line()
    line.bring("slide-a")
    line.work()
    for path in line.root.zone("journal").iterdir():
        assert CANARY.encode() not in path.read_bytes()


def test_a_technician_sees_identity_and_every_look_is_audited(make_line):
    line = make_line([INSIDE])
    line.bring("slide-a")
    line.bring("slide-b", number=2)
    line.work()  # slide-b is not released yet: its identity still waits in sealed/
    command = identify_command(
        journal=line.journal, root=line.root, vault=line.vault, keys=line.keys
    )
    assert command.role is Role.TECHNICIAN
    asked = {"slide_ids": ["slide-a", "slide-b", "unknown"]}
    shown = command.run(Operator(name="anna", role=Role.TECHNICIAN), asked)
    assert shown == {
        "slides": {
            "slide-a": {"container_identifier": f"{CANARY}-C1"},
            "slide-b": {"container_identifier": f"{CANARY}-C2"},
        }
    }
    named = command.run(
        Operator(name="anna", role=Role.TECHNICIAN), {**asked, "with_patient_name": True}
    )
    assert named["slides"]["slide-a"]["patient_name"] == f"{CANARY}^Jörg^1"
    events = [e for e in line.journal.board.events() if e.kind == "identify"]
    assert [event.actor for event in events] == ["anna", "anna"]
    assert not any(CANARY in event.text for event in events)


@pytest.mark.parametrize("asked", [{}, {"slide_ids": "slide-a"}, {"slide_ids": ["x"] * 201}])
def test_nobody_sees_the_whole_register_at_once(make_line, asked):
    line = make_line([INSIDE])
    command = identify_command(
        journal=line.journal, root=line.root, vault=line.vault, keys=line.keys
    )
    with pytest.raises(ForbiddenAction):
        command.run(Operator(name="anna", role=Role.TECHNICIAN), asked)
