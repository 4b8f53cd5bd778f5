"""The method of the paper, from sentences to losses and stages."""
