"""Time and memory as rows, features, corruptions and processes grow."""
