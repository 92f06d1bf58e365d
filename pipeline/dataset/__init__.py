"""Bytes to batches: fetch, read, decode, resize, split, augment, load."""
