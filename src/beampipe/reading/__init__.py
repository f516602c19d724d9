"""A chunk's columns: trees kept open, forms and schemas kept, what went wrong told precisely."""
