"""What both sides must have alike: versions, code, credentials."""
