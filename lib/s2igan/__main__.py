"""`python -m s2igan study NAME=value ...` runs the study; `python -m s2igan --help` lists all commands."""

import sys

from s2igan.workflow.commands import main

if __name__ == "__main__":
    sys.exit(main())
