"""Files with bad values end in our words, or in an output that is right; in bounded time."""

import pytest

from tests.anonymizer import bad_values
from tests.anonymizer.bad_outcome import assert_ends


@pytest.mark.parametrize(
    ("outcome", "make"),
    [case[1:] for case in bad_values.CASES],
    ids=[name for name, _, _ in bad_values.CASES],
)
def test_a_bad_file_is_refused_in_our_words_or_comes_out_clean(tmp_path, outcome, make):
    assert_ends(tmp_path, make(), outcome)
