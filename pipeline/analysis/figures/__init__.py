"""Numbers as pictures, a file a picture; the only importer of matplotlib."""
