"""The gate: reads what was written again and looks for what should be gone."""
