"""From a folder of images to a trained, understood CNN: `ls pipeline/` read aloud is the pipeline."""
