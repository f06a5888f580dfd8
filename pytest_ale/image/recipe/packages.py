"""Print the versions of all that is installed, as JSON; runs in the image that is built."""

import json
import subprocess
import sys
from importlib.metadata import distributions

ask = ["dpkg-query", "--show", "--showformat", "${Package}\t${Version}\t${db:Status-Status}\n"]
lines = subprocess.run(ask, check=True, stdout=subprocess.PIPE, text=True).stdout.splitlines()
rows = [line.split("\t") for line in lines]
found = {
    "debian": {name: version for name, version, state in rows if state == "installed"},
    "python": {each.metadata["Name"]: each.version for each in distributions()},
}
json.dump(found, sys.stdout, sort_keys=True)
