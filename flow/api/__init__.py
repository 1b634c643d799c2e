"""What `import bitlathe` gives: functions over plain objects, which the command line calls too."""
