"""Folders that the journal names: every daemon can write it, so none is trusted."""

import pytest

from appliance.errors import IdentityDoubt
from appliance.storage import plain_folder


@pytest.mark.parametrize("name", ["two@1", "../original/one@1", "one", "one@1/..", ""])
def test_a_row_of_the_journal_leads_to_no_folder_but_the_slides_own(name: str) -> None:
    assert plain_folder("one@1", "one") == "one@1"
    with pytest.raises(IdentityDoubt):
        plain_folder(name, "one")
