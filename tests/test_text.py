"""The char-CNN-RNN of the text baseline."""

import torch

from s2igan.sen import ALPHABET, TEXT_LENGTH, TextEncoder, characters


def test_characters_are_numbers_of_the_alphabet():
    assert len(ALPHABET) == len(set(ALPHABET)) == 70
    numbers, lengths = characters(["Red é", "a" * 300])
    assert numbers.shape == (2, TEXT_LENGTH) and lengths.tolist() == [5, TEXT_LENGTH]
    assert "".join(ALPHABET[i] for i in numbers[0, :5]) == "red  "  # lower case; what the alphabet lacks is a space
    assert (numbers[0, 5:] == -1).all() and (numbers[1] == 0).all()


def test_the_encoder_reads_every_letter_and_gives_unit_vectors():
    torch.manual_seed(0)
    encoder = TextEncoder((8, 8, 8), 6, 10).eval()
    captions = ["a flower with four petals", "a flower with five petals", "a flower with four petalz", ""]
    vectors = encoder(*characters(captions))
    assert vectors.shape == (4, 10) and torch.allclose(vectors.norm(dim=1), torch.ones(4), atol=1e-6)
    for i, caption in enumerate(captions):
        assert torch.allclose(encoder(*characters([caption]))[0], vectors[i], atol=1e-6)  # whatever stands beside it
        assert all((vectors[i] - vectors[j]).abs().max() > 1e-4 for j in range(i))


def test_the_paper_size():
    # 70 -> 384 -> 512 -> 256 by convolutions of 4, an RNN of 256, a linear layer to 1,024; biases, and two in the RNN.
    expected = 4 * (70 * 384 + 384 * 512 + 512 * 256) + 384 + 512 + 256 + 2 * (256 * 256 + 256) + 256 * 1024 + 1024
    assert sum(p.numel() for p in TextEncoder().parameters()) == expected
