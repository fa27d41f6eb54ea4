"""The plan of the network for fine traces, which its Keras model and its graph both follow."""

PLANS = (
    # Channels, in multiples of the width, and stride of each convolution of a member. The first
    # ones see most pixels and are narrow, as a step's time is theirs.
    ((1, 1), (1, 1), (3, 2), (3, 1), (6, 2), (6, 1), (8, 1)),
    ((3, 1), (4, 1), (6, 2), (8, 1), (8, 1)),
    ((1, 1), (2, 2), (4, 1), (4, 1), (6, 2), (8, 1)),
)
FOLDS = (1, 2, 1)  # of each plan: pixels folded into channels first, in either direction
BLURS = {3: (1, 2, 1), 5: (1, 4, 6, 4, 1)}  # binomial
GAIN, MOST = 8.0, 4.0  # residuals are a few grey levels; what is far more is an edge of the content
SLOPE = 0.1
NORM_EPSILON = 1e-3
FAMILIES = ("convolutions", "descriptors")
LEAST = 32  # pixels: of smaller images there is too little to see
