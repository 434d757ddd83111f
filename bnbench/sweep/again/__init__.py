"""What trains recorded trials once more, and compares."""
