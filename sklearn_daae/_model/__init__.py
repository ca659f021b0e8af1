"""The mathematics: networks, what they minimise, priors, corruptions, the chain.

Nothing here knows how a step is taken, or on what.
"""
