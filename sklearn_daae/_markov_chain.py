"""Sampling by the Markov chain of equation 3."""


def markov_chain(z, n_steps, *, encode, corrupt, decode):
    """Yield x(0), x(1), ..., x(n_steps), starting from the codes z(0).

    Equation 3: x(t) = R(z(t)), x_tilde(t) = C(x(t)), z(t+1) ~ q(z | x_tilde(t)).

    Parameters
    ----------
    z : tensor of shape (n_samples, n_components)
        Where each chain starts.

    n_steps : int
        Number of transitions.

    encode, corrupt, decode : callable
        A draw of q(z | x_tilde), C and R, on tensors.

    Yields
    ------
    x : tensor of shape (n_samples, n_features)
    """
    x = decode(z)
    yield x
    for _ in range(n_steps):
        x = decode(encode(corrupt(x)))
        yield x
