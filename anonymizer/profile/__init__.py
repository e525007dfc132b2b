"""The profile as data: Table E.1-1, the IODs, the rules for slides, and what they decide."""
