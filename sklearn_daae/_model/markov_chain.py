"""Sampling by the Markov chain of equation 3."""


def markov_chain(x, n_steps, *, encode, corrupt, decode):
    """Yield x(0), x(1), ..., x(n_steps), starting from the x(0) given.

    Equation 3: x(t) = R(z(t)), x_tilde(t) = C(x(t)), z(t+1) ~ q(z | x_tilde(t)).

    Parameters
    ----------
    x : tensor of shape (n_samples, n_features)
        Where each chain starts.

    n_steps : int
        Number of transitions.

    encode, corrupt, decode : callable
        A draw of q(z | x_tilde), C and R, on tensors.

    Yields
    ------
    x : tensor of shape (n_samples, n_features)
    """
    yield x
    for _ in range(n_steps):
        x = decode(encode(corrupt(x)))
        yield x
