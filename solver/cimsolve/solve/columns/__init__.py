"""Pieces as strips of columns, dealt to arrays."""
