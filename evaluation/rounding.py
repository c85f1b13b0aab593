"""Numbers in sentences that hold them against a limit."""

MOST = 12
"""Decimals; what differs by less is said to be the limit."""


def apart(value: float, limit: float, decimals: int = 4, sign: str = "") -> str:
    """A value with so many decimals, or with as many more as tell it from a limit.

    "0.0500, which is above 0.05" is no sentence that anyone can act on.

    Args:
        value: to be told.
        limit: that it is held against; at the limit no more decimals are needed.
        decimals: at least.
        sign: "+" to say it of a positive value, too.
    """
    while decimals < MOST and value != limit and round(value, decimals) == round(limit, decimals):
        decimals += 1
    return f"{value:{sign}.{decimals}f}"
