"""What the benchmark counts."""

import pytest
import tensorflow as tf

from benchmarks.machine import multiply_adds


@pytest.mark.parametrize("stride", [1, 2])
def test_multiply_adds_of_a_convolution_and_its_gradients(stride):
    weight = tf.zeros([3, 3, 4, 5])

    @tf.function
    def step(x):
        with tf.GradientTape() as tape:
            tape.watch([x, weight])
            y = tf.nn.conv2d(x, weight, stride, "SAME")
        return tape.gradient(y, [x, weight])

    graph = step.get_concrete_function(tf.TensorSpec([2, 8, 8, 4])).graph
    assert multiply_adds(graph) == 3 * 2 * (8 // stride) ** 2 * 9 * 4 * 5


def test_multiply_adds_of_products():
    @tf.function
    def step(x, row):
        return tf.matmul(x, x, transpose_b=True), tf.matmul(row, x, transpose_b=True)

    specs = tf.TensorSpec([6, 7]), tf.TensorSpec([1, 7])
    graph = step.get_concrete_function(*specs).graph
    assert multiply_adds(graph) == 6 * 6 * 7  # a single row is a power iteration
