"""What a model is: a folder of two files, checked and pinned."""
