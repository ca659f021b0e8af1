"""
A grid on a cluster
===================

The fits of a search are independent of each other, and dask sends them to the workers
of a cluster. Here it is one of two processes on this machine; a larger one differs in
the line that makes it.
"""

from itertools import chain

import joblib
import numpy as np
import sklearn.model_selection
from distributed import Client, LocalCluster
from sklearn.datasets import load_digits
from sklearn.model_selection import StratifiedKFold
from sklearn.pipeline import Pipeline
from sklearn.svm import SVC

import sklearn_daae.model_selection
from sklearn_daae import DAAETransformer


def main():
    X, y = load_digits(return_X_y=True)
    X = (X / 16).astype(np.float32)
    daae = DAAETransformer(
        8,
        encoder_layer_sizes=(64,),
        decoder_layer_sizes=(64,),
        discriminator_layer_sizes=(64,),
        max_epochs=5,
        random_state=0,
    )
    pipeline = Pipeline([("daae", daae), ("svm", SVC())])
    grid = {"daae__sigma": [0.1, 0.5], "svm__C": [1, 10]}
    # Every worker is sent the data, and the rows of the folds, once. So a worker that
    # dies takes nothing with it that the others do not have.
    splits = list(StratifiedKFold(2).split(X, y))
    everywhere = [X, y, *chain.from_iterable(splits)]
    with (
        LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as c,
        Client(c) as client,
    ):
        # What was sent everywhere is to stay there, even if no task waits for it.
        client.amm.stop()
        for module in (sklearn.model_selection, sklearn_daae.model_selection):
            search = module.GridSearchCV(pipeline, grid, cv=splits)
            with joblib.parallel_config("dask", client=client, scatter=everywhere):
                search.fit(X, y)
            print(
                f"{module.__name__}: the best is {search.best_params_}, "
                f"with an accuracy of {search.best_score_:.3f}"
            )


# Workers are processes that import this file.
if __name__ == "__main__":
    main()
