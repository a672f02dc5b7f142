"""One function a command, by what they are for: parameters in, work called, results printed. No logic."""
