import numpy as np
import pytest
import torch

from stn_bench.data import distorted
from stn_bench.data.distorted import DistortedDigits, distorted_mnist
from stn_bench.data.mnist import MNIST
from stn_bench.data.sources import load_mnist
from stn_bench.data.streams import generator
from stn_bench.distortions import Elastic, Projective, Rotation, RotationScaleTranslation, Undistorted

TRAIN, TEST = 50, 23
DISTORTIONS = [Undistorted, Rotation, RotationScaleTranslation, Projective, Elastic]
every_distortion = pytest.mark.parametrize("distortion", DISTORTIONS)


def small_mnist():
    """Random digits; each one's label is also its first pixel, so that an image tells which label it should have."""
    drawn = np.random.default_rng(1)
    labels = [drawn.integers(0, 10, n, np.uint8) for n in (TRAIN, TEST)]
    images = [drawn.integers(0, 256, (len(part), 28, 28), np.uint8) for part in labels]
    for part, of in zip(images, labels, strict=True):
        part[:, 0, 0] = of
    return MNIST(images[0], labels[0], images[1], labels[1], "0123456789abcdef")


def digits(distortion=None, **settings):
    return DistortedDigits(small_mnist(), distortion or Rotation(), **settings)


def images_of(batches):
    return torch.cat([images for images, _ in batches])


def labels_of(batches):
    return torch.cat([labels for _, labels in batches])


@pytest.mark.parametrize(
    "other", [(2, 3, "order"), (1, 4, "order"), (1, 3, "distortion"), (13, 3, "order"), (3, 1, "order")]
)
def test_seed_epoch_and_stream_each_give_other_numbers(other):
    numbers, others = (torch.rand(100, generator=generator(*stream)) for stream in ((1, 3, "order"), other))
    assert (numbers != others).all()


def test_a_stream_has_the_seed_it_had_when_results_were_published():
    assert generator(1, 2, "order").initial_seed() == 1019005864539849248


PUBLISHED = {  # the first drawn numbers of the first and the last test digit; lengths in units of their strength
    Rotation: [[1.0757], [-1.0341]],
    RotationScaleTranslation: [[0.5378, 0.7251, 10.8223, -2.3378], [-0.5171, 1.155, 0.7281, 1.1222]],
    Projective: [[0.9606, -0.1889, 0.5006, 2.2782], [0.7927, -0.5888, -1.6707, -0.2865]],
    Elastic: [[0.9606, -0.1889, 0.5006, 2.2782], [0.7927, 1.9901, 1.5161, 0.0163]],
}


@pytest.mark.parametrize("distortion", PUBLISHED)
def test_test_digits_are_distorted_as_they_were_when_results_were_published(distortion):
    of_strength = {Projective: "corner_std_pixels", Elastic: "control_std_pixels"}.get(distortion)
    mnist = small_mnist()._replace(
        test_images=np.zeros((10_000, 28, 28), np.uint8), test_labels=np.zeros(10_000, np.uint8)
    )
    data = DistortedDigits(mnist, distortion(**({of_strength: 1.0} if of_strength else {})))
    found = data.evaluation_parameters[[0, 9_999], :4]
    torch.testing.assert_close(found, torch.tensor(PUBLISHED[distortion]), rtol=0, atol=1e-4)


def test_drawing_neither_uses_nor_moves_the_global_generator():
    before = torch.random.get_rng_state()
    first = digits().draw_epoch(seed=1, epoch=1)
    assert torch.equal(torch.random.get_rng_state(), before)
    torch.manual_seed(99)
    second = digits().draw_epoch(seed=1, epoch=1)
    assert torch.equal(first.order, second.order)
    assert torch.equal(first.parameters, second.parameters)


@every_distortion
def test_an_epoch_is_drawn_on_the_cpu_whatever_the_default_device(distortion):
    expected = digits(distortion()).draw_epoch(1, 0)
    with torch.device("meta"):
        found = digits(distortion()).draw_epoch(1, 0)
    assert torch.equal(found.order, expected.order)
    assert torch.equal(found.parameters, expected.parameters)


@every_distortion
def test_an_epoch_is_the_same_whatever_was_drawn_before(distortion):
    straight_there, after_others = digits(distortion()), digits(distortion())
    for epoch in range(5):
        after_others.draw_epoch(seed=1, epoch=epoch)
        after_others.draw_epoch(seed=2, epoch=epoch)
    for found, expected in zip(after_others.draw_epoch(1, 5), straight_there.draw_epoch(1, 5), strict=True):
        assert torch.equal(found, expected)


@every_distortion
def test_two_fresh_objects_give_the_same_images_bit_for_bit(distortion):
    first, second = digits(distortion()), digits(distortion())
    assert torch.equal(images_of(first.training_batches(3, 7, 16)), images_of(second.training_batches(3, 7, 16)))
    assert torch.equal(images_of(first.evaluation_batches(16)), images_of(second.evaluation_batches(16)))


def test_every_epoch_and_seed_has_its_own_order_and_distortions():
    epochs = [digits().draw_epoch(seed, epoch) for seed, epoch in [(1, 0), (1, 1), (2, 0)]]
    for one, other in [(0, 1), (0, 2), (1, 2)]:
        assert not torch.equal(epochs[one].order, epochs[other].order)
        assert (epochs[one].parameters != epochs[other].parameters).all()


def test_what_is_not_fresh_keeps_its_distortions_but_not_its_order():
    frozen = digits(fresh=False)
    first, second = frozen.draw_epoch(1, 0), frozen.draw_epoch(1, 1)
    assert torch.equal(first.parameters, second.parameters)
    assert not torch.equal(first.order, second.order)
    assert (first.parameters != frozen.draw_epoch(2, 0).parameters).all()  # another seed is another data set


def test_what_is_not_fresh_shows_each_digit_the_same_way_in_every_epoch():
    frozen = digits(fresh=False)
    seen = []
    for epoch in (0, 1):
        order = frozen.draw_epoch(1, epoch).order
        images = images_of(frozen.training_batches(1, epoch, 10))
        seen.append(images[order.argsort()])  # back by digit
    torch.testing.assert_close(seen[0], seen[1], rtol=0, atol=1e-6)


def test_each_digit_is_distorted_by_its_own_parameters_whenever_it_is_visited():
    data, mnist = digits(), small_mnist()
    order, parameters = data.draw_epoch(seed=4, epoch=2)
    seen = images_of(data.training_batches(4, 2, 10))
    expected = data.distortion(torch.from_numpy(mnist.train_images)[:, None].float() / 255, parameters)
    torch.testing.assert_close(seen, expected[order], rtol=0, atol=1e-6)


def test_an_epoch_visits_every_digit_once():
    assert digits().draw_epoch(1, 1).order.sort().values.tolist() == list(range(TRAIN))


@pytest.mark.parametrize(("batch_size", "batches"), [(10, 5), (16, 3), (50, 1), (51, 0)])
def test_a_last_smaller_training_batch_is_left_out(batch_size, batches):
    lengths = [len(labels) for _, labels in digits().training_batches(1, 1, batch_size)]
    assert lengths == [batch_size] * batches


@pytest.mark.parametrize("batch_size", [1, 10, 23, 64])
def test_every_digit_is_evaluated_once_in_its_order(batch_size):
    data = digits()
    assert labels_of(data.evaluation_batches(batch_size)).tolist() == small_mnist().test_labels.tolist()
    whole = images_of(data.evaluation_batches(TEST))
    torch.testing.assert_close(images_of(data.evaluation_batches(batch_size)), whole, rtol=0, atol=1e-5)


def test_labels_stay_with_their_images():
    data = digits(Undistorted())
    for batches in (data.training_batches(1, 1, 10), data.evaluation_batches(10)):
        for images, labels in batches:
            assert labels.dtype == torch.int64
            assert torch.equal((images[:, 0, 0, 0] * 255).round().long(), labels)


def test_images_are_between_0_and_1_and_not_normalised():
    images = images_of(digits(Undistorted()).evaluation_batches(10))
    assert images.dtype == torch.float32
    expected = torch.from_numpy(small_mnist().test_images)[:, None].float() / 255
    torch.testing.assert_close(images, expected, rtol=0, atol=1e-5)


def test_the_shape_and_classes_are_told():
    data = digits(RotationScaleTranslation())
    images, _ = next(data.training_batches(1, 1, 5))
    assert (5, *data.image_shape) == tuple(images.shape) == (5, 1, 42, 42)
    assert data.classes == 10
    assert data.train_count == TRAIN
    assert data.sha256 == small_mnist().sha256


@every_distortion
def test_what_is_undone_has_the_draws_of_what_is_not_and_the_size_of_the_digits(distortion):
    distorted_ones, undone = digits(distortion()), digits(distortion(), undone=True)
    assert undone.image_shape == (1, 28, 28)
    for found, expected in zip(undone.draw_epoch(1, 5), distorted_ones.draw_epoch(1, 5), strict=True):
        assert torch.equal(found, expected)
    assert torch.equal(undone.evaluation_parameters, distorted_ones.evaluation_parameters)
    for batches in ("training_batches", "evaluation_batches"):
        words = (3, 7, 16) if batches == "training_batches" else (16,)
        (images, labels), (canvases, same) = (next(getattr(d, batches)(*words)) for d in (undone, distorted_ones))
        assert images.shape == (16, *undone.image_shape)
        assert canvases.shape == (16, *distorted_ones.image_shape)
        assert torch.equal(labels, same)


@every_distortion
def test_what_is_undone_is_the_distorted_image_read_at_the_inverse(distortion):
    distorted_ones, undone = digits(distortion()), digits(distortion(), undone=True)
    canvases, images = (images_of(data.evaluation_batches(TEST)) for data in (distorted_ones, undone))
    expected = distorted_ones.distortion.undo(canvases, distorted_ones.evaluation_parameters)
    torch.testing.assert_close(images, expected, rtol=0, atol=0)
    order, parameters = undone.draw_epoch(4, 2)
    canvases = images_of(distorted_ones.training_batches(4, 2, TRAIN))
    expected = distorted_ones.distortion.undo(canvases, parameters[order])
    torch.testing.assert_close(images_of(undone.training_batches(4, 2, TRAIN)), expected, rtol=0, atol=0)


def test_the_evaluation_set_is_the_same_for_all_seeds_and_settings():
    first, second = digits(), digits(fresh=False)
    list(first.training_batches(seed=1, epoch=3, batch_size=10))
    list(second.training_batches(seed=2, epoch=0, batch_size=10))
    assert first.evaluated_on == "test"
    assert torch.equal(first.evaluation_parameters, second.evaluation_parameters)
    assert torch.equal(images_of(first.evaluation_batches(10)), images_of(second.evaluation_batches(10)))


def test_no_seed_trains_on_the_distortions_of_the_evaluation():
    data = DistortedDigits(small_mnist(), Rotation(), validation=25)
    assert data.train_count == sum(len(labels) for _, labels in data.evaluation_batches(7))
    for epoch in range(3):
        drawn = data.draw_epoch(distorted.EVALUATION_SEED, epoch).parameters
        assert (drawn != data.evaluation_parameters).all()


def test_the_last_training_digits_are_held_out_and_evaluated_instead():
    data, mnist = digits(Undistorted(), validation=20), small_mnist()
    assert data.evaluated_on == "validation"
    assert data.train_count == 30
    assert labels_of(data.evaluation_batches(7)).tolist() == mnist.train_labels[30:].tolist()
    order = data.draw_epoch(1, 1).order
    assert order.sort().values.tolist() == list(range(30))
    assert labels_of(data.training_batches(1, 1, 30)).tolist() == mnist.train_labels[order.numpy()].tolist()


@pytest.mark.parametrize("validation", [-1, TRAIN, TRAIN + 1])
def test_a_validation_split_that_leaves_nothing_to_train_on_is_refused(validation):
    with pytest.raises(ValueError, match=f"validation={validation} of 50 training digits: hold out 0 to 49"):
        digits(validation=validation)


def test_what_is_moved_to_its_own_device_stays_the_same():
    data = digits()
    expected = images_of(data.training_batches(1, 1, 10))
    assert data.to("cpu") is data
    assert torch.equal(images_of(data.training_batches(1, 1, 10)), expected)


def test_distorted_mnist_is_the_real_digits():
    mnist = load_mnist()
    data = distorted_mnist(Undistorted(), validation=10_000)
    assert data.train_count == 50_000
    assert data.sha256 == mnist.sha256
    assert labels_of(data.evaluation_batches(1000)).tolist() == mnist.train_labels[50_000:].tolist()


def test_digits_of_another_size_than_is_distorted_are_refused():
    with pytest.raises(ValueError, match=r"^the distortion takes \(20, 28\) pixels, the digits have \(28, 28\)$"):
        digits(Rotation(input_size=(20, 28)))
