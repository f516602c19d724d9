"""What lies here is run by tests, in processes of its own."""

collect_ignore_glob = ["classify_*.py"]
