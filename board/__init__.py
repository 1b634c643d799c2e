"""Runner of a bundle on a board or on its simulated stand-in."""
