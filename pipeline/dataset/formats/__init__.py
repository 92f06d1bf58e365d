"""How source images lie on disk: a module for each format, listed in pipeline/dataset/readers.py."""
