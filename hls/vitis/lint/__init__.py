"""Checks of HLS C++ that no compiler makes: g++ ignores every pragma."""
