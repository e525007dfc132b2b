"""From file to file: the new frame of an object, its pixels, codestreams, the one ICC profile."""
