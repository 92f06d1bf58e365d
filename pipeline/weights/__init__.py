"""Fine-tuning: a network that begins with given weights instead of first values."""
