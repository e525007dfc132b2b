"""What the attack found out about the plans that come with the appliance: facts, one file a plan.

Written by `make bench-privacy` on real tissue; `coverslip privacy certify` signs them for a site.
"""

import json
from collections.abc import Mapping
from importlib import resources

from appliance.certificate import Measurement


def bundled() -> Mapping[str, Measurement]:
    """Give the measurements by plan digest."""
    files = [one for one in resources.files(__name__).iterdir() if one.name.endswith(".json")]
    found = [Measurement.from_table(json.loads(one.read_text(encoding="utf-8"))) for one in files]
    return {one.plan_digest: one for one in found}
