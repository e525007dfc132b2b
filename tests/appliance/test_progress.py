"""The bar of a batch of slides."""

import sys

import pytest

from appliance.progress import SlidesProgress


def test_on_a_terminal_one_bar_stands_for_all_slides(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    progress = SlidesProgress()
    progress(0, 4, 0.1)
    progress(1, 4, 0.5)
    progress.end()
    told = capsys.readouterr().err
    assert told.endswith(f"\r[{'#' * 15}{' ' * 15}]  50%  1 of 4 slides\n")
    assert told.count("\r") == 2


def test_elsewhere_a_line_stands_for_each_slide(capsys: pytest.CaptureFixture[str]) -> None:
    progress = SlidesProgress()
    for done, share in ((0, 0.1), (1, 0.3), (1, 0.4), (2, 0.5)):
        progress(done, 4, share)
    progress.end()
    assert capsys.readouterr().err == "1 of 4 slides\n2 of 4 slides\n"
