"""Count each file that is named, and print what kind of error comes of it, as JSON."""

import json
import sys

from beampipe.datasets.counting import count_file
from beampipe.datasets.model import FileSpec
from beampipe.datasets.second_tries import SecondTries
from beampipe.error_kinds import classify_error
from beampipe.errors import DatasetError

found = {}
for url in sys.argv[1:]:
    try:
        count_file(FileSpec((url,)), "DY", tries=SecondTries(waits_s=()))
    except DatasetError as error:
        verdict = classify_error(error)
        found[url] = [verdict.kind, verdict.rule, error.why]
sys.stdout.write(json.dumps(found))
