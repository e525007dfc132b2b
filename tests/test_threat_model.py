"""What the pages about what leaves claim, they claim with a test: those tests exist."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize(
    ("page", "at_least"), [("threat-model.md", 15), ("release.md", 10), ("privacy.md", 5)]
)
def test_every_test_that_a_page_names_exists(page: str, at_least: int) -> None:
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    named = re.findall(r"`(tests/[\w/]+\.py)(?:::(\w+))?`", text)
    assert len(named) >= at_least
    for file, test in named:
        assert f"def {test}" in (ROOT / file).read_text(encoding="utf-8"), f"{file}::{test}"
