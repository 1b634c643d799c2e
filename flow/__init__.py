"""Command line, configuration and report: where the other rooms are wired."""
