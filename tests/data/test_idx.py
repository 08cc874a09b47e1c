import numpy as np
import pytest

from stn_bench.data.idx import idx_bytes, read_idx

TWO_BY_THREE = b"\x00\x00\x08\x02" + b"\x00\x00\x00\x02" + b"\x00\x00\x00\x03" + bytes([1, 2, 3, 4, 5, 255])


@pytest.fixture
def read(tmp_path):
    def read(content):
        path = tmp_path / "some-idx"
        path.write_bytes(content)
        return read_idx(path)

    return read


def test_bytes_are_read_in_the_shape_of_the_header(read):
    array = read(TWO_BY_THREE)
    assert array.dtype == np.uint8
    assert array.tolist() == [[1, 2, 3], [4, 5, 255]]


def test_sizes_are_big_endian(read):
    assert read(b"\x00\x00\x08\x01\x00\x00\x01\x02" + bytes(258)).shape == (258,)


def test_the_array_may_be_written(read):
    array = read(TWO_BY_THREE)
    array[0, 0] = 7
    assert array[0, 0] == 7


@pytest.mark.parametrize("shape", [(0,), (5,), (2, 3), (4, 28, 28)])
def test_what_is_written_is_read_back(read, shape):
    array = np.random.default_rng(1).integers(0, 256, shape, np.uint8)
    np.testing.assert_array_equal(read(idx_bytes(array)), array)


def test_the_order_of_bytes_in_memory_does_not_matter_for_what_is_written():
    array = np.arange(6, dtype=np.uint8).reshape(2, 3)
    assert idx_bytes(np.asfortranarray(array)) == idx_bytes(array)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x00\x00\x08",
        b"\x1f\x8b" + TWO_BY_THREE[2:],  # gzipped
        b"\x00\x00\x0d" + TWO_BY_THREE[3:],  # of floats
        b"\x00\x00\x08\x00",  # no dimensions
    ],
)
def test_a_file_of_another_kind_is_refused(read, content):
    with pytest.raises(ValueError, match="some-idx is not an IDX file of unsigned bytes"):
        read(content)


def test_a_file_cut_within_its_header_is_refused(read):
    with pytest.raises(ValueError, match="ends within its header: 11 bytes found, 12 expected"):
        read(TWO_BY_THREE[:11])


@pytest.mark.parametrize("content", [TWO_BY_THREE[:-1], TWO_BY_THREE + b"\x00"])
def test_a_file_that_is_not_exactly_as_long_as_its_header_says_is_refused(read, content):
    with pytest.raises(ValueError, match=rf"has {len(content)} bytes, but its header says 18 \(shape \(2, 3\)\)"):
        read(content)


def test_sizes_whose_product_overflows_64_bits_are_refused(read):
    with pytest.raises(ValueError, match="its header says"):
        read(b"\x00\x00\x08\x04" + b"\x00\x01\x00\x00" * 4)  # 2^64 bytes, 0 to a careless product


@pytest.mark.parametrize("array", [np.zeros(3), np.uint8(1)])
def test_only_arrays_of_bytes_are_written(array):
    with pytest.raises(ValueError, match="pass uint8"):
        idx_bytes(array)
