"""One file per command for people."""
