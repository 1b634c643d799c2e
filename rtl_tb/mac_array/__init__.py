"""Bench of mac_array: packed multiply-accumulate and maxima."""
