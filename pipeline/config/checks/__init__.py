"""What a config must satisfy beyond being readable; no stage but configure depends on it."""
