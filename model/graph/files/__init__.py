"""Files of every kind that the packages read and write."""
