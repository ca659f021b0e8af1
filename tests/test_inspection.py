"""What the displays draw: artists, data and labels."""

import subprocess
import sys

import numpy as np
import pytest
from sklearn.decomposition import PCA
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler

from sklearn_daae import (
    AAETransformer,
    DAAETransformer,
    DAETransformer,
    VAETransformer,
)
from sklearn_daae.inspection import (
    InterpolationDisplay,
    LatentSpaceDisplay,
    LossCurveDisplay,
    PriorMatchDisplay,
    ReconstructionDisplay,
    SampleDisplay,
)

from .conftest import SHORT_TRAINING, SMALL, make

pd, mpl = (pytest.importorskip(name) for name in ("pandas", "matplotlib"))
mpl.use("agg")
plt = pytest.importorskip("matplotlib.pyplot")

IMAGE = {"image_shape": (1, 8, 8)}


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


@pytest.fixture(scope="module")
def model(X):
    return DAAETransformer(**SMALL).fit(X)


def tick_labels(axis):
    return [label.get_text() for label in axis.get_ticklabels()]


def cells(display, n_rows, n_columns, size=8):
    """Return the images of a display, (n_rows, n_columns, size, size)."""
    picture = display.im_.get_array()
    assert picture.shape == (n_rows * (size + 1) - 1, n_columns * (size + 1) - 1)
    return np.array(
        [
            [
                picture[i * (size + 1) :, j * (size + 1) :][:size, :size]
                for j in range(n_columns)
            ]
            for i in range(n_rows)
        ]
    )


def test_reconstructions(model, X):
    display = ReconstructionDisplay.from_estimator(
        model, X, n_samples=4, random_state=0, **IMAGE
    )
    assert tick_labels(display.ax_.yaxis) == ["original", "corrupted", "reconstructed"]
    original, corrupted, reconstructed = cells(display, 3, 4).reshape(3, 4, 64)
    np.testing.assert_array_equal(original, X[:4])
    assert 0.4 < (corrupted - X[:4]).std() < 0.6
    expected = model.reconstruct(corrupted.astype(np.float32))
    np.testing.assert_allclose(reconstructed, expected, atol=1e-6)
    # Black and white are those of the data, not those of the noise.
    assert display.im_.get_clim() == (0, 1)
    # The gaps show what is behind the picture.
    assert display.im_.get_array().mask[8].all()
    assert not display.im_.get_array().mask[:8, :8].any()
    # Each label stands beside the middle of its row.
    np.testing.assert_array_equal(display.ax_.get_yticks(), [3.5, 12.5, 21.5])
    assert display.ax_.get_title() == "Reconstructions"
    assert display.im_.get_cmap().name == "gray"
    in_colour = ReconstructionDisplay.from_estimator(model, X, cmap="magma", **IMAGE)
    assert in_colour.im_.get_cmap().name == "magma"


def test_a_narrow_figure_has_room_for_its_title(model, X):
    display = ReconstructionDisplay.from_estimator(model, X, n_samples=1, **IMAGE)
    assert_inside(display.ax_.title)


def assert_inside(artist):
    """Check that all of it is on the figure."""
    figure = artist.figure
    figure.canvas.draw()
    box, page = artist.get_window_extent(), figure.bbox
    assert page.x0 <= box.x0 < box.x1 <= page.x1
    assert page.y0 <= box.y0 < box.y1 <= page.y1


@pytest.mark.parametrize("corrupt", [True, False])
def test_reconstructions_without_a_corruption(model, X, corrupt):
    if corrupt:
        model = AAETransformer(**SMALL).fit(X)
    display = ReconstructionDisplay.from_estimator(model, X, corrupt=corrupt, **IMAGE)
    assert tick_labels(display.ax_.yaxis) == ["original", "reconstructed"]
    reconstructed = cells(display, 2, 10)[1].reshape(10, 64)
    np.testing.assert_allclose(reconstructed, model.reconstruct(X[:10]), atol=1e-6)


def test_samples(model):
    display = SampleDisplay.from_estimator(model, n_samples=7, random_state=0, **IMAGE)
    drawn = cells(display, 3, 3).reshape(9, 64)
    np.testing.assert_array_equal(drawn[:7], model.sample(7, 0))
    assert display.im_.get_array().mask[18:, 9:].all()  # two empty cells
    assert display.ax_.get_title() == "Samples"
    assert tick_labels(display.ax_.yaxis) == tick_labels(display.ax_.xaxis) == []


def test_chains(model, X):
    settings = {"steps": [0, 2, 5], "random_state": 0, **IMAGE}
    display = SampleDisplay.from_estimator(model, n_samples=4, **settings)
    chain = model.sample(4, 0, n_steps=5, return_chain=True)[[0, 2, 5]]
    drawn = cells(display, 4, 3).reshape(4, 3, 64)
    np.testing.assert_array_equal(drawn, chain.swapaxes(0, 1))
    assert tick_labels(display.ax_.xaxis) == ["$x^{(0)}$", "$x^{(2)}$", "$x^{(5)}$"]

    display = SampleDisplay.from_estimator(model, X=X[:3], **settings)
    assert display.samples.shape == (3, 3, 64)
    np.testing.assert_array_equal(display.samples[0], X[:3])
    display = SampleDisplay.from_estimator(model, Z=np.zeros((2, 4)), steps=3, **IMAGE)
    assert display.samples.shape == (2, 64)


@pytest.mark.parametrize("steps", [[], [1, -1], 2.5, [2.5]])
def test_steps_are_checked(model, steps):
    with pytest.raises((ValueError, TypeError), match="steps"):
        SampleDisplay.from_estimator(model, steps=steps)


def test_samples_of_integers():
    """Cells without a sample stay empty."""
    X = np.arange(3 * 64, dtype=np.uint8).reshape(3, 64)
    picture = SampleDisplay(X, image_shape=(1, 8, 8)).plot().im_.get_array()
    assert picture.mask[9:, 9:].all()
    assert picture.max() == X.max()
    assert len(SampleDisplay(X).plot().lines_) == 3


def test_interpolations(model, X):
    display = InterpolationDisplay.from_estimator(model, X[:2], n_points=5, **IMAGE)
    drawn = cells(display, 1, 5).reshape(5, 64)
    np.testing.assert_allclose(drawn[[0, -1]], model.reconstruct(X[:2]), atol=1e-6)
    Z = model.transform(X[:2])
    middle = model.inverse_transform(Z.mean(axis=0, keepdims=True))
    np.testing.assert_allclose(drawn[2:3], middle, atol=1e-6)
    assert tick_labels(display.ax_.xaxis) == ["0", "0.25", "0.5", "0.75", "1"]
    assert display.ax_.get_title() == "Interpolation"
    by_codes = InterpolationDisplay.from_estimator(model, Z=Z, n_points=5, **IMAGE)
    np.testing.assert_allclose(by_codes.samples, drawn, atol=1e-6)


def test_interpolations_have_two_ends(model, X):
    with pytest.raises(ValueError, match="Z has 3 features"):
        InterpolationDisplay.from_estimator(model, Z=np.zeros((2, 3)))
    for ends in ({}, {"X": X[:2], "Z": np.zeros((2, 4))}):
        with pytest.raises(ValueError, match="either X, two samples, or Z, two codes"):
            InterpolationDisplay.from_estimator(model, **ends)
    with pytest.raises(ValueError, match="2 ends, but 3 were given"):
        InterpolationDisplay.from_estimator(model, X[:3])


def test_vectors_are_drawn_as_lines(model, X):
    display = ReconstructionDisplay.from_estimator(model, X, n_samples=2)
    assert display.im_ is None
    assert len(display.lines_) == 6
    # The first row's cells begin at 0 and 1; up is up, though rows go downwards.
    low, high = display.corrupted.min(), display.corrupted.max()
    for j, line in enumerate(display.lines_[:2]):
        x, y = line.get_data()
        assert x.min() == j
        expected = (X[j] - low) / (high - low)
        np.testing.assert_allclose(0.8 - y, 0.8 * expected, atol=1e-6)
    for i, line in enumerate(display.lines_):  # each within its own cell
        x, y = line.get_data()
        assert ((x >= i % 2) & (x < i % 2 + 1)).all()
        assert ((y > i // 2 - 1e-6) & (y < i // 2 + 0.8 + 1e-6)).all()
    assert display.ax_.yaxis_inverted()
    assert tick_labels(display.ax_.yaxis)[0] == "original"


def test_colour_images(X):
    """Channels last, and what leaves the range is clipped to it."""
    X = (X[:, :48] * 255).astype(np.uint8)
    settings = {"image_shape": (3, 4, 4), "input_range": (0, 255)}
    model = DAAETransformer(**SMALL, **settings, sigma=1.0).fit(X)
    display = ReconstructionDisplay.from_estimator(model, X, n_samples=2)
    picture = display.im_.get_array()
    assert picture.shape == (3 * 5 - 1, 2 * 5 - 1, 4)
    np.testing.assert_allclose(
        picture[:4, :4, :3] * 255, X[0].reshape(3, 4, 4).transpose(1, 2, 0), atol=1e-3
    )
    assert picture.min() == 0
    assert picture.max() == 1
    assert not picture[4, :, 3].any()  # the gap is transparent
    assert picture[:4, :4, 3].all()


def test_image_shape_is_checked(model, X):
    with pytest.raises(ValueError, match=r"image_shape=\(1, 9, 9\) must be"):
        ReconstructionDisplay.from_estimator(model, X, image_shape=(1, 9, 9))
    with pytest.raises(ValueError, match=r"image_shape=\(8, 8\) must be"):
        SampleDisplay.from_estimator(model, image_shape=(8, 8))
    with pytest.raises(ValueError, match=r"image_shape=\(1, 9, 9\) .* the 64 features"):
        ReconstructionDisplay(X[:2], X[:2], image_shape=(1, 9, 9)).plot()
    with pytest.raises(ValueError, match=r"codes of shape \(2, 64\) must be .* 2\)"):
        LatentSpaceDisplay(X[:2]).plot()
    with pytest.raises(ValueError, match=r"image_shape=\(4, 4, 4\) must be .*RGB"):
        SampleDisplay.from_estimator(model, image_shape=(4, 4, 4))


def test_latent_space_by_class(model, X, y):
    display = LatentSpaceDisplay.from_estimator(model, X, y)
    Z = PCA(2, random_state=0).fit_transform(model.transform(X))
    assert len(display.collections_) == 10
    for c, points in enumerate(display.collections_):
        np.testing.assert_allclose(points.get_offsets(), Z[y == c], rtol=1e-5)
        assert points.get_label() == str(c)
    legend = display.ax_.get_legend()
    assert [text.get_text() for text in legend.get_texts()] == [*map(str, range(10))]
    assert display.ax_.get_xlabel() == "principal component 1"
    assert display.ax_.get_ylabel() == "principal component 2"
    assert display.ax_.get_title() == "Latent space"
    assert display.ax_.get_aspect() == 1
    assert_inside(legend)
    assert legend.get_window_extent().x0 > display.ax_.get_window_extent().x1


def test_the_legend_of_a_latent_space_leaves_other_axes_alone(model, X, y):
    figure, (left, right) = plt.subplots(1, 2)
    LatentSpaceDisplay.from_estimator(model, X, y, ax=left)
    figure.canvas.draw()
    legend = left.get_legend().get_window_extent()
    assert legend.x1 < right.get_tightbbox().x0


def test_latent_space_of_two_components(X, y):
    model = DAAETransformer(**{**SMALL, "n_components": 2}).fit(X)
    display = LatentSpaceDisplay.from_estimator(model, X)
    (points,) = display.collections_
    np.testing.assert_array_equal(points.get_offsets(), model.transform(X))
    assert display.ax_.get_xlabel() == "component 1"
    assert display.ax_.get_legend() is None

    display = LatentSpaceDisplay.from_estimator(model, X, np.linspace(0, 1.5, len(X)))
    (points,) = display.collections_
    assert points.get_array().max() == 1.5  # numbers, by a colour map

    names = np.array([f"class {i:02}" for i in range(30)])[np.arange(len(X)) % 30]
    display = LatentSpaceDisplay.from_estimator(
        model, X, names, corrupt=True, random_state=0
    )
    assert len(display.collections_) == 30
    colours = {tuple(points.get_facecolor()[0]) for points in display.collections_}
    assert len(colours) == 30
    expected = model.transform(model.corrupt(X, 0))[::30]
    np.testing.assert_allclose(
        display.collections_[0].get_offsets(), expected, atol=1e-5
    )

    display = LatentSpaceDisplay.from_estimator(model, X, np.arange(len(X)))
    assert len(display.collections_) == 1  # more numbers than a legend could hold


@pytest.mark.parametrize("cmap", ["plasma", plt.get_cmap("plasma")])
def test_latent_space_in_other_colours(model, X, y, cmap):
    display = LatentSpaceDisplay.from_estimator(model, X, y, cmap=cmap)
    colours = [points.get_facecolor()[0, :3] for points in display.collections_]
    expected = plt.get_cmap("plasma")(np.linspace(0, 1, 10))[:, :3]
    np.testing.assert_allclose(colours, expected)


def test_latent_space_of_one_component_is_refused(X):
    model = DAAETransformer(**{**SMALL, "n_components": 1}).fit(X)
    with pytest.raises(ValueError, match="PriorMatchDisplay"):
        LatentSpaceDisplay.from_estimator(model, X)


def test_prior_match(model, X):
    display = PriorMatchDisplay.from_estimator(model, X, random_state=0, bins=30)
    assert [*display.patches_] == ["prior", "encodings", "encodings of corrupted data"]
    legend = display.ax_.get_legend()
    assert [text.get_text() for text in legend.get_texts()] == [*display.patches_]
    assert display.ax_.get_ylabel() == "density"
    assert display.ax_.get_title() == "Match to the prior"
    np.testing.assert_array_equal(display.encodings, model.transform(X))
    assert display.prior.shape == display.corrupted_encodings.shape == (300, 4)
    assert display.prior.std() == pytest.approx(1, abs=0.1)
    difference = display.corrupted_encodings - display.encodings
    assert difference.std() > 0.01
    # Each histogram, from its outline.
    for name, values in (
        ("prior", display.prior),
        ("encodings", display.encodings),
        ("encodings of corrupted data", display.corrupted_encodings),
    ):
        (outline,) = display.patches_[name]
        heights = outline.get_xy()[:, 1]
        edges = np.unique(outline.get_xy()[:, 0])
        expected, _ = np.histogram(values.ravel(), edges, density=True)
        expected *= ((values >= edges[0]) & (values <= edges[-1])).mean()
        assert heights.max() == pytest.approx(expected.max())


def test_prior_match_draws_codes_of_variational_models(X):
    """Their prior is matched by draws of q(z | x), not by its means."""
    model = make(VAETransformer, published=True).fit(X)
    display = PriorMatchDisplay.from_estimator(model, X, random_state=0)
    assert display.encodings.std() > 2 * model.transform(X).std()


def test_prior_match_of_one_component(X):
    model = AAETransformer(**SMALL).fit(X)
    display = PriorMatchDisplay.from_estimator(model, X, component=2, random_state=0)
    assert [*display.patches_] == ["prior", "encodings"]
    assert display.ax_.get_xlabel() == "z, component 2"
    (outline,) = display.patches_["encodings"]
    values = model.transform(X)[:, 2]
    where = outline.get_xy()[outline.get_xy()[:, 1] > 0, 0]
    assert where.min() <= values.min()
    assert where.max() >= values.max()


def test_prior_match_shows_no_more_than_there_is(model, X):
    """Bins that leave half of the prior out hold half of it."""
    bins = np.linspace(0, 10, 100)
    display = PriorMatchDisplay.from_estimator(model, X, random_state=0, bins=bins)
    (filled,) = display.patches_["prior"]
    counts, _ = np.histogram(display.prior, bins)
    assert counts.sum() < 0.6 * display.prior.size
    expected = counts.max() / display.prior.size / (bins[1] - bins[0])
    assert filled.get_xy()[:, 1].max() == pytest.approx(expected)
    with pytest.raises(ValueError, match="component=4 must be at most 3"):
        PriorMatchDisplay.from_estimator(model, X, component=4)


def test_prior_match_needs_a_prior(X):
    with pytest.raises(ValueError, match="no prior"):
        PriorMatchDisplay.from_estimator(make(DAETransformer).fit(X), X)


def test_loss_curves(X):
    settings = {**SMALL, "max_epochs": 3, "early_stopping": True}
    model = DAAETransformer(**settings).fit(X)
    display = LossCurveDisplay.from_estimator(model)
    lines = {line.get_label(): line.get_data() for line in display.lines_}
    names = [name for name in model.history_[0] if name != "gradient_ratio"]
    assert [*lines] == [name.replace("_", " ") for name in names]
    epochs, losses = lines["reconstruction loss"]
    assert epochs.tolist() == [1, 2, 3]
    assert losses.tolist() == model.loss_curve_
    assert display.ax_.get_xlabel() == "epoch"
    assert display.ax_.get_ylabel() == "mean loss"
    assert display.ax_.get_title() == "Training"
    assert display.ax_.get_legend() is not None
    # Epochs are integers, on axes of the user's, too.
    display = LossCurveDisplay.from_estimator(model, ax=plt.subplots()[1])
    assert all(tick == int(tick) for tick in display.ax_.get_xticks())

    one = DAAETransformer(**SMALL).partial_fit(X)
    display = LossCurveDisplay.from_estimator(one, name="one", ax=display.ax_)
    assert display.lines_[0].get_xdata().tolist() == [1]
    assert display.lines_[0].get_marker() == "o"  # else there would be nothing to see
    assert display.lines_[0].get_label() == "one: reconstruction loss"


@pytest.mark.filterwarnings("error", SHORT_TRAINING)
def test_displays_of_data_frames(X, y):
    """Whose names a model knows, and which it gives where it is told to."""
    frame = pd.DataFrame(X).add_prefix("pixel ")
    model = DAAETransformer(**SMALL).set_output(transform="pandas").fit(frame)
    ReconstructionDisplay.from_estimator(model, frame)
    SampleDisplay.from_estimator(model, X=frame[:3])
    plain = DAAETransformer(**SMALL).fit(X)
    np.testing.assert_array_equal(
        InterpolationDisplay.from_estimator(model, frame[:2]).samples,
        InterpolationDisplay.from_estimator(plain, X[:2]).samples,
    )
    LatentSpaceDisplay.from_estimator(model, frame, pd.Series(y, index=frame.index))
    LatentSpaceDisplay.from_estimator(model, frame, y, corrupt=True)
    PriorMatchDisplay.from_estimator(model, frame)


DISPLAYS = {
    "reconstructions": lambda *args, ax: ReconstructionDisplay.from_estimator(
        *args, ax=ax
    ),
    "samples": lambda model, X, ax: SampleDisplay.from_estimator(
        model, n_samples=4, ax=ax
    ),
    "interpolation": lambda model, X, ax: InterpolationDisplay.from_estimator(
        model, X[:2], ax=ax
    ),
    "latent space": lambda *args, ax: LatentSpaceDisplay.from_estimator(*args, ax=ax),
    "prior match": lambda *args, ax: PriorMatchDisplay.from_estimator(*args, ax=ax),
    "losses": lambda model, X, ax: LossCurveDisplay.from_estimator(model, ax=ax),
}


@pytest.mark.parametrize("draw", DISPLAYS.values(), ids=DISPLAYS)
def test_displays_draw_where_they_are_told_and_look_into_pipelines(X, draw):
    pipeline = make_pipeline(MinMaxScaler(), DAAETransformer(**SMALL)).fit(X)
    figure, ax = plt.subplots()
    display = draw(pipeline, X, ax=ax)
    assert display.ax_ is ax
    assert display.figure_ is figure
    assert len(plt.get_fignums()) == 1
    figure.canvas.draw()
    again = display.plot()
    assert again is display
    assert display.figure_ is not figure


def test_displays_say_that_matplotlib_is_missing(X):
    """And the module imports without it."""
    program = (
        "import sys; sys.modules['matplotlib'] = None\n"
        "from sklearn_daae.inspection import LossCurveDisplay\n"
        "try: LossCurveDisplay([]).plot()\n"
        "except ImportError as error: print(error)\n"
        "from sklearn_daae.inspection import SampleDisplay\n"
        "SampleDisplay.from_estimator('before anything is looked at')"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert "LossCurveDisplay draws with matplotlib" in done.stdout
    assert "ImportError: SampleDisplay draws with matplotlib" in done.stderr
    assert "pip install 'sklearn-daae[plot]'" in done.stderr
