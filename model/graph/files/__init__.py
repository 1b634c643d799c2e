"""Files of every kind that rooms read and write."""
