"""De-identification of whole-slide images: PS3.15 Annex E, driven by tag, down to the codestream.

The way of a slide: `images` chooses what may be kept, `plan` decides attribute by attribute,
`apply` builds a new data set, `frames` streams the pixels past `codestream`, and `gate` reads the
result again and looks for everything that should be gone.
"""
