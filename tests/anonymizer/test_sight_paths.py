"""Writing may be on any optical path: all of them are looked at, not only the one that is shown."""

from pathlib import Path

import pytest

from anonymizer.sight.look import _of_slide


@pytest.mark.parametrize(
    ("folder", "names", "n_pictures"),
    [
        ("wg26_fluorescence/BPAEC", ["9_0", "10_0"], 1 + 2 * 3),
        ("highdicom_sm", ["sm_image_grayscale.dcm"], 1 + 1),
        ("highdicom_sm", ["sm_image.dcm"], 1),
    ],
    ids=["three optical paths", "sixteen bits", "all that there is"],
)
def test_what_the_reader_does_not_show_is_looked_at_frame_by_frame(
    shared_data: Path, folder: str, names: list[str], n_pictures: int
) -> None:
    files = [shared_data / "dicom" / folder / name for name in names]
    assert len(list(_of_slide(files))) == n_pictures
