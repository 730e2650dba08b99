"""What users expect of their results: the language, and the record of what was expected when."""
