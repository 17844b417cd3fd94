"""Transfer: a network and a target in, a score and its rows out."""
