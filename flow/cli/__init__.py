"""The command line: options, tables and exit statuses over the functions of `flow`."""
