"""A document of text, tables and pictures -> Markdown and HTML. It knows no experiments."""
