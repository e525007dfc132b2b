"""Release: the only door outward. It builds, checks and signs every product that leaves.

What each file is for: `restore` puts the true patient back for routes inside, `outside_sr` checks
and re-keys the bare report, `tiles` plans which tiles a recipient may ever get, `cut` reads them,
`pool` lets them wait for company, `shards` packs them, `parcels` signs, `stage` joins it all.
"""
