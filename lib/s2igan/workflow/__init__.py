"""Command line, the runs of a study, and how they are run."""
