"""The checker that pytest puts on every function of the package (see addopts in pyproject.toml)."""

from beartype import BeartypeConf, beartype

# As for mypy, an int may stand where a float is asked for.
check = beartype(conf=BeartypeConf(is_pep484_tower=True))
