"""The Lightning layer: how a network learns."""
