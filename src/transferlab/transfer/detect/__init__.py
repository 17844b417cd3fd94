"""Detection: a network and a target with boxes come in; scored boxes and their average precision go out.

It never chooses anything on test images, and changes only copies of the network it is given.
"""
