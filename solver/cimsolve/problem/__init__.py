"""The question, checked and frozen; the tables of an answer; the solution and its file."""
