"""Writes `deidentification.schema.json`, the JSON schema of de-identification reports.

Run it after a change of `anonymizer/deidentify/document.py`: python docs/report_schema.py
"""

import json
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from anonymizer.deidentify.document import ReportDocument

FILE = Path(__file__).with_name("deidentification.schema.json")


def schema() -> dict[str, Any]:
    """Make the schema of one report; nothing else may stand in it."""
    made = TypeAdapter(ReportDocument).json_schema(mode="serialization")
    for shape in (made, *made["$defs"].values()):
        shape["additionalProperties"] = False
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **made}


if __name__ == "__main__":
    FILE.write_text(json.dumps(schema(), indent=1) + "\n", encoding="utf-8")
