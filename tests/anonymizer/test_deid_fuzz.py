"""Whatever comes in, it is refused in our words, or what comes out is clean.

COVERSLIP_FUZZ_EXAMPLES asks for a longer run, which then looks elsewhere every time.
"""

import json
import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings

from anonymizer.deidentify.deidentify import deidentify_slide
from anonymizer.deidentify.method import Method
from anonymizer.pseudonyms import Pseudonyms
from appliance.errors import RejectedError
from tests.anonymizer import mutants
from tests.anonymizer.bounded import bounded
from tests.anonymizer.planted import Canaries

METHOD = Method(pseudonyms=Pseudonyms(bytes(range(32))))
ASKED = os.environ.get("COVERSLIP_FUZZ_EXAMPLES")
EXAMPLES = int(ASKED or 150)
CPU_S = 30 + EXAMPLES // 5


def outcome(content):
    """De-identify some bytes; fail unless they are refused or come out clean."""
    with tempfile.TemporaryDirectory() as name:
        source, output = Path(name, "in.dcm"), Path(name, "out")
        source.write_bytes(content)
        output.mkdir()
        try:
            deidentify_slide([source], output, METHOD)
        except RejectedError as error:
            said = str(error)
            assert said.endswith("."), said
            assert Canaries().left_in(said.encode()) == [], said
            return "refused"
        for path in output.iterdir():
            assert Canaries().left_in(path.read_bytes()) == []
        return "done"


@pytest.mark.parametrize("kind", ["structured", "damaged", "reports"])
def test_a_mutant_is_refused_or_comes_out_clean(kind):
    ends = {"done": 0, "refused": 0}

    @settings(
        max_examples=EXAMPLES,
        derandomize=ASKED is None,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(content=getattr(mutants, kind)())
    def all_mutants(content):
        ends[outcome(content)] += 1

    def fuzz():
        all_mutants()
        return json.dumps(ends)

    end = bounded(fuzz, cpu_s=CPU_S)
    assert end.kind == "done", end.words
    assert json.loads(end.words)["done"] > EXAMPLES / 20, end.words
    assert Canaries().left_in(end.said) == []
