"""Vendor tools: finding them, the scripts they run, and what their reports say."""
