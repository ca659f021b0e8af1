"""How models are trained, and asked: the loop, and how steps are taken fast.

Only here stand torch's private names.
"""
