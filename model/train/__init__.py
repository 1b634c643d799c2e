"""Training loops, augmentation and evaluation."""
