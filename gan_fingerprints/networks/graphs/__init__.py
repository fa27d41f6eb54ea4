"""Our networks as graphs of ONNX, made from kind, arguments and weights, without TensorFlow."""
