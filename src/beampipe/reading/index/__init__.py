"""The basket index: where the columns of a file lie, so that nobody parses its tree again."""
