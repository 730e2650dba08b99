"""A data set on disk -> tensors, and seeded batches of them."""
