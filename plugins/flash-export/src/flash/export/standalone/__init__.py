"""Files that are copied into exported folders: they need numpy and a runtime, and nothing of Flash."""
