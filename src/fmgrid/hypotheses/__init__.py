"""Hypotheses about results: their language, and the registry that dates them."""
