"""
Windows of a signal, without a look ahead
=========================================

A model learns what a day of a signal is like, from days in order of time: the last of
them say when to stop, and neither the scale nor the networks know anything of these.
Later days are judged by how well they are reconstructed.
"""

import matplotlib.pyplot as plt
import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from sklearn_daae import DAETransformer

# %%
# A signal of a year
# ------------------
# Made, not measured: a value every hour, days and weeks and a slow rise, with noise
# that hangs together. In the last two months three things go wrong.

random = np.random.default_rng(0)
hour = np.arange(24 * 365)
noise = np.convolve(random.normal(size=len(hour) + 5), np.ones(6) / 6, mode="valid")
weekday = (hour // 24) % 7 < 5
signal = 20 + 3 * np.sin(2 * np.pi * (hour % 24 - 8) / 24) * (0.5 + weekday)
signal += hour / 5000 + 0.8 * noise
signal[24 * 320 : 24 * 321] = signal[24 * 320]  # a sensor that hangs
signal[24 * 335 : 24 * 336] *= -1  # a wire that is the wrong way round
signal[24 * 350 : 24 * 351 : 2] += 2  # a flutter
faults = [320, 335, 350]

# %%
# Learn from the first ten months
# -------------------------------
# Every hour begins a window. They overlap, and are read in strides, not copied. Of the
# training windows the last tenth is watched.

day = sliding_window_view(signal, 24)
known, later = day[: 24 * 300], day[24 * 300 :: 24]
model = DAETransformer(
    4, early_stopping=True, validation="last", max_epochs=100, random_state=0
).fit(known)
errors = [record["validation_error"] for record in model.history_]
print(f"stopped after {model.n_epochs_} epochs, error {min(errors):.3f}")
score = -model.score_samples(later)
limit = np.quantile(-model.score_samples(known[-24 * 30 :]), 0.999)
found = 300 + np.flatnonzero(score > limit)
print("days beyond the limit:", found, "faults:", faults)

# %%
# What it finds
# -------------
# The wire and the flutter stand out. The sensor that hangs does not: a flat day is
# easier to reconstruct than any other, and its error is the *smallest* of all. What is
# simpler than the training data needs a second limit, from below.

fig, (top, bottom) = plt.subplots(2, 1, figsize=(8, 5), layout="constrained")
top.plot(hour[24 * 300 :] / 24, signal[24 * 300 :], lw=0.6)
top.set(title="The last two months", ylabel="signal")
bottom.semilogy(300 + np.arange(len(score)), score, "o-", ms=3)
bottom.axhline(limit, color="tab:red", lw=1, label="1 in 1000 of the month before")
bottom.legend()
bottom.set(xlabel="day", ylabel="squared error")
plt.show()
