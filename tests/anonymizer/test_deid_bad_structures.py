"""Files with bad structures end in our words, or in an output that is right; in bounded time."""

from itertools import repeat

import pytest

from tests.anonymizer import bad_structures
from tests.anonymizer.bad_outcome import assert_ends
from tests.anonymizer.bounded import bounded


def test_the_bounds_of_the_child_bite():
    large = bounded(lambda: bytearray(1 << 30), memory_bytes=64 << 20)
    endless = bounded(lambda: any(repeat(0)), cpu_s=1)
    assert (large.kind, endless.kind) == ("died", "died")
    assert "MemoryError" in large.words


@pytest.mark.parametrize(
    ("outcome", "make"),
    [case[1:] for case in bad_structures.CASES],
    ids=[name for name, _, _ in bad_structures.CASES],
)
def test_a_bad_file_is_refused_in_our_words_or_comes_out_clean(tmp_path, outcome, make):
    assert_ends(tmp_path, make(), outcome)
