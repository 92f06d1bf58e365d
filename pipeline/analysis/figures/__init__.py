"""Draws numbers as pictures, one file per picture; the only importer of matplotlib."""
