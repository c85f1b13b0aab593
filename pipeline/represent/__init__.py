"""`dupn represent`: the champion's representation of every user, as tables."""
