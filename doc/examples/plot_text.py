"""
Codes of texts, from sparse counts of words
===========================================

The texts are the docstrings of scikit-learn itself, and the labels the modules that
they are from. Their tf-idf is a sparse matrix, which is made dense batch by batch.
"""

import inspect
from collections import Counter

import matplotlib.pyplot as plt
import numpy as np
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.discovery import all_estimators, all_functions

from sklearn_daae import DAETransformer

documented = [*all_estimators(), *all_functions()]
modules = [found.__module__.split(".")[1] for _, found in documented]
largest = {module for module, n in Counter(modules).most_common(8)}
texts, y = zip(
    *[
        (inspect.getdoc(found) or "", module)
        for (_, found), module in zip(documented, modules, strict=True)
        if module in largest
    ],
    strict=True,
)
y = np.array(y)
words = TfidfVectorizer(min_df=3, sublinear_tf=True, stop_words="english")
X = words.fit_transform(texts)
print(f"{X.shape[0]} texts, {X.shape[1]} words, {X.nnz / np.prod(X.shape):.1%} of them")

# %%
# How much of the module the codes tell
# -------------------------------------
# A linear classifier on codes of ten numbers, five folds. Of so few texts the codes are
# level with those of :class:`~sklearn.decomposition.TruncatedSVD`, which takes a
# fraction of the time; masking words is no better than noise.

models = {
    "TruncatedSVD": TruncatedSVD(10, random_state=0),
    "DAE": DAETransformer(10, random_state=0),
    "DAE, words masked": DAETransformer(
        10, corruption="masking", sigma=0.5, random_state=0
    ),
}
folds = StratifiedKFold(5, shuffle=True, random_state=0)
accuracies = {}
for name, model in models.items():
    pipeline = make_pipeline(model, StandardScaler(), LogisticRegression(max_iter=1000))
    accuracies[name] = cross_val_score(pipeline, X, y, cv=folds)
    print(f"{name}: {accuracies[name].mean():.3f}", flush=True)

# %%
# The texts on a plane
# --------------------
# On the right, the codes of a second model, of two numbers. Most modules have a region
# of their own, though none was told; "utils", which has something of everything, lies
# in the middle.

Z = DAETransformer(2, random_state=0).fit_transform(X)
fig, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
left.boxplot(list(accuracies.values()))
left.set_xticks(range(1, len(models) + 1), list(models), fontsize="small")
left.set(ylabel="accuracy", title="Module of a docstring")
for module in sorted(largest):
    right.scatter(*Z[y == module].T, s=8, label=module)
right.legend(fontsize="x-small")
right.set(title="Codes of two numbers", xlabel="z1", ylabel="z2")
plt.show()
