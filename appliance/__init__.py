"""The kernel of Coverslip: what every package knows, and which knows none of them.

A slide walks one line: assemble, deidentify, infer, report, release, deliver. Code, folders,
logs and screens use these six words in this order (`appliance.line`). A stage claims a slide in
the journal (`appliance.stores.journal`), writes a private folder, and publishes it by a rename
and one commit that holds only while the claim's lease is live (`appliance.worker`).

Packages meet in the journal and in folders, never in each other's code.
"""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("coverslip")
except PackageNotFoundError:  # running from a folder that was never installed
    __version__ = "0"

IMPLEMENTATION_CLASS_UID = "2.25.302868212480353022823026436158331640412"
"""Names us in associations and in the file meta information of what we write (PS3.7 D.3.3.2)."""
IMPLEMENTATION_VERSION_NAME = f"COVERSLIP_{__version__.replace('.', '_')}"[:16]
