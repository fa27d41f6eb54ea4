"""Losses with their penalties, gradients and whole steps, against the published programs."""

import dataclasses
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from gan_fingerprints.ipm import training
from tests.published import relative_error


@pytest.fixture(scope="module")
def made(published_run):
    """A trainer with the published weights, its numbers, losses and gradients."""
    trainer, numbers = published_run.trainer(), published_run.numbers("train")
    z, share = published_run.latents(numbers), numbers["alpha"].reshape(-1, 1, 1, 1)
    arguments = (trainer.G, trainer.D, trainer.objective, tf.constant(numbers["images"]), z)
    with tf.GradientTape(persistent=True) as tape:
        G_loss = training.G_loss(*arguments)
        D_loss = training.D_loss(*arguments, share, trainer.config.gradient_penalty, trainer.config)
    return trainer, numbers, {"g": (trainer.G, G_loss), "d": (trainer.D, D_loss)}, tape


def test_losses_with_the_published_reading_of_the_norm(made):
    _, numbers, losses, _ = made
    assert relative_error(losses["g"][1], numbers["g_loss"]) < 1e-5
    assert relative_error(losses["d"][1], numbers["d_loss"]) < 1e-5


def test_loss_with_the_norm_over_all_pixels(published_run):
    """The published total with its penalty exchanged for one that NumPy takes of the slopes."""
    config = dataclasses.replace(published_run.config, gradient_norm="all")
    trainer, numbers = published_run.trainer(config), published_run.numbers("train")
    z, share = published_run.latents(numbers), numbers["alpha"].reshape(-1, 1, 1, 1)
    G, D, objective = trainer.G, trainer.D, trainer.objective
    fakes = [G(part) for part in z]
    real, *generated = [D(x)["hF"] for x in [numbers["images"], *fakes]]
    between = tf.constant(numbers["images"] * (1 - share) + share * fakes[0].numpy())
    with tf.GradientTape() as tape:
        tape.watch(between)
        values = objective.witness(D(between)["hF"], real, generated)
    slopes = tape.gradient(values, between).numpy().astype(np.float64)
    rows = np.mean((np.sqrt(np.sum(slopes**2, axis=1) + 1e-5) - 1) ** 2)
    assert relative_error(rows, numbers["dx_penalty"]) < 1e-4
    whole = np.mean((np.sqrt(np.sum(slopes**2, axis=(1, 2, 3)) + 1e-5) - 1) ** 2)
    expected = numbers["d_loss"] + config.gradient_penalty * (whole - rows)
    found = training.D_loss(
        G, D, objective, tf.constant(numbers["images"]), z, share, config.gradient_penalty, config
    )
    scale = abs(float(numbers["d_loss"]))
    assert abs(float(found) - expected) < 1e-4 * scale


@pytest.mark.parametrize("player", ["g", "d"])
def test_gradients_and_their_clipping(published_run, made, player):
    """Norms of all variables; those that should be zero are rounding in both programs."""
    trainer, numbers, losses, tape = made
    network, loss = losses[player]
    variables = published_run.variables(network)
    assert len(variables) == len(network.trainable_variables)
    gradients = tape.gradient(loss, [v.value for v in variables.values()])
    largest = max(numbers[f"{player}_gradnorm/{name}"] for name in variables)
    for name, gradient in zip(variables, gradients, strict=True):
        expected = numbers[f"{player}_gradnorm/{name}"]
        assert abs(float(tf.norm(gradient)) - expected) < 1e-3 * expected + 1e-5 * largest, name
        clipped = float(tf.norm(trainer._clipped([gradient])[0]))
        assert clipped == pytest.approx(min(float(tf.norm(gradient)), 1), rel=1e-5)
        first = gradient.numpy().ravel()[:256]
        wanted = numbers[f"{player}_grad_first256/{name}"]
        # Single values jump by percents when z changes by 1e-6: a ReLU's input near zero.
        assert np.abs(first - wanted).max() < 5e-2 * np.abs(wanted).max() + 1e-5 * largest, name


def test_one_step_of_each_network(published_run):
    """Adam after clipping, first of D, then of G, with the same images and latents.

    Adam's first step has the size of the learning rate whatever the gradient's; only where that
    is clear of rounding is its sign a matter of mathematics.
    """
    trainer, numbers = published_run.trainer(), published_run.numbers("train")
    steps = published_run.numbers("steps")
    z, share = published_run.latents(numbers), numbers["alpha"].reshape(-1, 1, 1, 1)
    arguments = (trainer.G, trainer.D, trainer.objective, tf.constant(numbers["images"]), z)
    config = trainer.config

    def D_loss():
        return training.D_loss(*arguments, share, config.gradient_penalty, config)

    def G_loss():
        return training.G_loss(*arguments)

    for network, optimizer, loss, key in (
        (trainer.D, trainer.D_adam, D_loss, "after_d_step_losses"),
        (trainer.G, trainer.G_adam, G_loss, "after_d_g_step_losses"),
    ):
        variables = network.trainable_variables
        with tf.GradientTape() as tape:
            value = loss()
        gradients = trainer._clipped(tape.gradient(value, variables))
        by_path = {v.path: g for v, g in zip(variables, gradients, strict=True)}
        optimizer.learning_rate.assign(1e-4)
        optimizer.apply(gradients, variables)
        found = np.array([float(G_loss()), float(D_loss())])
        assert np.abs(found - steps[key]).max() < 1e-4 * np.abs(steps[key]).max()
        compared = 0
        for name, variable in published_run.variables(network).items():
            gradient = by_path[variable.path].numpy()
            clear = np.abs(gradient.ravel()[:256]) > max(1e-1 * np.abs(gradient).max(), 1e-5)
            difference = np.abs(variable.numpy().ravel()[:256] - steps[f"first256/{name}"])
            assert difference[clear].max(initial=0) < 2e-6, name
            compared += clear.sum()
        assert compared > 100


def test_latents_of_a_step_are_its_own(made):
    """Every batch of every step has other latents; the same step has the same ones."""
    trainer = made[0]
    first = [z.numpy() for z in trainer._latents()]
    assert len(first) == trainer.objective.fake_batches
    if len(first) == 2:
        assert not np.array_equal(*first)
    assert all(-1 <= z.min() < -0.9 and 0.9 < z.max() < 1 for z in first)
    np.testing.assert_array_equal(trainer._latents()[0], first[0])
    trainer.steps.assign_add(1)
    assert not np.array_equal(trainer._latents()[0], first[0])


@pytest.mark.slow
def test_two_devices_stay_the_same():
    script = Path(__file__).with_name("two_devices.py")
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}
    subprocess.run([sys.executable, script], env=environment, check=True)
