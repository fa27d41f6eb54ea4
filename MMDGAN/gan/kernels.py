"""Names of the kernels and what they are; needs no TensorFlow."""

RBF_SIGMAS = (2.0, 5.0, 10.0, 20.0, 40.0, 80.0)
RQ_ALPHAS = (0.1, 1.0, 10.0)

KERNELS = {
    "mix_rbf": "sum of Gaussians, σ 2, 5, 10, 20, 40, 80",
    "mix_rq": "sum of rational quadratics, α 0.1, 1, 10",
    "mix_rq_dot": "mix_rq + 0.1·⟨x, y⟩",
    "mix_rq_1dot": "mix_rq + ⟨x, y⟩",
    "mix_rq_10dot": "mix_rq + 10·⟨x, y⟩",
    "mix_rq_01dot": "mix_rq + 0.1·⟨x, y⟩",
    "mix_rq_001dot": "mix_rq + 0.01·⟨x, y⟩",
    "tanh_mix_rq": "mix_rq of tanh(x), tanh(y)",
    "distance": "‖x‖ + ‖y‖ - ‖x - y‖",
    "tanh_distance": "distance of tanh(x), tanh(y)",
    "dot": "⟨x, y⟩",
}
DEFAULT = "mix_rq_1dot"
