"""All that a person sees: terminal, tables, JSON, pages and pictures."""
