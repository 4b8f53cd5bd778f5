"""What the chapters of the book share: statistics, studies and figures."""
