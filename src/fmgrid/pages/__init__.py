"""A document of text, tables and pictures -> Markdown and HTML; it knows nothing of experiments."""
