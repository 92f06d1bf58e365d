"""A tour of convolutional networks: pages of worked numbers and pictures on prepared images."""
