"""`coverslip analyze`: a folder of slides down a temporary line, and what came of each."""
