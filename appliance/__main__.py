"""Run the command as `python -m appliance`."""

import sys

from appliance.command import main

if __name__ == "__main__":
    sys.exit(main())
