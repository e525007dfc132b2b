"""Kill the node hundreds of times under load, and count what was lost.

`make chaos-receive` runs it; `QUICK=1` does a short form. The last line is `RESULT name=value …`,
and the exit code is 0 only when nothing was lost. `SEED` chooses other moments.
"""

import os
import sys
import tempfile
from pathlib import Path

from tests.dicom_node.faults import chaos
from tests.dicom_node.faults.clinic import Clinic
from tests.dicom_node.faults.forge import Forge

KILLS = {"one process": 300, "three processes": 100}
QUICK_KILLS = {"one process": 25, "three processes": 5}
_SETTINGS = {"one process": "", "three processes": "listeners = 3"}
_KILL = {"one process": chaos.kill_node, "three processes": chaos.kill_any}


def main() -> int:
    """Run both forms and print what came of them."""
    kills = QUICK_KILLS if os.environ.get("QUICK") == "1" else KILLS
    seed = int(os.environ.get("SEED", "1"))
    tallies = {name: _run(name, n_kills, seed) for name, n_kills in kills.items()}
    print(f"\n{'node':16}{'kills':>7}{'cut':>7}{'objects':>9}{'promised':>10}{'lost':>6}{'s':>7}")
    for name, one in tallies.items():
        print(
            f"{name:16}{one.kills:7}{one.transfers_cut:7}{one.objects:9}{one.promised:10}"
            f"{one.lost:6}{one.seconds:7.0f}"
        )
    lost = sum(one.lost for one in tallies.values())
    print(
        f"RESULT kills={sum(one.kills for one in tallies.values())} "
        f"promised={sum(one.promised for one in tallies.values())} lost={lost}"
    )
    return 1 if lost else 0


def _run(name: str, kills: int, seed: int) -> chaos.Tally:
    forge = Forge()
    with tempfile.TemporaryDirectory(prefix="coverslip-") as folder:
        clinic = Clinic(
            Path(folder), forge, expects=("VOLUME", "LABEL"), quiet_s=60.0, node=_SETTINGS[name]
        )
        try:
            clinic.start()
            return chaos.run(
                clinic,
                kills=kills,
                seed=seed,
                kill=_KILL[name],
                say=lambda line: print(f"{name}: {line}", flush=True),
            )
        finally:
            forge.close()


if __name__ == "__main__":
    sys.exit(main())
