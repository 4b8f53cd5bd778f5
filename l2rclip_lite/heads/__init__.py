"""What is fitted in seconds on features that are there: kernel ridge, temperature, intervals."""
