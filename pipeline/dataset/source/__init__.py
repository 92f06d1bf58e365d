"""Bytes from elsewhere → verified files on disk: mirrors, resume, checksums, archives."""
