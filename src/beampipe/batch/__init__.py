"""Each batch system's language, as text in and text out; nothing is run here."""
