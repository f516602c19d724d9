"""``python -m beampipe``: the command line where the script is not on the PATH."""

from __future__ import annotations

from beampipe.cli.main import main

if __name__ == "__main__":
    main()
