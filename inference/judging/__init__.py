"""From what the models saw to findings: clean, measure, outline, decide."""
