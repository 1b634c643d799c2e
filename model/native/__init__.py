"""Native code: the C++ compiler, the cache of compiled files, and the integer graph in compiled code."""
