"""What each command asks, as plain data: one light module a command, with `parse`; a usage error answers at once."""
