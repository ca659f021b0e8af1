"""The step of the authors' code for CelebA: both losses in one, by one optimiser.

Encoder and decoder move once, down the gradient of the reconstruction loss plus the
adversarial one, of equal weight; and then, from the same codes, the discriminator. The
paper's Algorithm 1 has three updates, and the package's joint update balances the two
gradients where they meet.
"""

from dataclasses import dataclass

from sklearn_daae import AAETransformer, DAAETransformer, iDAAETransformer
from sklearn_daae._model.losses import discriminator_loss
from sklearn_daae._model.objectives import AdversarialObjective


class SummedObjective(AdversarialObjective):
    """The sum of both losses in one update."""

    @property
    def updates(self):
        updates = super().updates
        del updates["adversarial"]  # a part of "reconstruction"
        return updates

    def step(self, x, *, module, criterion, generator, minimise):
        x_tilde = self.corruption(x, generator, in_training=True)
        x_hat = module.decoder(module.encoder(x_tilde)).float()
        loss = criterion(x_hat, x)
        z_fake = self.draw_z_fake(x, module.encoder, generator, x_tilde)
        logits = module.discriminator(z_fake).float()
        adversarial_loss = self.adversarial_loss(logits, criterion.weight)
        total = loss + self.adversarial_weight * adversarial_loss
        minimise("reconstruction", total)
        z_real = self.prior(len(x), generator)
        real, fake = (
            module.discriminator(z).float() for z in (z_real, z_fake.detach())
        )
        dis_loss = discriminator_loss(real, fake, criterion.weight)
        minimise("discriminator", dis_loss)
        return loss, dis_loss, adversarial_loss


class Summed:
    """Trains an adversarial autoencoder by that step."""

    def _objective(self):
        objective = super()._objective()
        return SummedObjective(**vars(objective))


@dataclass(eq=False, repr=False, kw_only=True)
class SummedAAE(Summed, AAETransformer):
    """An AAE of that step."""


@dataclass(eq=False, repr=False, kw_only=True)
class SummedDAAE(Summed, DAAETransformer):
    """A DAAE of that step."""


@dataclass(eq=False, repr=False, kw_only=True)
class SummediDAAE(Summed, iDAAETransformer):
    """An iDAAE of that step."""
