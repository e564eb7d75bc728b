"""Where a student's code runs when somebody else grades it."""
