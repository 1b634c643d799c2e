"""Native code: the C++ compiler, the folder of what it made, and the integer graph in compiled code."""
