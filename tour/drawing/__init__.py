"""Draws the tour's pages, one file per kind of figure."""
