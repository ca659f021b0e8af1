"""Algorithm 1 without this package: by hand, twice, and in pythae."""

import logging
import tempfile
from contextlib import redirect_stderr, redirect_stdout
from copy import deepcopy
from io import StringIO

import torch
from torch.nn.functional import binary_cross_entropy, softplus
from torch.nn.functional import binary_cross_entropy_with_logits as bce
from torch.utils.data import DataLoader, TensorDataset

RATE = 2e-4


def plain(networks):
    """Return copies that are sequences of torch's own layers, and nothing of ours."""
    return [torch.nn.Sequential(*deepcopy(network)) for network in networks]


class CarefulLoop:
    """What a careful user writes: in memory, fused Adam, nothing read back.

    On a GPU, products of float32 matrices in TF32, as `fit` has them, and no graphs.
    """

    def __init__(self, networks, X, *, sigma, M, batch_size, precision, device):
        self.X, self.sigma, self.M = self._tensor(X, device), sigma, M
        self.device = device
        self.batch_size, self.mixed = batch_size, precision == "bfloat16"
        self.E, self.R, self.D = plain(networks)
        self.rec, self.dis, self.enc = (
            self._adam(*modules) for modules in ((self.E, self.R), (self.D,), (self.E,))
        )

    def _tensor(self, X, device):
        return torch.from_numpy(X).to(device)

    def _autocast(self, **kwargs):
        return torch.autocast(self.device, torch.bfloat16, self.mixed, **kwargs)

    def _adam(self, *modules):
        parameters = [p for m in modules for p in m.parameters()]
        return torch.optim.Adam(parameters, lr=RATE, fused=True)

    def __call__(self):
        """Train for one epoch."""
        losses = []
        order = torch.randperm(len(self.X), device=self.device)
        products = torch.backends.cuda.matmul
        before, products.fp32_precision = products.fp32_precision, "tf32"
        for rows in order.split(self.batch_size):
            with self._autocast(cache_enabled=False):
                losses.append(self.step(self.X[rows]))
        products.fp32_precision = before  # for the other contestants
        return torch.stack(losses).mean(0).tolist()

    def step(self, x):
        E, R, D, n = self.E, self.R, self.D, len(x)
        x_tilde = torch.randn_like(x).mul_(self.sigma).add_(x) if self.sigma else x
        rec = bce(R(E(x_tilde)).float(), x)
        self.rec.zero_grad()
        rec.backward()
        self.rec.step()

        if self.M is None:
            z_fake = E(x_tilde)
        else:
            noisy = torch.randn(self.M, *x.shape, device=x.device)
            noisy = noisy.mul_(self.sigma).add_(x)
            z_fake = E(noisy.flatten(0, 1)).unflatten(0, (self.M, n)).mean(0)
        z_real = torch.randn(z_fake.shape, device=x.device)
        logits = D(torch.cat([z_real, z_fake.detach()])).float()
        dis = softplus(-logits[:n]).mean() + softplus(logits[n:]).mean()
        self.dis.zero_grad()
        dis.backward()
        self.dis.step()

        self.D.requires_grad_(False)
        enc = softplus(-D(z_fake).float()).mean()
        self.enc.zero_grad()
        enc.backward()
        self.enc.step()
        self.D.requires_grad_(True)
        return torch.stack([rec.detach(), dis.detach(), enc.detach()])


class CommonLoop(CarefulLoop):
    """What most people write: a DataLoader, `item` for each loss, a loop over M."""

    def _tensor(self, X, device):
        return torch.from_numpy(X)

    def _adam(self, *modules):
        parameters = [p for m in modules for p in m.parameters()]
        return torch.optim.Adam(parameters, lr=RATE)

    def __call__(self):
        """Train for one epoch."""
        loader = DataLoader(TensorDataset(self.X), self.batch_size, shuffle=True)
        totals = [0.0, 0.0, 0.0]
        for (x,) in loader:
            with self._autocast():
                losses = self.step(x.to(self.device))
            totals = [t + loss.item() for t, loss in zip(totals, losses, strict=True)]
        return totals

    def step(self, x):
        x_hat = torch.sigmoid(self.R(self.E(self._corrupt(x)))).float()
        # Of probabilities, which torch refuses in mixed precision.
        with torch.autocast(self.device, enabled=False):
            rec = binary_cross_entropy(x_hat, x)
        self.rec.zero_grad()
        rec.backward()
        self.rec.step()

        z_fake = self._z_fake(x).detach()
        real, fake = self.D(torch.randn_like(z_fake)).float(), self.D(z_fake).float()
        dis = bce(real, torch.ones_like(real)) + bce(fake, torch.zeros_like(fake))
        self.dis.zero_grad()
        dis.backward()
        self.dis.step()

        fake = self.D(self._z_fake(x)).float()
        enc = bce(fake, torch.ones_like(fake))
        self.enc.zero_grad()
        enc.backward()
        self.enc.step()
        return rec, dis, enc

    def _corrupt(self, x):
        return x + self.sigma * torch.randn_like(x)

    def _z_fake(self, x):
        return sum(self.E(self._corrupt(x)) for _ in range(self.M or 1)) / (self.M or 1)


class Pythae:
    """pythae's adversarial autoencoder, of the same widths, trained by its trainer.

    As its users run it, with the progress bar that it shows; what it prints is dropped.
    Its step encodes each batch once, where those of Algorithm 1 do it twice.
    """

    def __init__(self, networks, X, *, batch_size, precision, device):
        from pythae.data.datasets import BaseDataset
        from pythae.models import Adversarial_AE, Adversarial_AE_Config
        from pythae.models.base.base_utils import ModelOutput
        from pythae.models.nn import BaseDecoder, BaseDiscriminator, BaseEncoder
        from pythae.trainers import AdversarialTrainer, AdversarialTrainerConfig

        logging.disable(logging.INFO)  # it tells of every step of its own
        E, R, D = plain(networks)

        class Encoder(BaseEncoder):
            def __init__(self):
                super().__init__()
                self.network = E

            def forward(self, x):
                z = self.network(x.flatten(1))
                return ModelOutput(embedding=z, log_covariance=torch.zeros_like(z))

        class Decoder(BaseDecoder):
            def __init__(self):
                super().__init__()
                self.network = R

            def forward(self, z):
                return ModelOutput(reconstruction=torch.sigmoid(self.network(z)))

        class Discriminator(BaseDiscriminator):
            def __init__(self):
                super().__init__()
                self.network = D

            def forward(self, z):
                return ModelOutput(embedding=torch.sigmoid(self.network(z.flatten(1))))

        k = D[0].in_features
        config = Adversarial_AE_Config(
            input_dim=(X.shape[1],),
            latent_dim=k,
            reconstruction_loss="bce",
            deterministic_posterior=True,
        )
        model = Adversarial_AE(config, Encoder(), Decoder(), Discriminator())
        self.folder = tempfile.TemporaryDirectory()
        self.trainer = AdversarialTrainer(
            model,
            BaseDataset(torch.from_numpy(X), torch.zeros(len(X))),
            training_config=AdversarialTrainerConfig(
                output_dir=self.folder.name,
                per_device_train_batch_size=batch_size,
                learning_rate=RATE,
                autoencoder_learning_rate=RATE,
                discriminator_learning_rate=RATE,
                no_cuda=device == "cpu",
            ),
        )
        self.trainer.prepare_training()
        self.device, self.mixed = device, precision == "bfloat16"

    def __call__(self):
        """Train for one epoch."""
        trainer, silence = self.trainer, StringIO()
        with (
            torch.autocast(self.device, torch.bfloat16, self.mixed),
            redirect_stderr(silence),
            redirect_stdout(silence),
        ):
            trainer.callback_handler.on_epoch_begin(
                training_config=trainer.training_config,
                epoch=1,
                train_loader=trainer.train_loader,
                eval_loader=None,
            )
            loss = trainer.train_step(1)
            trainer.callback_handler.on_epoch_end(
                training_config=trainer.training_config
            )
        return loss
