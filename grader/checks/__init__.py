"""One kind of evidence a file. Each function reads what the server saw and returns targets of a verdict."""
