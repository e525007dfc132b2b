"""The shapes in which real scanners send slides: grouped right, complete at the right moment."""

import csv
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from dicom_node.headers import Instance, read_header
from dicom_node.slides.completeness import Profile, Progress, Receiving, judge
from dicom_node.slides.grouping import VOLUME, Group, group
from tests.dicom_node.test_grouping import arrivals, instance

QUIET = Profile(quiet_s=60.0)
COMMITS = Profile(quiet_s=60.0, commits=True)

LIST = "dicom/NEMA_WG26_description.tsv.txt"
"""What scanners of a DICOM connectathon sent: one line an instance."""


def sent_by(shared_data: Path, patient: str) -> list[Instance]:
    """Instances that a scanner sent at the connectathon, as far as the list describes them.

    It does not give containers. Where a series holds two labels it holds two slides, each with
    Instance Numbers of its own (Philips gives all objects the same one).
    """
    with (shared_data / LIST).open(newline="") as file:
        rows = [row for row in csv.DictReader(file, delimiter="\t") if patient in row["Filename"]]
    labels = Counter(
        row["Filename"].rpartition("/")[0] for row in rows if "LABEL" in row["Image Type"]
    )
    seen: Counter[tuple[str, str]] = Counter()
    found = []
    for row in sorted(rows, key=lambda row: -int(row["Number of Frames"])):
        folder, _, name = row["Filename"].rpartition("/")
        key = (folder, row["Instance Number"])
        seen[key] += 1
        slide = f"{folder} {seen[key] if labels[folder] > 1 else 1}"
        image_type = row["Image Type"].split("\\")
        n_frames = int(row["Number of Frames"])
        found.append(
            instance(
                sop_instance_uid=name,
                study_instance_uid=folder.rpartition("/")[0],
                series_instance_uid=folder,
                frame_of_reference_uid=slide,
                container_identifier=slide,
                flavour=image_type[2],
                is_resampled=image_type[3] == "RESAMPLED",
                n_frames=n_frames,
                n_frames_expected=n_frames if image_type[2] == VOLUME else None,
            )
        )
    return found


def progress(found: Group, profile: Profile = QUIET, *, now: float = 61.0) -> Progress:
    slide = Receiving(
        instances=[one.instance for one in found.arrivals],
        in_flight=False,
        association_open=False,
        last_byte_at=0.0,
        doubt=found.doubt,
        committed=profile.commits,
    )
    return judge(slide, profile, now=now).progress


@pytest.mark.parametrize(
    ("folder", "n_objects", "n_labels"),
    [
        ("[Steiner 40x z1 Q]", [8], 1),
        ("[TriChrome Grn 20]", [8], 1),  # three focal planes
        ("Histech^Samantha", [13], 1),  # a region localizer
        ("Histech^Theresa", [13, 13], 2),  # two slides in one series
        ("Histech^Ulysses", [13, 13], 2),
        ("nference^patient", [10], 1),  # levels ORIGINAL and RESAMPLED, a localizer
        ("Patricia^Huron", [4], 1),
        ("Quinn^Huron", [5, 5], 2),
        ("Robert^Huron", [5, 5], 2),
        ("Philips^Amy", [8], 0),  # every level ORIGINAL and NONE, no label
        ("Philips^Bob", [7, 8], 0),  # two slides in one study
        ("Philips^Chris", [8], 0),
    ],
)
def test_the_scanners_of_the_connectathon(
    shared_data: Path, folder: str, n_objects: list[int], n_labels: int
) -> None:
    instances = sent_by(shared_data, folder)
    found = group(arrivals(*instances))
    assert sorted(len(one.arrivals) for one in found) == n_objects
    flavours = [one.instance.flavour for each in found for one in each.arrivals]
    assert flavours.count("LABEL") == n_labels
    for each in found:
        assert progress(each) is Progress.COMPLETE
        assert progress(each, now=0.0) is Progress.WAIT
        assert progress(each, COMMITS, now=0.0) is Progress.COMPLETE


@pytest.mark.parametrize("folder", ["Histech^Theresa", "Quinn^Huron"])
def test_two_slides_in_one_series_that_name_no_container_are_not_mixed_silently(
    shared_data: Path, folder: str
) -> None:
    instances = [replace(one, container_identifier=None) for one in sent_by(shared_data, folder)]
    (found,) = group(arrivals(*instances))
    assert found.doubt is not None
    assert progress(found) is Progress.WAIT
    assert progress(found, now=200.0) is Progress.GIVE_UP


def test_a_label_in_a_series_of_its_own_without_a_frame_of_reference(shared_data: Path) -> None:
    instances = [
        replace(one, series_instance_uid="9", frame_of_reference_uid=None)
        if one.flavour != VOLUME
        else one
        for one in sent_by(shared_data, "[HE Liver 40x z1]")
    ]
    (found,) = group(arrivals(*instances))
    assert len(found.arrivals) == 8
    profile = Profile(quiet_s=60.0, expects=("VOLUME", "LABEL", "OVERVIEW"))
    assert progress(found, profile, now=0.0) is Progress.COMPLETE
    without = [one for one in found.arrivals if one.instance.flavour != "LABEL"]
    assert progress(replace(found, arrivals=tuple(without)), profile, now=0.0) is Progress.WAIT


def test_a_scanner_that_sends_the_base_only(shared_data: Path) -> None:
    base = max(sent_by(shared_data, "nference^patient"), key=lambda one: one.n_frames)
    (found,) = group(arrivals(base))
    assert progress(found) is Progress.COMPLETE
    assert progress(found, COMMITS, now=0.0) is Progress.COMPLETE
    missing = replace(base, n_frames=base.n_frames - 1)
    assert progress(group(arrivals(missing))[0]) is Progress.WAIT


# Files as they are.


def read(folder: Path) -> list[Instance]:
    paths = sorted(path for path in folder.iterdir() if path.suffix in (".dcm", ""))
    return [read_header(path).instance for path in paths]


FOLDERS = {
    "dicom/wg26_fluorescence/BPAEC": ([10], False),  # optical paths, region localizer, levels only
    "dicom/wsi2dcm_cmu-1-small-region": ([12], True),  # no container, a frame of reference a level
    "dicom/openslide_boxes": ([2], True),  # the thumbnail is resampled
    "dicom/panimg_bot_variants/full_no_bot": ([1], False),  # no Dimension Organization Type
    "dicom/panimg_bot_variants/sparse_with_bot": ([1], False),
    "dicom_converted/cmu_jpeg_native_bot": ([7], True),
    "dicom_converted/cmu_jpeg_tiled_sparse": ([7], True),
    "dicom_converted/cmu_jpeg_concatenated3": ([9], True),
    "dicom_converted/cmu_htj2k_lossy": ([7], True),
    "dicom_converted/cmu_half_rle": ([6], False),  # the base was left out
    "dicom_converted/tcga_cr_j2k_native": ([5], True),  # no label, no overview
    "dicom_converted/tcga_xk_pen_synthetic_phi": ([6], True),
    "dicom_converted/quirk_wsidicomizer_undersized_edge_frames": ([8], True),  # all levels NONE
    "dicom_converted/quirk_j2k_frames_labelled_jpeg_baseline": ([3], True),
}
"""Folder -> objects a slide, and whether the base is there."""


@pytest.mark.parametrize("folder", FOLDERS)
def test_real_files_make_whole_slides(shared_data: Path, folder: str) -> None:
    n_objects, has_base = FOLDERS[folder]
    found = group(arrivals(*read(shared_data / folder)))
    assert sorted(len(one.arrivals) for one in found) == n_objects
    for each in found:
        assert each.doubt is None
        assert progress(each) is Progress.COMPLETE
        wanted = Progress.COMPLETE if has_base else Progress.WAIT
        assert progress(each, COMMITS, now=0.0) is wanted


def levels(instances: list[Instance]) -> Iterator[int]:
    return (number for number, one in enumerate(instances) if one.concatenation_uid is not None)


def test_a_real_concatenation_waits_for_each_of_its_parts(shared_data: Path) -> None:
    instances = read(shared_data / "dicom_converted/cmu_jpeg_concatenated3")
    parts = list(levels(instances))
    assert len(parts) == 3
    for missing in parts:
        rest = [one for number, one in enumerate(instances) if number != missing]
        (found,) = group(arrivals(*rest))
        assert progress(found) is Progress.WAIT
        assert progress(found, COMMITS, now=0.0) is Progress.WAIT
        untold = [replace(one, parts=None) for one in rest]
        assert progress(group(arrivals(*untold))[0]) is Progress.WAIT


def test_a_real_file_without_an_image_type_is_put_before_a_person(shared_data: Path) -> None:
    (found,) = group(arrivals(*read(shared_data / "dicom/pathml_small")))
    assert progress(found, now=200.0) is Progress.GIVE_UP
