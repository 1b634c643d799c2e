"""The engine in HLS C++: the same programs and registers as hls/rtl, for Vivado HLS and Vitis HLS."""
