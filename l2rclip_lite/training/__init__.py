"""Both stages: cached features, one stage, the stages, and `fit`, which runs them."""
