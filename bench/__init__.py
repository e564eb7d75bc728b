"""What the project promises, as ratios measured in one run: `make bench`."""
