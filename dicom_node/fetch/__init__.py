"""Slides that no scanner pushes: from files, or from a PACS by Query/Retrieve."""
