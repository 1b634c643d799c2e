"""Networks, their integer graphs, and the ways to shrink them."""
