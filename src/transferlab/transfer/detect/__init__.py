"""Detection: a network and a target with boxes in, boxes with scores out, and their average precision."""
