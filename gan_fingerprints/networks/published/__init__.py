"""The three formats of the 2019 release: network pickles, Chainer snapshots, TF1 checkpoints.

All are read as plain arrays; nothing that a file holds is ever run. Only the snapshots are also
written.
"""
