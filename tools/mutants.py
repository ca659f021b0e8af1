"""Change the mathematics by a hair, and see that the tests notice.

    python tools/mutants.py            # all of them
    python tools/mutants.py losses     # those of files whose name has it

Each mutant is a copy of the package in which one text is another, and its tests are
those that are to fail. One that they pass survives, and the exit status is then 1.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]


class Mutant(NamedTuple):
    """A text of a file that is replaced, and the tests that are to fail then."""

    file: str
    old: str
    new: str
    tests: str  # those of one file: "file::name", or "file::name or other"

    @property
    def arguments(self):
        """What pytest is given: whole functions, with all of their parameters."""
        file, names = self.tests.split("::")
        return [f"tests/{file}.py::{name}" for name in names.split(" or ")]


OBJECTIVES = "_model/objectives.py"
LOSSES = "_model/losses.py"
CORRUPTION = "_model/corruption.py"
PRIORS = "_model/priors.py"
SCALING = "_model/scaling.py"
METRICS = "metrics.py"

MUTANTS = [
    # Algorithms 1 and 2, as printed.
    Mutant(
        OBJECTIVES,
        "    loss = discriminator_loss(real, fake, weight)",
        "    loss = discriminator_loss(fake, real, weight)",
        "test_objectives::test_step_is_the_papers_algorithm",
    ),
    Mutant(
        OBJECTIVES,
        "encoder(x_tilde).unflatten(-2, (M, x.shape[-2])).mean(-3)",
        "encoder(x_tilde).unflatten(-2, (x.shape[-2], M)).mean(-2)",
        "test_objectives::test_step_is_the_papers_algorithm",
    ),
    Mutant(
        OBJECTIVES,
        'Update(("encoder",), rate=self.adversarial_weight)',
        'Update(("encoder",))',
        "test_objectives::test_adversarial_weight_scales_the_learning_rate",
    ),
    # The joint update.
    Mutant(
        OBJECTIVES,
        "z.detach().unflatten(-2, (M, n)).mean(-3)",
        "z.detach().unflatten(-2, (n, M)).mean(-2)",
        "test_objectives::test_the_joint_update",
    ),
    Mutant(
        OBJECTIVES,
        "unit_vector(unit_vector(adversary) + unit_vector(towards_prior))",
        "unit_vector(adversary + towards_prior)",
        "test_objectives::test_the_joint_update",
    ),
    Mutant(
        OBJECTIVES,
        "part = self.adversarial_weight * size / M",
        "part = self.adversarial_weight * size",
        "test_objectives::test_the_joint_update",
    ),
    Mutant(
        OBJECTIVES,
        "part = self.adversarial_weight * size / M",
        "part = self.adversarial_weight / M",
        "test_objectives::test_the_joint_update",
    ),
    Mutant(
        OBJECTIVES,
        "x_hat = module.decoder(z[..., :n, :])  # 5",
        "x_hat = module.decoder(z[..., -n:, :])  # 5",
        "test_objectives::test_the_joint_update",
    ),
    Mutant(
        OBJECTIVES,
        "wanted * logits.shape[-2] / torch.sigmoid(logits.detach())",
        "wanted * logits.shape[-2]",
        "test_objectives::test_the_joint_update",
    ),
    Mutant(
        OBJECTIVES,
        "[first - widening, others]",
        "[first + widening, others]",
        "test_objectives::test_the_joint_update",
    ),
    Mutant(
        OBJECTIVES,
        "spread > _ROOM * wanted, slope.clamp_max(0)",
        "spread > _ROOM * wanted, slope.clamp_min(0)",
        "test_objectives::test_the_joint_update",
    ),
    Mutant(
        OBJECTIVES,
        "spread > _ROOM * wanted",
        "spread > wanted / _ROOM",
        "test_objectives::test_codes_have_room_before_they_are_held_back",
    ),
    # The variational bound, and ALICE.
    Mutant(
        OBJECTIVES,
        "noise * torch.exp(log_variance / 2)",
        "noise * torch.exp(log_variance)",
        "test_objectives::test_step_is_the_variational_bound",
    ),
    Mutant(
        OBJECTIVES,
        "reconstruction_loss + self.beta * kl_divergence",
        "reconstruction_loss + kl_divergence",
        "test_objectives::test_step_is_the_variational_bound",
    ),
    Mutant(
        OBJECTIVES,
        "adversarial_loss + self.adversarial_loss(-decoded)",
        "adversarial_loss + self.adversarial_loss(decoded)",
        "test_alice::test_its_losses",
    ),
    Mutant(
        OBJECTIVES,
        "discriminator_loss(real, fake, weight, real_weight=weight)",
        "discriminator_loss(real, fake, weight)",
        "test_alice::test_weights_of_the_cycle",
    ),
    # Losses.
    Mutant(
        LOSSES,
        "return _mean(softplus(logits), weight) * 2",
        "return _mean(softplus(logits), weight)",
        "test_objectives::test_step_is_the_papers_algorithm",
    ),
    Mutant(
        LOSSES,
        "return -_mean(softplus(fake_logits), weight)",
        "return _mean(softplus(fake_logits), weight)",
        "test_objectives::test_step_is_the_papers_algorithm",
    ),
    Mutant(
        LOSSES,
        "log_variance.exp() - 1 - log_variance",
        "log_variance.exp() - 1 - log_variance / 2",
        "test_objectives::test_kl_divergence",
    ),
    Mutant(
        LOSSES,
        '"mse": 0.5',
        '"mse": 1.0',
        "test_objectives::test_step_is_the_variational_bound",
    ),
    Mutant(
        LOSSES,
        "self.mean(values * self.observed) / self._share(x)",
        "self.mean(values * self.observed)",
        "test_rows::test_the_loss_is_of_what_is_observed",
    ),
    Mutant(
        LOSSES,
        "(weight.cumsum(-1) - weight / 2)",
        "weight.cumsum(-1)",
        "test_rows::test_a_weighted_distance_from_the_prior",
    ),
    Mutant(
        LOSSES,
        "torch.empty_like(gap).scatter_(-1, order, pull)",
        "pull",
        "test_objectives::test_the_joint_update",
    ),
    # Corruption.
    Mutant(
        CORRUPTION,
        "noise.mul_(level).add_(x)",
        "noise.mul_(level**2).add_(x)",
        "test_corruption::test_gaussian",
    ),
    Mutant(
        CORRUPTION,
        "uniform(x.shape, generator) < level, 0)",
        "uniform(x.shape, generator) >= level, 0)",
        "test_corruption::test_masking",
    ),
    Mutant(
        CORRUPTION,
        "torch.where(u < level / 2, low, x)",
        "torch.where(u < level / 4, low, x)",
        "test_corruption::test_salt_and_pepper",
    ),
    Mutant(
        CORRUPTION,
        "(2 * uniform((*x.shape[:-1], 1), generator)).clamp_(max=1)",
        "uniform((*x.shape[:-1], 1), generator)",
        "test_corruption::test_half_of_the_rows_have_less_noise",
    ),
    Mutant(
        CORRUPTION,
        "integers(1, max(n, 2), x.shape, generator)",
        "integers(0, max(n, 2), x.shape, generator)",
        "test_corruption::test_swap",
    ),
    Mutant(
        CORRUPTION,
        "size = torch.exp(stretch * u[:, 1])",
        "size = torch.exp(3 * stretch * u[:, 1])",
        "test_corruption::test_moved",
    ),
    # Priors, and the chain of equation 3.
    Mutant(
        PRIORS,
        "z.mul_(high - low).add_(low)",
        "z.mul_(high).add_(low)",
        "test_priors::test_uniform",
    ),
    Mutant(
        PRIORS,
        "alpha=scale)",
        "alpha=scale**2)",
        "test_priors::test_ring",
    ),
    Mutant(
        PRIORS,
        "modes.float() * (2 * np.pi / n_modes)",
        "modes.float() * (np.pi / n_modes)",
        "test_priors::test_ring",
    ),
    Mutant(
        "_model/markov_chain.py",
        "decode(encode(corrupt(x)))",
        "decode(encode(x))",
        "test_base::test_chain_is_equation_3",
    ),
    # Metrics.
    Mutant(
        METRICS,
        "X.shape[1] * log_normalisers",
        "log_normalisers",
        "test_metrics::test_parzen_is_right_at_any_ratio_of_scale_to_bandwidth",
    ),
    Mutant(
        METRICS,
        "log_sums - math.log(len(samples))",
        "log_sums",
        "test_metrics::test_parzen_is_right_at_any_ratio_of_scale_to_bandwidth",
    ),
    Mutant(
        METRICS,
        "values[means.argmax()]",
        "values[means.argmin()]",
        "test_metrics::test_select_bandwidth",
    ),
    Mutant(
        METRICS,
        "float(errors.mean(dtype=np.float64)) * unit**2",
        "float(errors.mean(dtype=np.float64)) * unit",
        "test_metrics::test_reconstruction_error_is_in_units_of_X",
    ),
    Mutant(
        METRICS,
        "direction /= np.linalg.norm(direction)",
        "direction /= np.linalg.norm(direction) ** 2",
        "test_metrics::test_prior_distance_of_known_distributions",
    ),
    Mutant(
        METRICS,
        "shifted = np.roll(images, by, axis)",
        "shifted = np.roll(images, -by, axis)",
        "test_metrics::test_shifts_go_downwards_and_to_the_right",
    ),
    # Averaging of the weights.
    Mutant(
        "_engine/optimizers.py",
        "(self.n_steps / n_steps) ** (_POWER + 1)",
        "(self.n_steps / n_steps) ** _POWER",
        "test_averaging::test_it_is_the_polynomial_average",
    ),
    # Scaling.
    Mutant(
        SCALING,
        'x * self._on(x, "scale") + self._on(x, "shift")',
        '(x + self._on(x, "shift")) * self._on(x, "scale")',
        "test_scaling::test_features_of_several_units_are_learned",
    ),
    Mutant(
        SCALING,
        "np.where(variance > 0, np.sqrt(variance), 1.0)",
        "np.where(variance > 0, variance, 1.0)",
        "test_scaling::test_features_of_several_units_are_scaled_one_by_one",
    ),
    Mutant(
        SCALING,
        "np.median(ranges) >= _LEAST_SHARE_OF_RANGE * ranges.max()",
        "np.median(ranges) >= 0",
        "test_scaling::test_features_of_several_units_are_scaled_one_by_one",
    ),
    Mutant(
        SCALING,
        "self.variance / np.square(scale)",
        "self.variance / scale",
        "test_scaling::test_contrast_is_that_of_what_networks_see",
    ),
    Mutant(
        SCALING,
        "_LEAST_SHARE_OF_VARIANCE * mean * (1 - mean)",
        "_LEAST_SHARE_OF_VARIANCE * mean",
        "test_scaling::test_images_of_two_tones_may_be_bright",
    ),
]


def mutated(mutant, package):
    """Return the text of a mutant's file, in which the old text occurs once."""
    text = (package / mutant.file).read_text(encoding="utf-8")
    count = text.count(mutant.old)
    if count != 1:
        raise ValueError(f"{mutant.file} has {mutant.old!r} {count} times, not once")
    return text.replace(mutant.old, mutant.new)


def copy_of(root, folder):
    """Copy what tests need into a folder."""
    ignore = shutil.ignore_patterns("__pycache__")
    for name in ("sklearn_daae", "tests"):
        shutil.copytree(root / name, folder / name, ignore=ignore)
    shutil.copy(root / "pyproject.toml", folder)


def run_tests(folder, arguments):
    """Return pytest's exit status in a copy, and what it printed."""
    # No bytecode: it is told from a source of another second or size alone.
    environment = {
        **os.environ,
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONPATH": str(folder),
    }
    options = ["-q", "-x", "-p", "no:cacheprovider", "--no-header", "--tb=line"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *options, *arguments],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout


def main():
    """Run the mutants that are asked for, and tell which survive."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("part", nargs="?", default="", help="of the name of a file")
    part = parser.parse_args().part
    mutants = [mutant for mutant in MUTANTS if part in mutant.file]
    if not mutants:
        raise SystemExit(f"no mutant is of a file with {part!r} in its name")
    begin, survivors = time.monotonic(), 0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        copy_of(ROOT, folder)
        # Tests that fail anyway would kill whatever they are given.
        every = dict.fromkeys(a for mutant in mutants for a in mutant.arguments)
        status, output = run_tests(folder, every)
        if status:
            raise SystemExit(f"{output}\nthese tests fail without a mutant")
        for i, mutant in enumerate(mutants, start=1):
            path = folder / "sklearn_daae" / mutant.file
            original = path.read_text(encoding="utf-8")
            path.write_text(mutated(mutant, folder / "sklearn_daae"), encoding="utf-8")
            status, output = run_tests(folder, mutant.arguments)
            path.write_text(original, encoding="utf-8")
            if status not in (0, 1):  # pytest did not come to run them
                raise SystemExit(f"{output}\n{mutant}: pytest's status is {status}")
            verdict = "killed" if status else "SURVIVED"
            survivors += not status
            print(f"{i:3} {verdict} {mutant.file}: {mutant.new!r}", flush=True)
    seconds = time.monotonic() - begin
    print(f"{len(mutants) - survivors} killed, {survivors} survived, {seconds:.0f} s")
    raise SystemExit(survivors > 0)


if __name__ == "__main__":
    main()
