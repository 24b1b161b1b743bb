"""Mappings by the rules of the field."""
