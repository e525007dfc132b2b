"""De-identification of slides and what was made from them: PS3.15 Annex E, driven by tag.

The way of a slide: `objects` chooses what may go on, `subjects` says whose it is, `plan` decides
attribute by attribute, `apply` builds new data sets, `frames` streams the pixels past their notes,
`sight` reads what is left to see, and `gate` reads the result again and looks for everything that
should be gone. `many` does it for whatever lies in a folder.
"""
