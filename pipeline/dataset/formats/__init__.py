"""On-disk formats of data sets; their readers are listed in pipeline/dataset/readers.py."""
