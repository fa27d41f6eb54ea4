"""Runs in an interpreter that has Chainer: the two networks as plain Chainer links.

    python chainer_networks.py GENERATOR.npz DISCRIMINATOR.npz OUTPUTS.npz WRITTEN_G WRITTEN_D

Loads two 32 px snapshots with Chainer's own reader, writes what the networks compute for fixed
inputs, and writes both snapshots again with Chainer's own writer.
"""

import sys

import chainer
import chainer.functions as F
import chainer.links as L
import numpy as np

CH, N_CLASSES, DIM_Z = 4, 3, 16


class ConditionalNorm(chainer.Chain):
    def __init__(self, channels):
        super().__init__()
        with self.init_scope():
            self.gammas = L.EmbedID(N_CLASSES, channels)
            self.betas = L.EmbedID(N_CLASSES, channels)
        self.ones, self.zeros = np.ones(channels, "f"), np.zeros(channels, "f")
        for name, value in (("avg_mean", self.zeros), ("avg_var", self.zeros)):
            self.add_persistent(name, value.copy())
        self.add_persistent("N", 0)

    def forward(self, x, y):
        h = F.fixed_batch_normalization(
            x, self.ones, self.zeros, self.avg_mean, self.avg_var, eps=2e-5
        )
        gamma, beta = (
            F.broadcast_to(e(y)[:, :, None, None], h.shape) for e in (self.gammas, self.betas)
        )
        return gamma * h + beta


class Up(chainer.Chain):
    def __init__(self, channels, filters):
        super().__init__()
        with self.init_scope():
            self.b1, self.b2 = ConditionalNorm(channels), ConditionalNorm(filters)
            self.c1 = L.Convolution2D(channels, filters, 3, pad=1)
            self.c2 = L.Convolution2D(filters, filters, 3, pad=1)
            self.c_sc = L.Convolution2D(channels, filters, 1)

    def forward(self, x, y):
        h = self.c1(F.unpooling_2d(F.relu(self.b1(x, y)), 2, 2, 0, cover_all=False))
        shortcut = self.c_sc(F.unpooling_2d(x, 2, 2, 0, cover_all=False))
        return self.c2(F.relu(self.b2(h, y))) + shortcut


class Generator(chainer.Chain):
    def __init__(self):
        super().__init__()
        with self.init_scope():
            self.l1 = L.Linear(DIM_Z, 8 * CH * 16)
            self.block2, self.block3 = Up(8 * CH, 4 * CH), Up(4 * CH, 2 * CH)
            self.block4 = Up(2 * CH, CH)
            self.b5 = L.BatchNormalization(CH)
            self.l5 = L.Convolution2D(CH, 3, 3, pad=1)

    def forward(self, z, y):
        x = self.l1(z).reshape(len(z), 8 * CH, 4, 4)
        for block in (self.block2, self.block3, self.block4):
            x = block(x, y)
        return F.tanh(self.l5(F.relu(self.b5(x))))


def divided(link):
    """Divides a weight by σ from its stored u, after one power iteration."""
    matrix = link.W.array.reshape(len(link.W), -1)
    v = link.u @ matrix
    u = v @ matrix.T / (np.linalg.norm(v) + 1e-12)
    link.W.array /= np.linalg.norm(u)


def normalized(link, rows):
    link.add_persistent("u", np.zeros((1, rows), "f"))
    return link


class Down(chainer.Chain):
    def __init__(self, channels, hidden, filters):
        super().__init__()
        with self.init_scope():
            self.c1 = normalized(L.Convolution2D(channels, hidden, 3, pad=1), hidden)
            self.c2 = normalized(L.Convolution2D(hidden, filters, 3, pad=1), filters)
            self.c_sc = normalized(L.Convolution2D(channels, filters, 1), filters)

    def forward(self, x, first, down):
        h = self.c2(F.relu(self.c1(x if first else F.relu(x))))
        x = self.c_sc(x)
        return F.average_pooling_2d(h, 2) + F.average_pooling_2d(x, 2) if down else h + x


class Discriminator(chainer.Chain):
    def __init__(self):
        super().__init__()
        with self.init_scope():
            self.block1, self.block2 = Down(3, CH, CH), Down(CH, CH, 2 * CH)
            self.block3 = Down(2 * CH, 2 * CH, 4 * CH)
            self.block4 = Down(4 * CH, 4 * CH, 8 * CH)
            self.l5 = normalized(L.Linear(8 * CH, 1), 1)
            self.l_y = normalized(L.EmbedID(N_CLASSES, 8 * CH), N_CLASSES)

    def forward(self, x, y):
        for i, block in enumerate((self.block1, self.block2, self.block3, self.block4)):
            x = block(x, first=i == 0, down=i < 3)
        h = F.sum(F.relu(x), axis=(2, 3))
        return self.l5(h) + F.sum(self.l_y(y) * h, axis=1, keepdims=True)


def main():
    g_path, d_path, outputs, g_written, d_written = sys.argv[1:]
    G, D = Generator(), Discriminator()
    chainer.serializers.load_npz(g_path, G)
    chainer.serializers.load_npz(d_path, D)
    chainer.serializers.save_npz(g_written, G)
    chainer.serializers.save_npz(d_written, D)
    for link in D.links():
        if hasattr(link, "u"):
            divided(link)
    z = np.random.RandomState(0).randn(4, DIM_Z).astype("f")
    y = np.array([0, 1, 2, 1], "i")
    with chainer.using_config("train", False), chainer.no_backprop_mode():
        images = G(z, y)
        np.savez(outputs, z=z, y=y, images=images.array, scores=D(images, y).array)


if __name__ == "__main__":
    main()
