"""Looks at a trained network: tensors in; numbers, arrays or figures out."""
