"""What each kind of model minimises: one training step per class."""

import torch

from ._losses import discriminator_loss


class AdversarialObjective:
    """The step of Algorithm 1, for the DAAE and the iDAAE.

    Parameters
    ----------
    corruption : callable
        The corruption process, ``corruption(x, sigma, generator)``.

    sigma : float
        Its level.

    prior : callable
        ``prior(n_samples, n_components, generator)`` draws from p(z).

    adversarial_loss : callable
        The encoder's loss on the discriminator's logits for z_fake.

    n_integration_steps : int or None
        M of Algorithm 2. None is the DAAE: z_fake = E(x_tilde) of line 3's x_tilde.
    """

    loss_names = ("reconstruction_loss", "discriminator_loss", "adversarial_loss")

    def __init__(
        self, *, corruption, sigma, prior, adversarial_loss, n_integration_steps
    ):
        self.corruption = corruption
        self.sigma = sigma
        self.prior = prior
        self.adversarial_loss = adversarial_loss
        self.n_integration_steps = n_integration_steps

    def corrupt(self, x, generator):
        """Return C(x)."""
        return self.corruption(x, self.sigma, generator)

    @staticmethod
    def updates(module):
        """Return the parameters that each update moves, by the update's name."""
        encoder = list(module.encoder.parameters())
        return {
            "reconstruction": [*encoder, *module.decoder.parameters()],
            "discriminator": list(module.discriminator.parameters()),
            "adversarial": encoder,
        }

    def step(self, x, *, module, criterion, generator, minimise):
        """Update all weights on one batch x, and return the losses of `loss_names`.

        ``minimise(update, loss)`` moves the weights of one update, and only those,
        down the gradient of the loss, with that update's own optimiser. The numbers
        are the lines of Algorithm 1.
        """
        x_tilde = self.corrupt(x, generator)  # 3
        x_hat = module.decoder(module.encoder(x_tilde))  # 4, 5
        reconstruction_loss = criterion(x_hat.float(), x)  # 7
        minimise("reconstruction", reconstruction_loss)  # 8, 9

        # One graph of z_fake serves both players: the discriminator sees it detached.
        z_fake = self._draw_z_fake(x, x_tilde, module.encoder, generator)  # 11
        z_real = self.prior(*z_fake.shape, generator)  # 12
        logits = module.discriminator(torch.cat([z_real, z_fake.detach()])).float()
        loss = discriminator_loss(logits[: len(x)], logits[len(x) :])  # 14, 15
        minimise("discriminator", loss)  # 16

        # The discriminator has moved, so that z_fake is judged anew.
        adversarial_loss = self.adversarial_loss(module.discriminator(z_fake).float())
        minimise("adversarial", adversarial_loss)  # 18, 19
        return reconstruction_loss, loss, adversarial_loss

    def _draw_z_fake(self, x, x_tilde, encoder, generator):
        M = self.n_integration_steps
        if M is None:
            return encoder(x_tilde)
        # Algorithm 2, its loop over j as one pass of M * n rows.
        x_tilde = self.corrupt(x.expand(M, *x.shape), generator)
        return encoder(x_tilde.flatten(0, 1)).unflatten(0, (M, len(x))).mean(0)
