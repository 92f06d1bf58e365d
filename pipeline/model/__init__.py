"""Networks: (B, C, H, W) images to (B, classes) scores; torch only."""
