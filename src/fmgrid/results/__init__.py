"""Runs on the disk: the store, the files for TensorBoard, the summary."""
