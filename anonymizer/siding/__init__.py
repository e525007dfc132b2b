"""The siding: what model servers said of tiles is put back onto the slide they were cut from."""
