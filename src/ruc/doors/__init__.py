"""What each command of the command line does, a module each: what was asked is checked, done, and put in place."""
