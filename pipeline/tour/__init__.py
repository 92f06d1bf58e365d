"""The tutorials' explanations of a CNN as pages of worked numbers and pictures, made on prepared images."""
